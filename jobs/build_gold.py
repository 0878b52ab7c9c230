"""Build gold tables and labels from what was known at the end of each run date.

Reads   silver.*, gold.*, as visible at D+1 00:00 (labels: at the instant when they are known)
Writes  gold.*, the slices of the given run dates; a re-run replaces them

    ./spark-submit.sh build_gold --env local --run-date 2017-11-26
    ./spark-submit.sh build_gold --env local --from 2017-01-01 --to 2017-12-31 --only gold.lapse_28d
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from jobs import _as_of, _inputs
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph
from scorelake.nightly.graph import Node
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake, Mark, columns_of
from scorelake.transform import gold, python

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.transform.visible import At

STEP = "build_gold"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    wanted = cli.chosen(definitions.gold, only)

    outcomes = []
    for node in graph.table_nodes(definitions):
        if node.table in wanted:
            ranges, missing = _inputs.complete(lake, definitions, settings, node, dates)
            outcomes += [_build(lake, definitions, node, chunk) for chunk in ranges]
            outcomes.append(Outcome(missing=missing))

    return runs.combined(outcomes)


def _build(lake: Lake, definitions: Definitions, node: Node, dates: RunDates) -> Outcome:
    contract = definitions.gold[node.table]
    inputs = lake.versions(node.inputs)
    cutoffs = gold.cutoffs_of(contract.label, dates) if contract.label is not None else []
    instants = len(cutoffs) if contract.label is not None else len(dates)

    with _as_of.reader(lake, definitions, node.inputs, instants=instants) as at:
        rows = rows_of(lake.spark, definitions, node, dates, cutoffs, at)
        lake.create(node.table, columns_of(rows, contract), partitioned_by=["run_date"], comment=contract.description)
        mark = Mark(runs.run_id(), STEP, tuple(dates), node.definition_hash, inputs)
        return Outcome({node.table: lake.replace_slices(rows, node.table, mark).rows})


def rows_of(
    spark: SparkSession, definitions: Definitions, node: Node, dates: RunDates, cutoffs: list[date], at: At
) -> DataFrame:
    """The slices of `dates` (of a label: its rows of `cutoffs`), from the tables as `at` shows them."""
    contract = definitions.gold[node.table]
    if contract.transform is not None:
        return gold.build_with(python.load(definitions.conf_dir, contract.transform), contract, dates, at)
    query = definitions.sql[node.table]
    if contract.label is None:
        return gold.build(spark, query, contract, dates, at)
    population = definitions.populations[contract.label.population]
    return gold.labels(spark, query, population, contract, cutoffs, at)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
