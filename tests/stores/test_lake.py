"""Slices are replaced whole, in one commit that says what it is."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake.errors import ContractBroken, MissingInput
from scorelake.settings import LakeSettings
from scorelake.stores.lake import Lake, files_of, slices
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = [
    Column(name="k", type="bigint"),
    Column(name="odd.`name", type="string", comment="it's"),
    Column(name="run_date", type="date"),
]
D1, D2, D3 = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 5)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, LakeSettings(root=str(tmp_path / "it's a lake")))


def rows(lake: Lake, *values: tuple[int, str, date]) -> object:
    return lake.spark.createDataFrame(list(values), "k bigint, `odd.``name` string, run_date date")


def test_a_slice_is_replaced_and_its_neighbours_stay(lake: Lake) -> None:
    name = "silver.neighbours"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    first = lake.replace_slices(
        rows(lake, (1, "a", D1), (2, "b", D2), (3, "c", D3)), name, Mark("r1", "s", (D1, D2, D3))
    )
    second = lake.replace_slices(rows(lake, (9, "z", D2)), name, Mark("r2", "s", (D2,)))
    assert (first.rows, second.rows, second.version) == (3, 1, first.version + 1)
    assert sorted((r[0], r[2]) for r in lake.read(name).collect()) == [(1, D1), (3, D3), (9, D2)]
    assert [r[0] for r in lake.read_slices(name, [D1, D3]).orderBy("k").collect()] == [1, 3]


def test_marks_tell_the_newest_commit_of_each_slice(lake: Lake) -> None:
    name = "silver.marked"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    lake.replace_slices(rows(lake, (1, "a", D1), (2, "b", D2)), name, Mark("r1", "s", (D1, D2), "h1", {"bronze.x": 4}))
    lake.replace_slices(rows(lake, (9, "z", D2)), name, Mark("r2", "s", (D2,), "h2"))
    found = {day: (mark.run_id, mark.definition_hash) for day, (_, mark) in lake.marks(name, "s").items()}
    assert found == {D1: ("r1", "h1"), D2: ("r2", "h2")}
    assert lake.marks(name, "s")[D1][1].inputs == {"bronze.x": 4}
    assert lake.marks(name, "another step") == {}


def test_an_empty_frame_makes_a_commit_and_is_done_as_any_other(lake: Lake) -> None:
    name = "silver.empty"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    lake.replace_slices(rows(lake, (1, "a", D1)), name, Mark("r1", "s", (D1,)))
    assert lake.replace_slices(rows(lake), name, Mark("r2", "s", (D2,))).rows == 0
    assert {day: mark.run_id for day, (_, mark) in lake.marks(name, "s").items()} == {D1: "r1", D2: "r2"}
    lake.replace_slices(rows(lake), name, Mark("r3", "s", (D1,)))
    assert lake.marks(name, "s")[D1][1].run_id == "r3"
    assert lake.read(name).isEmpty()


def test_a_row_outside_its_slice_is_refused_and_nothing_changes(lake: Lake) -> None:
    name = "silver.outside"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    lake.replace_slices(rows(lake, (1, "a", D1)), name, Mark("r1", "s", (D1,)))
    with pytest.raises(Exception, match="REPLACE_WHERE_MISMATCH"):
        lake.replace_slices(rows(lake, (2, "b", D3)), name, Mark("r2", "s", (D1,)))
    assert [r[0] for r in lake.read(name).collect()] == [1]


def test_a_frame_that_is_not_the_table_is_refused_by_name(lake: Lake) -> None:
    name = "silver.strict"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    wrong = lake.spark.createDataFrame([(1, D1)], "k int, run_date date")
    with pytest.raises(ContractBroken, match=r"silver.strict: missing odd.`name string; k is int, expected bigint"):
        lake.replace_slices(wrong, name, Mark("r", "s", (D1,)))


def test_a_log_of_an_earlier_release_gets_the_columns_that_came_later(lake: Lake) -> None:
    old = [Column(name="day", type="date"), Column(name="step", type="string")]
    lake.create("ops.log", old, partitioned_by=["day"])
    lake.append(lake.spark.createDataFrame([(D1, "a")], "day date, step string"), "ops.log", Mark("r", "log", (D1,)))
    now = [*old, Column(name="cpu_seconds", type="double")]
    for _ in range(2):
        lake.widen("ops.log", now)
    frame = lake.spark.createDataFrame([(D1, "b", 1.5)], "day date, step string, cpu_seconds double")
    lake.append(frame, "ops.log", Mark("r", "log", (D1,)))
    found = lake.read("ops.log").orderBy("step").select("step", "cpu_seconds").collect()
    assert [tuple(row) for row in found] == [("a", None), ("b", 1.5)]


def test_a_table_nobody_wrote_is_a_missing_input(lake: Lake) -> None:
    with pytest.raises(MissingInput, match=r"silver\.nobody"):
        lake.read("silver.nobody")
    assert not lake.exists("silver.nobody")
    assert not Path(lake.location("silver.nobody")).exists()


def test_another_session_finds_the_table_by_its_place(lake: Lake) -> None:
    name = "silver.found_again"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    lake.replace_slices(rows(lake, (1, "a", D1)), name, Mark("r1", "s", (D1,)))
    lake.spark.sql(f"DROP TABLE {name}")  # forgets the name; the files stay
    assert lake.read(name).count() == 1


def test_the_files_of_a_slice_can_be_read_without_spark(lake: Lake) -> None:
    from pyarrow import parquet

    name = "silver.plain_files"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    lake.replace_slices(rows(lake, (1, "a", D1), (2, "b", D2)), name, Mark("r1", "s", (D1, D2)))
    found = [parquet.ParquetFile(path).read().to_pydict() for path in files_of(lake.read_slices(name, [D2]))]
    assert [part["k"] for part in found] == [[2]]


def test_names_cannot_leave_the_lake(lake: Lake) -> None:
    with pytest.raises(ContractBroken):
        lake.location("silver.../../etc")


def test_contiguous_dates_are_a_range_and_others_a_list() -> None:
    assert slices([D2, D1]) == "`run_date` >= DATE'2024-01-01' AND `run_date` <= DATE'2024-01-02'"
    assert slices([D1, D3]) == "`run_date` IN (DATE'2024-01-01', DATE'2024-01-05')"
    assert slices([D1]) == "`run_date` = DATE'2024-01-01'"
    assert slices([]) == "false"


def test_a_commit_of_somebody_else_is_no_mark() -> None:
    assert Mark.from_json(None) is None
    assert Mark.from_json("free text") is None
    assert Mark.from_json(json.dumps({"other": 1})) is None
    mark = Mark("r", "s", (D1,), "h", {"t": 1}, {"rows": {"2024-01-01": 3}})
    assert Mark.from_json(mark.to_json()) == mark


def test_writers_that_make_one_table_at_once_all_get_it(lake: Lake) -> None:
    names = [f"silver.made_together_{number}" for number in range(4)]
    together = threading.Barrier(6, timeout=60)

    def make(_: int) -> None:
        for name in names:
            together.wait()
            lake.create(name, COLUMNS, partitioned_by=["run_date"])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(6)))
    assert [lake.version(name) for name in names] == [0, 0, 0, 0]


def test_what_a_killed_maker_of_a_table_left_behind_stops_nobody(lake: Lake) -> None:
    name = "silver.unborn"
    log = Path(lake.location(name)) / "_delta_log"
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.4f1c.tmp").write_text('{"commitInfo"')
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    assert lake.version(name) == 0


def test_files_of_somebody_else_are_never_taken_for_a_table_of_ours(lake: Lake) -> None:
    name = "silver.not_ours"
    place = Path(lake.location(name))
    place.mkdir(parents=True)
    (place / "part-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(ContractBroken, match=r"silver\.not_ours: .*not_ours.* holds files but no Delta table"):
        lake.create(name, COLUMNS, partitioned_by=["run_date"])
    assert (place / "part-0.parquet").exists()
