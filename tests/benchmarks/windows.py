"""Trailing windows of 7, 30 and 90 days: our engine against DuckDB's range join, both clocks everywhere.

windows_vs_duckdb        count and sum
windows5_vs_duckdb       with mean, max and count_distinct too
dense_windows_vs_duckdb  count and sum, 500 entities instead of 20,000
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.features.asof import as_of
from scorelake.features.views import View, Window
from tests.benchmarks import harness, history
from tests.benchmarks.harness import Options, Report

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame, SparkSession

    from tests.benchmarks.history import Tables

DAYS = (7, 30, 90)
TWO = {"count": ("count", "*", "count(e.entity)"), "total": ("sum", "v1", "sum(e.v1)")}
FIVE = TWO | {
    "mean": ("mean", "v1", "avg(e.v1)"),
    "most": ("max", "v2", "max(e.v2)"),
    "kinds": ("count_distinct", "v5", "count(DISTINCT e.v5)"),
}
"""Feature -> our function, its column, what DuckDB says for it."""

RANGE_JOIN = """
WITH versions AS (
  SELECT entity, event_time, available_at, v1, v2, v5,
    lead(available_at) OVER (PARTITION BY row_id ORDER BY available_at) AS until
  FROM '{events}'
)
SELECT l.label_id, l.entity, l.event_timestamp, {columns}
FROM '{labels}' l LEFT JOIN versions e
  ON e.entity = l.entity
  AND e.event_time < l.event_timestamp AND e.event_time >= l.event_timestamp - INTERVAL 90 DAY
  AND e.available_at <= l.event_timestamp AND (e.until IS NULL OR e.until > l.event_timestamp)
GROUP BY ALL
"""

Functions = dict[str, tuple[str, str, str]]


def ours(spark: SparkSession, tables: Tables, functions: Functions) -> DataFrame:
    windows = tuple(
        Window(f"{name}_{days}d", function, column, timedelta(days=days))
        for name, (function, column, _) in functions.items()
        for days in DAYS
    )
    view = View(
        "events",
        spark.read.parquet(str(tables.events)),
        {"entity": "entity"},
        event_time="event_time",
        available_at="available_at",
        row_keys=("entity", "row_id"),
        order=("row_id",),
        is_scan=True,
        windows=windows,
    )
    return as_of(spark.read.parquet(str(tables.labels)), [view])


def theirs(database: duckdb.DuckDBPyConnection, tables: Tables, functions: Functions) -> None:
    within = "FILTER (WHERE e.event_time >= l.event_timestamp - INTERVAL {} DAY)"
    columns = ", ".join(
        f"{says} {within.format(days)} AS {name}_{days}d" for name, (_, _, says) in functions.items() for days in DAYS
    )
    query = RANGE_JOIN.format(events=tables.events, labels=tables.labels, columns=columns)
    database.execute(f"CREATE OR REPLACE TEMP TABLE answer AS {query}")


def are_equal(database: duckdb.DuckDBPyConnection, mine: DataFrame) -> bool:
    """Whether DuckDB's table `answer` holds the same rows; sums and means up to rounding."""
    our_answer = mine.toArrow()  # noqa: F841  (DuckDB reads it by name)
    names = [name for name in mine.columns if name != "label_id"]
    same = " AND ".join(
        f"(o.{name} IS NOT DISTINCT FROM a.{name}"
        + (f" OR abs(o.{name} - a.{name}) <= 1e-9 * abs(a.{name}))" if name.startswith(("total", "mean")) else ")")
        for name in names
    )
    query = f"""
    SELECT count(*) FILTER ({same}), count(*), (SELECT count(*) FROM answer), (SELECT count(*) FROM our_answer)
    FROM our_answer o JOIN answer a USING (label_id)
    """
    (found,) = database.execute(query).fetchall()
    return len(set(found)) == 1


def bench(spark: SparkSession, options: Options) -> Report:
    """Windows: see the module."""
    rows, labels = int(2_000_000 * options.scale), int(200_000 * options.scale)
    with tempfile.TemporaryDirectory() as folder:
        sparse = history.write(Path(folder), "sparse", rows=rows, labels=labels, entities=max(labels // 10, 5))
        dense = history.write(Path(folder), "dense", rows=rows, labels=labels, entities=max(labels // 400, 2))
        return _compare(spark, options, sparse, dense)


def _compare(spark: SparkSession, options: Options, sparse: Tables, dense: Tables) -> Report:
    database = history.connect()
    pairs: dict[str, tuple[Tables, Functions]] = {
        "windows": (sparse, TWO),
        "windows5": (sparse, FIVE),
        "dense_windows": (dense, TWO),
    }
    equal = True
    for tables, functions in pairs.values():
        theirs(database, tables, functions)
        equal = equal and are_equal(database, ours(spark, tables, functions))
    sides = {}
    for name, (tables, functions) in pairs.items():
        sides[name] = lambda t=tables, f=functions: harness.act(ours(spark, t, f))
        sides[f"{name}_duckdb"] = lambda t=tables, f=functions: theirs(database, t, f)
    cpu = harness.measure(sides, options.rounds, wake=lambda: harness.wake(spark)) if options.rounds else {}
    ratios = {f"{name}_vs_duckdb": harness.ratio(cpu, name, f"{name}_duckdb") for name in pairs} if cpu else {}
    return Report("windows", equal, cpu, ratios, sparse.rows, options.rounds)


if __name__ == "__main__":
    harness.main(bench)
