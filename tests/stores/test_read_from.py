"""A lake that reads another one: what it has itself counts, and nothing is ever written to the other one."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake.errors import MissingInput
from scorelake.nightly import freshness
from scorelake.nightly.graph import Node
from scorelake.settings import LakeSettings
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = [Column(name="k", type="bigint"), Column(name="run_date", type="date")]
D1, D2 = date(2024, 1, 1), date(2024, 1, 2)
BELOW, ABOVE = "silver.read_from", "gold.read_from"
NODE = Node("build_gold", ABOVE, ABOVE, (), (BELOW,), "h")


@pytest.fixture
def production(spark: SparkSession, tmp_path: Path) -> Lake:
    """Two slices of silver in three commits, and gold made from them."""
    lake = Lake(spark, LakeSettings(root=str(tmp_path / "production")))
    for number, day in ((1, D1), (2, D2), (3, D2)):
        write(lake, BELOW, number, Mark("p", "build_silver", (day,)))
    for day in (D1, D2):
        write(lake, ABOVE, 0, Mark("p", "build_gold", (day,), "h", lake.versions([BELOW])))
    forget(spark)
    return lake


@pytest.fixture
def mine(spark: SparkSession, tmp_path: Path, production: Lake) -> Lake:
    return Lake(spark, LakeSettings(root=str(tmp_path / "mine"), read_root=production.settings.root))


@pytest.fixture(autouse=True)
def clean_catalog(spark: SparkSession) -> None:
    forget(spark)


def forget(spark: SparkSession) -> None:
    """The catalog of the session knows one lake; the files stay."""
    for table in (BELOW, ABOVE, "ops.read_from"):
        spark.sql(f"DROP TABLE IF EXISTS {table}")


def write(lake: Lake, name: str, number: int, mark: Mark) -> None:
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    rows = lake.spark.createDataFrame([(number, day) for day in mark.dates], "k bigint, run_date date")
    lake.replace_slices(rows, name, mark)


def values(lake: Lake, name: str) -> list[int]:
    return sorted(row["k"] for row in lake.read(name).collect())


def stale(lake: Lake) -> dict[date, str]:
    marks = {ABOVE: lake.marks(ABOVE, "build_gold"), BELOW: lake.marks(BELOW, "build_silver")}
    return freshness.reasons(NODE, [D1, D2], marks)


def test_a_table_is_the_other_lakes_until_this_one_has_it(mine: Lake, production: Lake) -> None:
    assert values(mine, BELOW) == [1, 3]
    version = production.version(BELOW)
    assert [row["k"] for row in mine.read(BELOW, version=version - 1).where("k > 1").collect()] == [2]
    write(mine, BELOW, 9, Mark("m", "build_silver", (D2,)))
    assert values(mine, BELOW) == [9]
    assert mine.owns(BELOW)
    assert not mine.owns(ABOVE)
    assert production.version(BELOW) == version


def test_what_is_current_there_need_not_be_built_here(mine: Lake) -> None:
    assert stale(mine) == {}


def test_versions_of_one_lake_mean_nothing_for_the_other(mine: Lake, production: Lake) -> None:
    """Gold that was made from version 3 there is not newer than version 1 here."""
    write(mine, ABOVE, 0, Mark("m", "build_gold", (D1, D2), "h", mine.versions([BELOW])))
    assert stale(mine) == {}
    write(mine, BELOW, 9, Mark("m", "build_silver", (D1,)))
    assert mine.version(BELOW) < production.version(BELOW)
    assert set(stale(mine)) == {D1, D2}
    write(mine, ABOVE, 0, Mark("m", "build_gold", (D1, D2), "h", mine.versions([BELOW])))
    assert stale(mine) == {}


def test_slices_of_the_other_lake_turn_stale_when_their_input_is_written_here(mine: Lake) -> None:
    write(mine, BELOW, 9, Mark("m", "build_silver", (D1,)))
    assert set(stale(mine)) == {D1, D2}


def test_nothing_is_written_to_the_other_lake(mine: Lake) -> None:
    row = mine.spark.createDataFrame([(1, D1)], "k bigint, run_date date")
    with pytest.raises(MissingInput, match=r"silver\.read_from does not exist yet"):
        mine.replace_slices(row, BELOW, Mark("m", "build_silver", (D1,)))


def test_logs_and_locks_are_a_lakes_own(mine: Lake, production: Lake) -> None:
    write(production, "ops.read_from", 1, Mark("p", "log", (D1,)))
    forget(mine.spark)
    assert not mine.exists("ops.read_from")
    assert mine.commits("ops.read_from") == []
