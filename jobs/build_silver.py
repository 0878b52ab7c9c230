"""Cast, deduplicate and judge bronze slices; accepted rows become silver, the others go to quarantine with reasons.

Reads   bronze.*, silver.* that the SQL joins (as known at D+1 00:00)
Writes  quarantine.<table>, then silver.<table>, the slices of the given run dates; a re-run replaces them
        ops.decisions, a row an expectation and date

    ./spark-submit.sh build_silver --env local --run-date 2017-11-26
    ./spark-submit.sh build_silver --env local --from 2017-01-01 --to 2017-12-31 --only silver.transactions

Accepted + quarantined = input, always. A date that fails a gate is not written (exit code 4); the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _inputs, _silver
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake
from scorelake.transform import python

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    python.import_all(definitions.conf_dir)  # expectation classes of the team register themselves
    lake = Lake(spark, settings.lake)
    wanted = cli.chosen(definitions.silver, only)

    outcomes = []
    for node in graph.table_nodes(definitions):
        if node.table in wanted:
            ranges, missing = _inputs.complete(lake, definitions, settings, node, dates)
            outcomes += [_silver.build(lake, definitions, settings, node, chunk) for chunk in ranges]
            outcomes.append(Outcome(missing=missing))
    return runs.combined(outcomes)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
