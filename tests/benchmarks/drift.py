"""What a night's drift costs against merely reading its columns.

    python -m tests.benchmarks.drift --scale 0.2 --rounds 3

Full scale: 5 million rows of 50 columns in Parquet, 10 of them texts, 5 % nulls. Sides: `scan` reads the columns into
nothing; `drift` counts them inside the workers and judges all measures; `workers` starts these, which Spark ends after
a minute without Python, and belongs to a night's cost; `frame` counts the same by `mapInArrow`; `fused` and `pass` are
a scoring pass with and without counting; `sql` takes quantiles, moments and group counts with functions of Spark, as
one would without frozen cells. `half_rows` and `half_columns` are `drift` on half of the files and of the columns:
twice either should cost twice as much. What the driver holds at once may not grow with rows.

Evidently is no part of the lock. A Python that has it is named by EVIDENTLY_PYTHON; without one its ratio is left out:

    python -m venv /tmp/evidently && /tmp/evidently/bin/pip install evidently==0.7.23 pandas==2.3.3 pyarrow
    EVIDENTLY_PYTHON=/tmp/evidently/bin/python python -m tests.benchmarks.drift

It compares one of the ten files, which is what it bears in memory, with the same reference as `one_file` of ours.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from scorelake.drift.build import build_arrow
from scorelake.drift.cells import CategoricalCells, NumericCells
from scorelake.drift.counting import count, count_files
from scorelake.drift.counts import Counts
from scorelake.drift.evaluate import Verdicts, evaluate
from scorelake.drift.kernel import Counter, merge
from scorelake.drift.profile import Profile
from scorelake.drift.rows import Night
from scorelake.models.watching import Drift
from tests.benchmarks import harness

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILES = 10
ROWS = 5_000_000
MOST_JOBS = 2
NUMBERS = [f"x{i}" for i in range(40)]
TEXTS = [f"t{i}" for i in range(10)]
COLUMNS = NUMBERS + TEXTS


def made_up(seed: int, rows: int) -> pa.Table:
    """Doubles, floats, integers and flags; texts of 5 to 200 categories; a twentieth of everything null."""
    rng = np.random.default_rng(seed)
    columns = {}
    for i, name in enumerate(NUMBERS):
        values = rng.normal(i, 1 + i / 10, rows)
        kind = {7: np.int64, 8: np.float32, 9: np.int8}.get(i % 10, np.float64)
        columns[name] = pa.array(
            (values * (1000 if kind is np.int64 else 1)).astype(kind), mask=rng.random(rows) < 0.05
        )
    for i, name in enumerate(TEXTS):
        categories = pa.array([f"category {value}" for value in range((5, 20, 50, 80, 200)[i % 5])])
        codes = np.minimum(rng.geometric(0.05, rows), len(categories)) - 1
        encoded = pa.DictionaryArray.from_arrays(pa.array(codes, mask=rng.random(rows) < 0.05), categories)
        columns[name] = encoded.cast(pa.string())
    return pa.table(columns)


def bench(spark: SparkSession, options: harness.Options) -> harness.Report:
    rows = max(int(ROWS * options.scale) // FILES, 1)
    with tempfile.TemporaryDirectory(prefix="bench-drift-") as folder:
        files = [str(Path(folder) / f"{file}.parquet") for file in range(FILES)]
        for file, path in enumerate(files, start=1):
            parquet.write_table(made_up(file, rows), path)
        before = made_up(0, min(rows, 100_000))
        profile, frame = build_arrow(before, COLUMNS), spark.read.parquet(folder)
        half, two = profile.only(COLUMNS[::2]), build_arrow(pa.table({"id": [0, 1]}), ["id"])
        sides = {
            "scan": lambda: harness.act(frame),
            "workers": lambda: count(spark.range(0, 2, 1, 2), two),
            "drift": lambda: _night(profile, _from_files(spark, frame, files, profile)),
            "half_rows": lambda: _night(profile, _from_files(spark, frame, files[: FILES // 2], profile)),
            "half_columns": lambda: _night(half, _from_files(spark, frame, files, half)),
            "one_file": lambda: _night(profile, _from_files(spark, frame, files[:1], profile)),
            "frame": lambda: count(frame, profile),
            "pass": lambda: _scoring_pass(frame, None),
            "fused": lambda: _scoring_pass(frame, profile),
            "sql": lambda: _spark_sql(frame),
        }
        cpu = harness.measure(sides, options.rounds, warm_up=1) if options.rounds else {}
        equal = _answers_equal(spark, frame, files, profile)
        jobs = _jobs(spark, sides["drift"])
        memory = {f"driver_mb_{name}": _driver_mb(sides[name]) for name in ("half_rows", "drift")}
        evidently = _evidently(files[0], before) if options.rounds else None
    scan = cpu.get("scan", 0.0)
    ratios = {
        "drift_vs_scan": harness.ratio(cpu, "workers", "scan") + harness.ratio(cpu, "drift", "scan"),
        "frame_vs_scan": harness.ratio(cpu, "frame", "scan"),
        "fused_vs_scan": (cpu["fused"] - cpu["pass"]) / scan if scan else 0.0,
        "spark_sql_vs_drift": harness.ratio(cpu, "sql", "drift"),
        "drift_vs_half_rows": harness.ratio(cpu, "drift", "half_rows"),
        "drift_vs_half_columns": harness.ratio(cpu, "drift", "half_columns"),
    }
    if evidently is not None:
        cpu |= {"evidently": evidently}
        ratios["evidently_vs_drift"] = harness.ratio(cpu, "evidently", "one_file")
    return harness.Report(
        bench="drift",
        answers_equal=equal and jobs <= MOST_JOBS and memory["driver_mb_drift"] < 1.2 * memory["driver_mb_half_rows"],
        cpu_seconds=cpu,
        ratios=ratios,
        rows=rows * FILES,
        rounds=options.rounds,
        extra={"spark_jobs": jobs, **memory},
    )


def _from_files(spark: SparkSession, frame: DataFrame, files: list[str], profile: Profile) -> Counts:
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    return count_files(spark, files, profile, types=types, tasks=2)


def _jobs(spark: SparkSession, action: Callable[[], object]) -> int:
    """How many Spark jobs an action takes."""
    spark.sparkContext.setJobGroup("bench drift", "bench drift")
    action()
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup("bench drift"))


def _driver_mb(action: Callable[[], object]) -> float:
    """The most that an action holds in this process at once; the JVM holds the same bytes of every task."""
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def _evidently(current: str, reference: pa.Table) -> float | None:
    """CPU seconds of Evidently's PSI of every column of one file; None, said aloud, where it is not installed."""
    python = os.environ.get("EVIDENTLY_PYTHON")
    if not python:
        print("EVIDENTLY_PYTHON is not set: evidently_vs_drift is left out")
        return None
    with tempfile.TemporaryDirectory(prefix="bench-evidently-") as folder:
        parquet.write_table(reference, Path(folder) / "reference.parquet")
        script = [python, str(Path(__file__).with_name("evidently_psi.py")), current, f"{folder}/reference.parquet"]
        answer = subprocess.run(script, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    if answer.returncode:
        print(f"Evidently failed, its ratio is left out: {answer.stderr.strip().splitlines()[-1]}")
        return None
    return float(answer.stdout.split()[-1])


def _night(profile: Profile, counts: Counts) -> Verdicts:
    night = Night(subject="bench", version="1", run_date=dt.date(2020, 1, 1))
    return evaluate(profile, counts, night, Drift())


def _scoring_pass(frame: DataFrame, profile: Profile | None) -> Counts | None:
    """A linear model in a `mapInArrow`; with a profile it counts what it sees and carries the counts out."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        counter = Counter(profile) if profile else None
        for batch in batches:
            matrix = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in NUMBERS])
            if counter:
                counter.add(batch)
            scores = pa.array(np.nan_to_num(matrix) @ np.ones(len(NUMBERS)))
            yield pa.record_batch({"score": scores, "part": pa.nulls(len(batch), pa.binary())})
        context = TaskContext.get()
        part = counter.part(context.partitionId() if context else 0) if counter else None
        yield pa.record_batch({"score": pa.nulls(1, pa.float64()), "part": pa.array([part], pa.binary())})

    observation = Observation()
    parts = F.collect_list("part").alias("parts")
    harness.act(frame.mapInArrow(run, "score double, part binary").observe(observation, parts))
    return merge(profile, map(bytes, observation.get["parts"])) if profile else None


def _spark_sql(frame: DataFrame) -> None:
    """Histogram edges, moments and nulls of every number in one aggregate; a group count for each text."""
    from pyspark.sql import functions as F

    twentieths = [j / 20 for j in range(1, 20)]
    figures = [
        figure
        for name in NUMBERS
        for figure in (
            F.percentile_approx(name, twentieths), F.min(name), F.max(name), F.avg(name), F.stddev(name), F.count(name)
        )
    ]  # fmt: skip
    frame.agg(*figures).collect()
    for name in TEXTS:
        frame.groupBy(name).count().collect()


def _answers_equal(spark: SparkSession, frame: DataFrame, paths: list[str], profile: Profile) -> bool:
    """Three ways to count, and Spark SQL's answer for four columns of different types."""
    from pyspark.sql import functions as F

    files = _from_files(spark, frame, paths, profile)
    fused = _scoring_pass(frame, profile)
    found = all(other and np.array_equal(files.rows, other.rows) for other in (count(frame, profile), fused))
    for name in ("x0", "x7", "x8"):
        cells, value = profile[name].cells, F.col(name)
        assert isinstance(cells, NumericCells)
        ends = [F.lit(end).cast(profile[name].type) for end in (cells.low, *cells.edges, cells.high)]
        cell = sum((value > end).cast("int") for end in ends[1:]) + (value >= ends[0]).cast("int")
        expected = {row[0]: row[1] for row in frame.where(value.isNotNull()).groupBy(cell).count().collect()}
        got = files.of(name).rows
        found &= all(got[i] == expected.get(i, 0) for i in range(len(ends) + 1))
    top = profile["t4"].cells
    assert isinstance(top, CategoricalCells)
    groups = {row[0]: row[1] for row in frame.groupBy("t4").count().collect()}
    return found and all(files.of("t4").rows[i] == groups.get(text, 0) for i, text in enumerate(top.top))


if __name__ == "__main__":
    harness.main(bench)
