"""Lookups of eight values at scale: 5 M labels x 100 M rows at --scale 1, beside 200,000 labels x 2 M rows.

Rows are made by Spark's tasks and written as Parquet files, one for each stretch of time, as drops fill a table;
nothing passes through the driver. Compared with DuckDB's ASOF join for every hundredth entity.

scale_vs_small       CPU seconds a source row, large against small; at most 1.3
..._microseconds_a_row   the two sides of it
peak_gigabytes       greatest memory of the process tree (shared pages once) while the large answer was made; at most 6
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark import cloudpickle

from scorelake.features.asof import as_of
from tests.benchmarks import harness, history, pit
from tests.benchmarks.harness import Options, Report
from tests.benchmarks.history import DAY, DAYS, START, Tables, events

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS, LABELS = 100_000_000, 5_000_000
SMALL = 50
"""The small side is so many times smaller."""
ROWS_A_FILE = 1_000_000
ROWS_A_PARTITION = 1_000_000
"""Of the shuffle: what a worker holds at a time, as one would set spark.sql.shuffle.partitions for such a table."""
_ENTITIES_A_PROOF = 100
_MEMORY = "3g"
_EVENTS = "entity bigint, row_id bigint, event_time timestamp, available_at timestamp, " + ", ".join(
    f"{name} {'bigint' if name in history.VALUES[4:6] else 'double'}" for name in history.VALUES
)
_LABELS = "label_id bigint, entity bigint, event_timestamp timestamp"


@dataclass(frozen=True)
class Events:
    """Makes the events of some stretches of the year. Runs in Python workers."""

    stretches: int
    rows: int
    entities: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for stretch in (number for batch in batches for number in batch.column(0).to_pylist()):
            random = np.random.default_rng([7, stretch])
            length = DAYS * DAY // self.stretches
            made = events(random, self.rows, self.entities, since=START + stretch * length, length=length)
            made = made.set_column(1, "row_id", pa.array(made.column("row_id").to_numpy() + stretch * self.rows))
            yield from made.to_batches(max_chunksize=100_000)


@dataclass(frozen=True)
class Labels:
    """Makes a share of the labels. Runs in Python workers."""

    rows: int
    entities: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for share in (number for batch in batches for number in batch.column(0).to_pylist()):
            random = np.random.default_rng([8, share])
            at = START + random.integers(90 * DAY, DAYS * DAY, self.rows)
            columns = [
                pa.array(np.arange(self.rows) + share * self.rows),
                pa.array(random.integers(0, self.entities, self.rows)),
                pa.array(at, pa.timestamp("us", "UTC")),
            ]
            yield pa.RecordBatch.from_arrays(columns, ["label_id", "entity", "event_timestamp"])


def write(spark: SparkSession, folder: Path, *, rows: int, labels: int) -> Tables:
    """Both tables as folders of Parquet files; a hundred rows an entity."""
    for module in (sys.modules[__name__], history):
        cloudpickle.register_pickle_by_value(module)  # workers of the test suite cannot import it
    stretches, entities = max(rows // ROWS_A_FILE, 1), max(rows // 100, 100)
    tables = Tables(folder / "events", folder / "labels", entities, rows, labels)

    def made(work: Events | Labels, schema: str, where: Path) -> None:
        spark.range(0, stretches, 1, stretches).mapInArrow(work, schema).write.parquet(str(where))

    made(Events(stretches, rows // stretches, entities), _EVENTS, tables.events)
    made(Labels(labels // stretches, entities), _LABELS, tables.labels)
    return tables


def lookup(spark: SparkSession, tables: Tables) -> DataFrame:
    rows, labels = spark.read.parquet(str(tables.events)), spark.read.parquet(str(tables.labels))
    return as_of(labels, [pit.view(rows)], partitions=max(tables.rows // ROWS_A_PARTITION, 2))


def is_proved(spark: SparkSession, tables: Tables, folder: Path) -> bool:
    """Whether DuckDB says the same of every hundredth entity."""
    some = {"events": tables.events, "labels": tables.labels}
    for name, path in some.items():
        few = spark.read.parquet(str(path)).where(f"entity % {_ENTITIES_A_PROOF} = 0")
        few.coalesce(1).write.parquet(str(folder / name))
    database = history.connect()
    few_tables = Tables(folder / "events/*.parquet", folder / "labels/*.parquet", 0, 0, 0)
    pit.duckdb_lookup(database, few_tables)
    return pit.are_equal(database, lookup(spark, tables).where(f"entity % {_ENTITIES_A_PROOF} = 0"))


def bench(spark: SparkSession, options: Options) -> Report:
    """Lookups at scale: see the module."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, labels = int(ROWS * options.scale), int(LABELS * options.scale)
        large = write(spark, folder / "large", rows=rows, labels=labels)
        small = write(spark, folder / "small", rows=ROWS // SMALL, labels=LABELS // SMALL) if options.rounds else large
        if not options.rounds:
            return Report("pit_scale", is_proved(spark, large, folder / "few"), {}, {}, rows, 0)
        peaks: list[float] = []

        def awake() -> None:
            harness.wake(spark)

        def at_scale() -> None:
            with _watched_memory(peaks):
                harness.act(lookup(spark, large))

        cpu = harness.measure({"small": lambda: harness.act(lookup(spark, small))}, options.rounds, wake=awake)
        cpu |= harness.measure({"large": at_scale}, options.rounds, warm_up=0, wake=awake)
        cost = {side: cpu[side] * 1e6 / tables.rows for side, tables in (("small", small), ("large", large))}
        ratios = {"scale_vs_small": cost["large"] / cost["small"]}
        equal = is_proved(spark, large, folder / "few")
        extra = {"peak_gigabytes": max(peaks)} | {f"{side}_microseconds_a_row": one for side, one in cost.items()}
        return Report("pit_scale", equal, cpu, ratios, rows, options.rounds, extra)


@contextmanager
def _watched_memory(peaks: list[float]) -> Iterator[None]:
    """Appends the greatest memory of the process tree during the block, looked at twice a second."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            peaks.append(harness.memory_bytes() / 1e9)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    harness.main(bench, memory=_MEMORY)
