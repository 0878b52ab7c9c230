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
from scorelake.transform.views import union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from scorelake.tables import Gold
    from scorelake.transform.visible import At

STEP = "build_gold"

AT_ONCE = 4
"""Days in one query. Spark plans a query anew after each of its stages: 21 label cut-offs in one query took 160 s,
most of it planning."""


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
    asked = asked_of(contract, dates)
    # A label has rows only where one of its cut-offs becomes known.
    judged = [gold.label_slice(day, contract.label) for day in asked] if contract.label is not None else asked
    is_judged = bool(contract.expectations and judged)

    with _as_of.reader(lake, definitions, node.inputs, instants=len(asked)) as at, staging(lake) as stage:
        groups = [asked[n : n + AT_ONCE] for n in range(0, len(asked), AT_ONCE)] or [asked]
        parts = [rows_of(lake.spark, definitions, node, group, at) for group in groups]
        # Judged and written from one evaluation.
        rows = union(map(stage, parts)) if is_judged or len(parts) > 1 else parts[0]
        mark = Mark(runs.run_id(), STEP, tuple(dates), node.definition_hash, inputs)
        if is_judged:
            return _judged(lake, settings, contract, rows, sorted(set(judged)), mark, stage)
        return _write(lake, contract, rows, mark)


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


def asked_of(contract: Gold, dates: RunDates) -> list[date]:
    """The days to ask the table's SQL for: the run dates, or of a label the cut-offs that become known on them."""
    return gold.cutoffs_of(contract.label, dates) if contract.label is not None else [*dates]


def rows_of(spark: SparkSession, definitions: Definitions, node: Node, asked: Sequence[date], at: At) -> DataFrame:
    """The rows of the days `asked` (see `asked_of`), from the tables as `at` shows them."""
    contract = definitions.gold[node.table]
    if contract.transform is not None:
        return gold.build_with(python.load(definitions.conf_dir, contract.transform), contract, asked, at)
    query = definitions.sql[node.table]
    if contract.label is None:
        return gold.build(spark, query, contract, asked, at)
    population = definitions.populations[contract.label.population]
    return gold.labels(spark, query, population, contract, asked, at)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
