"""Compact the files of every table and remove those that no version needs any more.

Reads   every table of the lake that the definitions know, and the logs
Writes  the same tables, compacted; no row and no slice changes

    ./spark-submit.sh maintain_tables --env local
    ./spark-submit.sh maintain_tables --env local --only silver.transactions --keep-days 30

Versions younger than --keep-days stay readable. Safe to repeat and to interrupt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.definitions import load_definitions
from scorelake.errors import UsageError
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS = {
    "--keep-days": {"type": "int", "default": 30, "help": "versions younger than this stay (default 30, least 7)"}
}
DATES = False


def run(spark: SparkSession, settings: Settings, only: Names = ALL, *, keep_days: int = 30) -> Outcome:
    if keep_days < 7:
        raise UsageError(f"--keep-days {keep_days}: a running job may still read files of the last 7 days")
    lake = Lake(spark, settings.lake)
    tables = [table for table in graph.tables_written(load_definitions(settings.conf_dir)) if lake.owns(table)]

    return Outcome(notes=tuple(_maintain(lake, table, keep_days) for table in cli.chosen(tables, only)))


def _maintain(lake: Lake, table: str, keep_days: int) -> str:
    """Compact, then vacuum; one line of what was done."""
    name = lake.identifier(table)
    [metrics] = [row["metrics"] for row in lake.spark.sql(f"OPTIMIZE {name}").collect()]
    lake.spark.sql(f"VACUUM {name} RETAIN {keep_days * 24} HOURS")
    return f"{table}: {metrics['numFilesRemoved']} files became {metrics['numFilesAdded']}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
