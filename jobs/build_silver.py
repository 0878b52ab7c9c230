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

from jobs import _as_of, _inputs
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph
from scorelake.nightly.graph import Node
from scorelake.quality import gate, rules
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake, Mark, columns_of
from scorelake.transform import python, silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.tables import Silver
    from scorelake.transform.silver import Candidates

STEP = "build_silver"

SETTLING = frozenset({"malformed", "duplicate", "superseded_in_drop"})
"""Rules after which a row is not judged any further."""


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    python.import_all(definitions.conf_dir)  # expectation classes of the team register themselves
    lake = Lake(spark, settings.lake)
    wanted = cli.chosen(definitions.silver, only)

    outcomes = []
    for node in graph.table_nodes(definitions):
        if node.table in wanted:
            ranges, missing = _inputs.complete(lake, definitions, settings, node, dates)
            outcomes += [_build(lake, definitions, node, chunk) for chunk in ranges]
            outcomes.append(Outcome(missing=missing))
    return runs.combined(outcomes)


def _build(lake: Lake, definitions: Definitions, node: Node, dates: RunDates) -> Outcome:
    contract = definitions.silver[node.table]
    [bronze] = node.same_date
    landed = lake.marks(bronze, "ingest_bronze")
    due = graph.due_dates(definitions, node.table, dates)
    days = tuple(day for day in due if day in landed)
    missing = tuple(f"{bronze} has no slice {day}" for day in due if day not in landed)
    if not days:
        return Outcome(missing=missing)

    inputs = lake.versions(node.inputs)
    kept: list[DataFrame] = []
    candidates = _candidates(lake, definitions, node, lake.read_slices(bronze, days), kept)
    subject = gate.Subject(
        node.table,
        tuple(contract.column_names),
        frozenset(contract.personal),
        contract.max_quarantined,
        contract.allow_empty,
    )
    implied = [rules.implied(name, failed, settles=name in SETTLING) for name, failed in candidates.rules]
    judge = gate.prepare(candidates.frame, subject, contract.expectations, implied, days)

    with lake.staging() as stage:
        staged = judge.staged(candidates.frame, stage)
        verdicts = judge.verdicts(staged, due=days)
        ops.record_decisions(lake, [decision for verdict in verdicts for decision in verdict.decisions()])
        passed = tuple(verdict.run_date for verdict in verdicts if not verdict.refused)
        refused = tuple(str(verdict) for verdict in verdicts if verdict.refused)
        if not passed:
            return Outcome(missing=missing, refused=refused)
        mark = Mark(runs.run_id(), STEP, passed, node.definition_hash, inputs)
        rejected = judge.quarantined(staged, verdicts)
        accepted = judge.accepted(candidates.frame, staged, verdicts, candidates.columns)
        written = _write(lake, contract, rejected, accepted, mark)
    for frame in kept:
        frame.unpersist()
    return Outcome(written, missing=missing, refused=refused)


def _candidates(lake: Lake, definitions: Definitions, node: Node, rows: DataFrame, kept: list[DataFrame]) -> Candidates:
    contract, bronze = definitions.silver[node.table], definitions.bronze[node.same_date[0]]
    if contract.transform is not None:
        return silver.candidates_of(python.load(definitions.conf_dir, contract.transform), contract, bronze, rows)
    others = {name: _as_of.history(lake, definitions, name, kept) for name in node.history}
    return silver.candidates(lake.spark, definitions.sql[node.table], contract, bronze, rows, others=others)


def _write(lake: Lake, contract: Silver, rejected: DataFrame, accepted: DataFrame, mark: Mark) -> dict[str, int]:
    """Quarantine first: whoever sees the silver slice can see what was left out of it."""
    quarantine = f"quarantine.{contract.name.partition('.')[2]}"
    lake.create(quarantine, columns_of(rejected), partitioned_by=["run_date"], comment=f"Rejected by {contract.name}.")
    lake.create(
        contract.name, columns_of(accepted, contract), partitioned_by=["run_date"], comment=contract.description
    )
    return {
        quarantine: lake.replace_slices(rejected, quarantine, mark).rows,
        contract.name: lake.replace_slices(accepted, contract.name, mark).rows,
    }


if __name__ == "__main__":
    cli.main(run, description=__doc__)
