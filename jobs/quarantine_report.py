"""Show what was quarantined: rows by rule and slice, with a few examples of each rule.

Reads   quarantine.*, the slices of the given run dates
Writes  nothing

    ./spark-submit.sh quarantine_report --env local --run-date 2017-11-26
    ./spark-submit.sh quarantine_report --env local --from 2017-01-01 --to 2017-12-31 --only silver.transactions

A row that failed several rules counts under each. Examples show where the row stood in its source and its values as
they arrived, without those that are personal or that feed a personal column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs import _personal, _silver
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake
from scorelake.tables import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

OPTIONS = {"--examples": {"type": "int", "default": 2, "help": "rows to show of each rule (default 2)"}}
_LONGEST = 60
"""Characters of a value that an example shows."""


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL, *, examples: int = 2) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    wanted = cli.chosen(definitions.silver, only)

    outcomes = []
    for node in graph.table_nodes(definitions):
        quarantine = _silver.quarantine_of(node.table)
        if node.table in wanted and lake.exists(quarantine):
            rows = lake.read_slices(quarantine, dates)
            shown = _personal.shown_columns(definitions, node)
            outcomes.append(Outcome(notes=(f"{node.table}: {rows.count():,} rows quarantined, {dates}",)))
            outcomes.append(Outcome(notes=tuple(_by_rule(rows, shown, examples))))
    return runs.combined(outcomes)


def _by_rule(rows: DataFrame, shown: list[str], examples: int) -> Iterator[str]:
    """Lines about each rule, the commonest first. What comes back: a row a rule, and `examples` rows of each."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    place = ["run_date", "source_file", "source_row"]
    values = [F.struct(*map(quoted, shown)).alias("row")] if shown else []
    by_rule = rows.select(F.explode("reasons").alias("rule"), *place, *values)
    counts = by_rule.groupBy("rule").agg(
        F.count("*").alias("rows"), F.min("run_date").alias("first"), F.max("run_date").alias("last")
    )
    first = Window.partitionBy("rule").orderBy(*place)
    some = by_rule.withColumn("number", F.row_number().over(first)).where(F.col("number") <= examples)
    found: dict[str, list[Any]] = {}
    for row in some.orderBy("rule", "number").collect() if examples else ():
        found.setdefault(row["rule"], []).append(row)
    for count in counts.orderBy(F.desc("rows"), "rule").collect():
        span = str(count["first"]) if count["first"] == count["last"] else f"{count['first']} to {count['last']}"
        yield f"  {count['rule']}: {count['rows']:,} rows, {span}"
        for row in found.get(count["rule"], ()):
            yield f"    {row['source_file']} row {row['source_row']}: {_values(row)}"


def _values(row: Any) -> str:
    """The values of an example that are there, each cut to a readable length."""
    values = row["row"].asDict() if "row" in row else {}
    return ", ".join(f"{name}={str(value)[:_LONGEST]!r}" for name, value in values.items() if value is not None)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
