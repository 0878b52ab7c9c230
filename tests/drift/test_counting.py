"""A night counted by Spark: the same integers however it is laid out, read or retried."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet
from pyspark import TaskContext
from pyspark.sql import Observation
from pyspark.sql import functions as F

from scorelake.drift.build import build, build_arrow
from scorelake.drift.cells import CategoricalCells, NumericCells, ValueCells
from scorelake.drift.counting import collected, count, count_files, of_files, of_frame
from scorelake.drift.counts import Counts, reference, zero
from scorelake.drift.freeze import Cutting
from scorelake.drift.kernel import Counter, merge
from scorelake.drift.physical import to_text
from scorelake.drift.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 4000
COLUMNS = ["d", "f", "i", "b", "s", "day", "seen_at", "price", "total", "few"]


def made_up(seed: int = 1, rows: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(seed)
    d = rng.normal(size=rows)
    d[:3] = [np.nan, np.inf, -np.inf]
    day = [dt.date(2020, 1, 1) + dt.timedelta(days=int(value)) for value in rng.integers(0, 500, rows)]
    cents = [int(value) for value in rng.integers(-(10**6), 10**6, rows)]
    return pa.table(
        {
            "d": pa.array(d, mask=rng.random(rows) < 0.05),
            "f": pa.array(np.where(rng.random(rows) < 0.1, np.nan, d).astype(np.float32)),
            "i": rng.integers(2**53 - 50, 2**53 + 50, rows),
            "b": pa.array(rng.random(rows) < 0.3, mask=rng.random(rows) < 0.1),
            "s": pa.array([f"c{value}" for value in rng.integers(0, 80, rows)], mask=rng.random(rows) < 0.02),
            "day": day,
            "seen_at": pa.array(rng.integers(0, 10**15, rows), pa.timestamp("us", "UTC")),
            "price": pa.array([Decimal(value).scaleb(-2) for value in cents], pa.decimal128(10, 2)),
            "total": pa.array([Decimal(value * 10**14).scaleb(-2) for value in cents], pa.decimal128(38, 2)),
            "few": pa.array(rng.integers(0, 4, rows), pa.int16()),
            "region": rng.choice(["n", "s", "e"], rows),
        }
    )


def types(frame: DataFrame) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in frame.schema.fields}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a slice")  # a space in the path, as in real life
    parquet.write_table(made_up(), folder / "part.parquet", row_group_size=700)
    return folder


@pytest.fixture(scope="module")
def frame(spark: SparkSession, folder: Path) -> DataFrame:
    return spark.read.parquet(str(folder))


@pytest.fixture(scope="module")
def profile() -> Profile:
    reference_rows = made_up(seed=2)
    cutting = Cutting(bins=10, categories=20, max_values=6)
    return build_arrow(reference_rows, COLUMNS, segments=["region"], cutting=cutting)


@pytest.fixture(scope="module")
def counts(frame: DataFrame, profile: Profile) -> Counts:
    return count(frame, profile)


def test_every_row_is_in_one_cell_of_every_feature(counts: Counts) -> None:
    assert counts.disagreeing(ROWS) == []
    assert counts.problems == {}


@pytest.mark.parametrize("partitions", [1, 3, pytest.param(200, marks=pytest.mark.slow)])
def test_partitions_do_not_matter(frame: DataFrame, profile: Profile, counts: Counts, partitions: int) -> None:
    assert np.array_equal(count(frame.repartition(partitions), profile).rows, counts.rows)


def test_a_task_that_failed_once_counts_once(frame: DataFrame, profile: Profile, counts: Counts) -> None:
    def fails_at_first(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        yield from batches
        if context and context.partitionId() == 1 and context.attemptNumber() == 0:
            raise RuntimeError("the node of this task was lost")

    retried = frame.repartition(3).mapInArrow(fails_at_first, frame.schema)
    assert np.array_equal(count(retried, profile).rows, counts.rows)


def test_a_pass_that_does_something_else_carries_the_counts_out(
    frame: DataFrame, profile: Profile, counts: Counts
) -> None:
    def scored(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        counter = Counter(profile)
        for batch in batches:
            counter.add(batch)
            yield pa.record_batch({"score": batch.column("d"), "part": pa.nulls(len(batch), pa.binary())})
        yield pa.record_batch({"score": pa.nulls(1, pa.float64()), "part": [counter.part(context.partitionId())]})

    observation = Observation("drift counts")
    rows = frame.repartition(3).mapInArrow(scored, "score double, part binary")
    observed = rows.observe(observation, F.collect_list("part").alias("parts")).where("part IS NULL").drop("part")
    assert observed.count() == ROWS
    assert np.array_equal(merge(profile, map(bytes, observation.get["parts"])).rows, counts.rows)


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_files_read_in_the_workers_give_the_same_counts(
    spark: SparkSession, frame: DataFrame, profile: Profile, counts: Counts, tasks: int
) -> None:
    found = count_files(spark, frame.inputFiles(), profile, types=types(frame), tasks=tasks)
    assert np.array_equal(found.rows, counts.rows)
    assert np.array_equal(found.sum_w, counts.sum_w)


def test_a_column_added_later_is_null_in_the_older_file(spark: SparkSession, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"x": [1, 2]}), tmp_path / "1.parquet")
    parquet.write_table(pa.table({"x": [3], "y": ["a"]}), tmp_path / "2.parquet")
    profile = build_arrow(pa.table({"x": [1, 2, 3], "y": ["a", "b", "a"]}), ["x", "y"])
    frame = spark.read.schema("x long, y string").parquet(str(tmp_path))
    found = count_files(spark, frame.inputFiles(), profile, types=types(frame), tasks=2)
    assert found.of("y").rows.tolist() == [1, 0, 0, 0, 2]
    assert np.array_equal(found.rows, count(frame, profile).rows)


def test_a_vanished_and_a_retyped_column_are_problems_and_the_others_are_counted(
    spark: SparkSession, frame: DataFrame, profile: Profile, counts: Counts
) -> None:
    changed = frame.drop("d").withColumn("few", frame["few"].cast("string"))
    found = count(changed, profile)
    assert found.problems == {
        "d": "column is gone, it was double at training",
        "few": "type is string, it was smallint at training",
    }
    assert found.of("i").rows.tolist() == counts.of("i").rows.tolist()
    assert found.of("few").rows.sum() == 0
    read = count_files(spark, frame.inputFiles(), profile, types=types(changed), tasks=2)
    assert read.problems == found.problems
    assert np.array_equal(read.rows, found.rows)


def test_columns_of_any_name_are_counted_by_way_of_spark(spark: SparkSession) -> None:
    names = ["a.b", "c`d", "e", "it's", "f"]
    table = pa.table({name: [1.5, 2.5, None] for name in names})
    profile = build_arrow(table, names)
    rows = [(1.5,) * 5, (2.5,) * 5, (None,) * 5]
    found = count(spark.createDataFrame(rows, ", ".join(f"`{n.replace('`', '``')}` double" for n in names)), profile)
    assert not found.problems
    assert {name: found.of(name).rows.tolist() for name in names} == {
        name: found.of("e").rows.tolist() for name in names
    }
    assert found.of("e").rows.sum() == 3


def test_an_empty_night_is_zeros(frame: DataFrame, profile: Profile) -> None:
    assert count(frame.limit(0), profile).rows.sum() == 0
    assert count(frame.select("region"), profile.only(["d"])).problems


def test_spark_sql_and_duckdb_count_the_same(
    spark: SparkSession, frame: DataFrame, folder: Path, profile: Profile, counts: Counts
) -> None:
    names = [name for name in COLUMNS if name != "s"]
    expected = [value for name in names for value in counts.of(name).rows.tolist()]

    def query(micros: str) -> str:
        return "SELECT " + ", ".join(sql for name in names for sql in _cells_in_sql(profile, name, micros))

    frame.createOrReplaceTempView("drift_night")
    assert list(spark.sql(f"{query('unix_micros')} FROM drift_night").first() or ()) == expected
    assert duckdb.sql(f"{query('epoch_us')} FROM '{folder}/*.parquet'").fetchall() == [tuple(expected)]


def test_spark_sql_and_duckdb_count_the_same_texts(frame: DataFrame, folder: Path) -> None:
    before = made_up(seed=2).filter(~pc.starts_with(pc.field("s"), "c7"))  # eleven of the eighty are new to the profile
    profile, seen = build_arrow(before, ["s"], cutting=Cutting(categories=20)), set(before.column("s").to_pylist())
    cells = profile["s"].cells
    assert isinstance(cells, CategoricalCells)
    groups = {row["s"]: row["count"] for row in frame.groupBy("s").count().collect()}
    assert groups == dict(duckdb.sql(f"SELECT s, count(*) FROM '{folder}/*.parquet' GROUP BY s").fetchall())
    rare = {text: rows for text, rows in groups.items() if text is not None and text not in cells.top}
    other, unseen = (sum(rows for text, rows in rare.items() if (text in seen) is known) for known in (True, False))
    found = count(frame, profile).of("s").rows.tolist()
    assert found == [*(groups[text] for text in cells.top), other, unseen, groups[None]]
    assert min(other, unseen, groups[None]) > 0


def _cells_in_sql(profile: Profile, name: str, micros: str) -> list[str]:
    """count of each cell, as anybody would write it; `micros` is the dialect's name of microseconds since 1970."""
    feature = profile[name]
    cells, kind = feature.cells, feature.type
    value = f"{micros}({name})" if kind == "timestamp" else name
    is_float = kind in ("float", "double")

    def literal(number: float) -> str:
        if kind == "timestamp":
            return str(number)
        return f"CAST('{repr(number) if is_float else to_text(number, kind)}' AS {kind})"

    if isinstance(cells, NumericCells):
        ends = [literal(end) for end in (cells.low, *cells.edges, cells.high)]
        conditions = [f"{value} < {ends[0]}", f"{value} BETWEEN {ends[0]} AND {ends[1]}"]
        conditions += [f"{value} > {low} AND {value} <= {high}" for low, high in pairwise(ends[1:])]
        conditions.append(f"{value} > {ends[-1]}")
    else:
        assert isinstance(cells, ValueCells)
        declared = [literal(each) for each in cells.values]
        conditions = [f"{value} = {each}" for each in declared] + [f"{value} NOT IN ({', '.join(declared)})"]
    nan = f"isnan({name})" if is_float else "1 = 0"
    conditions = [*(f"NOT ({nan}) AND {condition}" for condition in conditions), nan, f"{name} IS NULL"]
    return [f"count(CASE WHEN {condition} THEN 1 END)" for condition in conditions]


def test_spark_freezes_the_same_cells_and_counts_as_memory(frame: DataFrame) -> None:
    cutting = Cutting(bins=10, categories=20, max_values=6)
    built = build(frame.repartition(3), COLUMNS, segments=["region"], roles={"d": "score"}, cutting=cutting)
    expected = build_arrow(made_up(), COLUMNS, segments=["region"], cutting=cutting)
    assert built.families == expected.families
    for name in COLUMNS:
        assert built[name].cells == expected[name].cells
        assert built[name].counts == expected[name].counts
        mean = expected[name].mean
        assert built[name].mean == (mean and pytest.approx(mean, rel=1e-9))
    assert (built["d"].role, built["f"].role) == ("score", "feature")


def test_edges_come_from_a_sample_but_the_range_and_the_counts_from_all_rows(frame: DataFrame) -> None:
    cutting = Cutting(bins=10, max_values=0, sample_rows=500)
    built = build(frame, ["i", "day"], cutting=cutting)
    everything = reference(build_arrow(made_up(), ["i", "day"], cutting=Cutting(bins=10, max_values=0)))
    for name in ("i", "day"):
        assert built[name].n == ROWS
        cells, exact = built[name].cells, everything.profile[name].cells
        assert isinstance(cells, NumericCells)
        assert isinstance(exact, NumericCells)
        assert (cells.low, cells.high) == (exact.low, exact.high)
        assert built[name].counts[0][0] == built[name].counts[0][-3] == 0


@pytest.mark.parametrize("features", [5, 50, 500])
def test_one_job_for_any_number_of_features(spark: SparkSession, features: int, tmp_path: Path) -> None:
    table = pa.table({f"x{i}": [1.0, 2.0, None] for i in range(features)})
    parquet.write_table(table, tmp_path / "part.parquet")
    frame = spark.read.parquet(str(tmp_path))
    profile = build_arrow(table, table.column_names)
    tracker = spark.sparkContext.statusTracker()
    for group, run in (
        (f"frame {features}", lambda: count(frame, profile)),
        (f"files {features}", lambda: count_files(spark, frame.inputFiles(), profile, types=types(frame), tasks=2)),
    ):
        spark.sparkContext.setJobGroup(group, group)
        assert run().disagreeing(3) == []
        assert len(tracker.getJobIdsForGroup(group)) <= 2
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]


def test_all_sources_of_a_night_are_one_job(spark: SparkSession, frame: DataFrame, profile: Profile) -> None:
    parts = [profile.only(names) for names in (["d", "s"], ["i"], ["f"], ["day"])]
    gone = frame.drop("f")
    tracker = spark.sparkContext.statusTracker()
    spark.sparkContext.setJobGroup("night", "night")
    found = collected(
        [
            of_files(spark, frame.inputFiles(), parts[0], types=types(frame), tasks=2),
            of_frame(frame.repartition(3), parts[1]),
            of_frame(gone, parts[2]),
            of_files(spark, [], parts[3], types=types(frame), tasks=2),
        ]
    )
    assert len(tracker.getJobIdsForGroup("night")) <= 2
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    assert [counts.disagreeing(ROWS) for counts in found] == [[], [], [], ["day"]]
    assert (found[2].problems, found[3].rows.sum()) == ({"f": "column is gone, it was float at training"}, 0)
    together = zero(profile)
    for counts in found[:2]:
        together = together.replaced(counts)
    whole = count(frame, profile)
    for name in ("d", "s", "i"):
        assert np.array_equal(together.of(name).rows, whole.of(name).rows)
