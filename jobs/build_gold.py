"""Build gold tables and labels from what was known at the end of each run date.

Reads   silver.*, gold.*, as visible at D+1 00:00 (labels: at the instant when they are known)
Writes  gold.*, the slices of the given run dates; a re-run replaces them
        ops.decisions, a row an expectation and date

    ./spark-submit.sh build_gold --env local --run-date 2017-11-26
    ./spark-submit.sh build_gold --env local --from 2017-01-01 --to 2017-12-31 --only gold.lapse_28d

A date that fails an expectation of action `fail` is not written (exit code 4); the others are.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from jobs import _as_of, _inputs
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph
from scorelake.nightly.graph import Node
from scorelake.quality import gate
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake, columns_of, slices
from scorelake.stores.marks import Mark
from scorelake.stores.staging import staging
from scorelake.transform import gold, python

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from scorelake.tables import Gold
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
            outcomes += [_build(lake, definitions, settings, node, chunk) for chunk in ranges]
            outcomes.append(Outcome(missing=missing))

    return runs.combined(outcomes)


def _build(lake: Lake, definitions: Definitions, settings: Settings, node: Node, dates: RunDates) -> Outcome:
    contract = definitions.gold[node.table]
    inputs = lake.versions(node.inputs)
    cutoffs = gold.cutoffs_of(contract.label, dates) if contract.label is not None else []
    instants = len(cutoffs) if contract.label is not None else len(dates)

    with _as_of.reader(lake, definitions, node.inputs, instants=instants) as at:
        rows = rows_of(lake.spark, definitions, node, dates, cutoffs, at)
        mark = Mark(runs.run_id(), STEP, tuple(dates), node.definition_hash, inputs)
        # A label has rows only where one of its cut-offs becomes known.
        judged = [gold.label_slice(day, contract.label) for day in cutoffs] if contract.label is not None else [*dates]
        if not contract.expectations or not judged:
            return _write(lake, contract, rows, mark)
        with staging(lake) as stage:  # judged and written from one evaluation
            return _judged(lake, settings, contract, stage(rows), sorted(set(judged)), mark, stage)


def _judged(
    lake: Lake,
    settings: Settings,
    contract: Gold,
    rows: DataFrame,
    judged: Sequence[date],
    mark: Mark,
    stage: gate.Stage,
) -> Outcome:
    """Write the slices that keep to the contract's expectations; the others stay as they were."""
    python.import_all(settings.conf_dir)  # expectation classes of the team register themselves
    verdicts = gate.whole(rows, gate.Subject.of(contract), contract.expectations, judged, stage)
    ops.record_decisions(lake, [decision for verdict in verdicts for decision in verdict.decisions()])
    refused_dates = {verdict.run_date for verdict in verdicts if verdict.refused}
    passed = tuple(day for day in mark.dates if day not in refused_dates)
    refused = tuple(str(verdict) for verdict in verdicts if verdict.refused)
    if not passed:
        return Outcome(refused=refused)
    written = _write(lake, contract, rows.where(slices(passed)), replace(mark, dates=passed))
    return replace(written, refused=refused)


def _write(lake: Lake, contract: Gold, rows: DataFrame, mark: Mark) -> Outcome:
    lake.create(contract.name, columns_of(rows, contract), partitioned_by=["run_date"], comment=contract.description)
    return Outcome({contract.name: lake.replace_slices(rows, contract.name, mark).rows})


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
