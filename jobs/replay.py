"""Rebuild the silver slices that hold quarantined rows, under today's rules.

Reads   quarantine.* (which slices), bronze.* (their rows)
Writes  quarantine.*, silver.*, those slices; available_at stays what it was

    ./spark-submit.sh replay --env local
    ./spark-submit.sh replay --env local --only silver.transactions

For every table a note says how many rows were quarantined before and after. A slice that today's rules refuse stays
as it is (exit code 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _silver
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.definitions import load_definitions
from scorelake.nightly import freshness, graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake
from scorelake.transform import python

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from pyspark.sql import SparkSession

DATES = False


def run(spark: SparkSession, settings: Settings, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    python.import_all(definitions.conf_dir)
    lake = Lake(spark, settings.lake)
    wanted = cli.chosen(definitions.silver, only)

    outcomes = []
    for node in graph.table_nodes(definitions):
        before = _quarantined(lake, node.table) if node.table in wanted else {}
        if before:
            for days in freshness.ranges(before):
                chunks = days.chunks(settings.limits.range_chunk_days)
                outcomes += [_silver.build(lake, definitions, settings, node, chunk) for chunk in chunks]
            outcomes.append(Outcome(notes=(_note(node.table, before, _quarantined(lake, node.table)),)))
    return runs.combined(outcomes)


def _quarantined(lake: Lake, table: str) -> dict[date, int]:
    """Quarantined rows of the slices that have some: a row a slice."""
    quarantine = _silver.quarantine_of(table)
    if not lake.exists(quarantine):
        return {}
    return {row[0]: row[1] for row in lake.read(quarantine).groupBy("run_date").count().orderBy("run_date").collect()}


def _note(table: str, before: dict[date, int], after: dict[date, int]) -> str:
    rows: Collection[int] = [after.get(day, 0) for day in before]
    return f"{table}: {sum(before.values()):,} quarantined rows in {len(before)} slices before, {sum(rows):,} after"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
