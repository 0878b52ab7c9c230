"""Point-in-time lookups of eight values: our engine and its interval table against DuckDB and Feast's own Spark store.

Every side applies both clocks.

lookup_vs_duckdb     tables as they are, against DuckDB's ASOF join
stored_vs_duckdb     on our interval table, whose making is printed as prepare_vs_duckdb; labels drawn afterwards
feast_vs_lookup      Feast's own Spark store on the same tables, against our engine
feast_vs_stored      the same against our interval table
dense_vs_sparse      ten times denser keys at equal row counts
five_views_vs_one    five views in one call against one
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.feature_store.retrieve import FEW
from scorelake.features.asof import as_of
from scorelake.features.history import as_of_intervals, intervals
from scorelake.features.views import View, Window
from tests.benchmarks import feast_spark, harness, history
from tests.benchmarks.harness import Options, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    from pyspark.sql import DataFrame, SparkSession

    from tests.benchmarks.history import Tables

# Corrections keep entity and event time here, so that a later version simply beats an earlier one. An event that
# arrives when a later one is already known is hidden by it.
ASOF = """
WITH seen AS (SELECT *, greatest(event_time, available_at) AS seen_at FROM '{events}'),
latest AS (
  SELECT * FROM seen
  QUALIFY event_time >= max(event_time) OVER (PARTITION BY entity ORDER BY seen_at ROWS UNBOUNDED PRECEDING)
)
SELECT l.*, {values}
FROM '{labels}' l ASOF LEFT JOIN latest e ON l.entity = e.entity AND l.event_timestamp >= e.seen_at
"""


def view(events: DataFrame, name: str = "events") -> View:
    return View(
        name,
        events,
        {"entity": "entity"},
        event_time="event_time",
        available_at="available_at",
        row_keys=("entity", "row_id"),
        lookups={value: value for value in history.VALUES},
        prefix="" if name == "events" else f"{name}_",
        is_scan=True,
    )


def five_views(events: DataFrame) -> Sequence[View]:
    """Two of lookups and three of windows, over one table."""
    month = timedelta(days=30)
    base = view(events)
    clocks = {"event_time": "event_time", "available_at": "available_at", "row_keys": base.row_keys}
    windows = [
        (Window("count_30d", "count", "*", month), Window("sum_30d", "sum", "v1", month)),
        (Window("max_30d", "max", "v2", month), Window("mean_30d", "mean", "v3", month)),
        (Window("kinds_30d", "count_distinct", "v5", month), Window("age", "age", "*", month)),
    ]
    fresh = View("fresh", events, base.join_keys, **clocks, ttl=month, lookups={"fresh_v1": "v1", "fresh_v2": "v2"})
    return [base, fresh, *(View(f"w{i}", events, base.join_keys, **clocks, windows=w) for i, w in enumerate(windows))]


def duckdb_lookup(database: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    values = ", ".join(f"e.{value}" for value in history.VALUES)
    query = ASOF.format(events=tables.events, labels=tables.labels, values=values)
    database.execute(f"CREATE OR REPLACE TEMP TABLE answer AS {query}")


def are_equal(database: duckdb.DuckDBPyConnection, ours: DataFrame) -> bool:
    """Whether DuckDB's table `answer` holds the same rows, as multisets."""
    mine = ours.toArrow()  # noqa: F841  (DuckDB reads it by name)
    differing = (
        "SELECT count(*) FROM ((TABLE mine EXCEPT ALL TABLE answer) UNION ALL (TABLE answer EXCEPT ALL TABLE mine))"
    )
    (count,) = database.execute(differing).fetchall()[0]
    return bool(count == 0)


def bench(spark: SparkSession, options: Options) -> Report:
    """Lookups: see the module."""
    rows, labels = int(2_000_000 * options.scale), int(200_000 * options.scale)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sparse = history.write(folder, "sparse", rows=rows, labels=labels, entities=max(labels // 10, 5))
        dense = history.write(folder, "dense", rows=rows, labels=labels, entities=max(labels // 100, 2))
        return _compare(spark, options, sparse, dense)


def _prepare(spark: SparkSession, tables: Tables) -> Path:
    """Write the interval table beside the events; where it is."""
    stored = tables.events.with_name("intervals")
    intervals(view(spark.read.parquet(str(tables.events)))).write.mode("overwrite").parquet(str(stored))
    return stored


def _compare(spark: SparkSession, options: Options, sparse: Tables, dense: Tables) -> Report:
    database = history.connect()

    def lookup(tables: Tables) -> DataFrame:
        return as_of(spark.read.parquet(str(tables.labels)), [view(spark.read.parquet(str(tables.events)))])

    before = harness.cpu_seconds()
    interval_table = _prepare(spark, sparse)
    prepared = harness.cpu_seconds() - before
    history.draw_labels(sparse, seed=99)

    feast = feast_spark.store(sparse.events.parent, sparse)

    def stored() -> DataFrame:
        events, labels = (spark.read.parquet(str(place)) for place in (sparse.events, sparse.labels))
        few = labels if labels.count() <= FEW else None  # as the jobs do
        return as_of_intervals(labels, view(events), spark.read.parquet(str(interval_table)), questions=few)

    equal = True
    theirs = feast_spark.lookup(feast, spark, sparse)
    for tables, answers in ((sparse, [lookup(sparse), stored(), theirs]), (dense, [lookup(dense)])):
        duckdb_lookup(database, tables)
        equal = equal and all(are_equal(database, answer) for answer in answers)
    sides = {
        "lookup": lambda: harness.act(lookup(sparse)),
        "duckdb": lambda: duckdb_lookup(database, sparse),
        "stored": lambda: harness.act(stored()),
        "feast": lambda: harness.act(feast_spark.lookup(feast, spark, sparse)),
        "dense": lambda: harness.act(lookup(dense)),
        "five_views": lambda: harness.act(
            as_of(spark.read.parquet(str(sparse.labels)), five_views(spark.read.parquet(str(sparse.events))))
        ),
    }
    cpu = harness.measure(sides, options.rounds, wake=lambda: harness.wake(spark)) if options.rounds else {}
    ratios = {
        "lookup_vs_duckdb": ("lookup", "duckdb"),
        "stored_vs_duckdb": ("stored", "duckdb"),
        "feast_vs_lookup": ("feast", "lookup"),
        "feast_vs_stored": ("feast", "stored"),
        "dense_vs_sparse": ("dense", "lookup"),
        "five_views_vs_one": ("five_views", "lookup"),
    }
    found = {name: harness.ratio(cpu, *pair) for name, pair in ratios.items()} if cpu else {}
    extra = {"prepare_vs_duckdb": prepared / cpu["duckdb"]} if cpu else {}
    return Report("pit", equal, cpu, found, sparse.rows, options.rounds, extra)


if __name__ == "__main__":
    harness.main(bench)
