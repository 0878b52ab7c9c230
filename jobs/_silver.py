"""Slices of one silver table: candidates from bronze, judged by the gate, written with what was rejected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from jobs import _as_of, _profiled
from scorelake import dates as calendar
from scorelake import runs
from scorelake.nightly import graph
from scorelake.quality import gate, results, rules
from scorelake.quality.gate import Subject
from scorelake.runs import Outcome
from scorelake.stores import ops, reports
from scorelake.stores.lake import columns_of
from scorelake.stores.marks import Mark
from scorelake.stores.staging import staging
from scorelake.tables import Silver
from scorelake.transform import figures, python, silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.dates import RunDates
    from scorelake.definitions import Definitions
    from scorelake.nightly.graph import Node
    from scorelake.quality.verdicts import Verdict
    from scorelake.settings import Settings
    from scorelake.stores.lake import Lake
    from scorelake.transform.figures import Figures
    from scorelake.transform.silver import Candidates

STEP = "build_silver"
SETTLING = frozenset({"malformed", "duplicate", "superseded_in_drop"})
"""Rules after which a row is not judged any further."""


def quarantine_of(table: str) -> str:
    """Where the rows that `table` rejected are."""
    return f"quarantine.{table.partition('.')[2]}"


def build(lake: Lake, definitions: Definitions, settings: Settings, node: Node, dates: RunDates) -> Outcome:
    """Write the slices of `dates` whose drops are in bronze and whose gate says yes."""
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
    found = candidates(lake, definitions, node, lake.read_slices(bronze, days), kept)
    subject, own_rules = Subject.of(contract), implied(found)
    judge = gate.prepare(found.frame, subject, contract.expectations, own_rules, days, kept=found.columns)

    with staging(lake) as stage:
        staged = judge.staged(found.frame, stage)
        verdicts = judge.verdicts(staged, due=days, earlier=_earlier(lake, definitions, contract, days[-1]))
        if contract.profile is not None:
            rows = judge.accepted(staged, verdicts, found.columns)
            verdicts = _profiled.judged(lake, contract, rows, verdicts)
        ops.record_decisions(lake, [decision for verdict in verdicts for decision in verdict.decisions()])
        _keep_results(settings, verdicts)
        passed = tuple(verdict.run_date for verdict in verdicts if not verdict.refused)
        refused = tuple(str(verdict) for verdict in verdicts if verdict.refused)
        if not passed:
            return Outcome(missing=missing, refused=refused)
        mark = Mark(runs.run_id(), STEP, passed, node.definition_hash, inputs)
        rejected = judge.quarantined(staged, verdicts, found.received)
        accepted = judge.accepted(staged, verdicts, found.columns)
        written = _write(lake, contract, rejected, accepted, mark)
    for frame in kept:
        frame.unpersist()
    return Outcome(written, missing=missing, refused=refused)


def candidates(
    lake: Lake,
    definitions: Definitions,
    node: Node,
    rows: DataFrame,
    kept: list[DataFrame],
    *,
    contract: Silver | None = None,
    frozen: Figures | None = None,
) -> Candidates:
    """`rows` of bronze as the table's contract (or a variant of it) makes them; what it persists goes into `kept`."""
    contract = contract or definitions.silver[node.table]
    bronze = definitions.bronze[node.same_date[0]]
    frozen = frozen or figures.load(definitions.conf_dir, contract)
    if contract.transform is not None:
        function = python.load(definitions.conf_dir, contract.transform)
        return silver.candidates_of(function, contract, bronze, rows, figures=frozen)
    others = {name: _as_of.history(lake, definitions, name, kept) for name in node.history}
    query = definitions.sql[node.table]
    return silver.candidates(lake.spark, query, contract, bronze, rows, others=others, figures=frozen)


def implied(found: Candidates) -> list[rules.Rule]:
    """The engine's own rules of the candidates, as the gate takes them."""
    return [rules.implied(name, failed, settles=name in SETTLING) for name, failed in found.rules]


def _earlier(lake: Lake, definitions: Definitions, contract: Silver, last: date) -> dict[date, int]:
    """Accepted rows of the due slices before `last` that stand, those without rows too; empty without `volume`."""
    if contract.volume is None or not lake.exists(contract.name):
        return {}
    from pyspark.sql import functions as F

    marks = [day for day in lake.marks(contract.name, STEP) if day < last]
    if not marks:
        return {}
    span = calendar.RunDates(min(marks), last)
    due = set(graph.due_dates(definitions, contract.name, span))
    rows = lake.read(contract.name).where(F.col("run_date") < F.lit(last)).groupBy("run_date").count()
    counts = {row[0]: row[1] for row in rows.collect()}  # a row a slice
    return {day: counts.get(day, 0) for day in marks if day in due}


def _keep_results(settings: Settings, verdicts: Sequence[Verdict]) -> None:
    """Great Expectations' own result objects of every slice, as JSON; report_quality makes pages of them."""
    for verdict in verdicts:
        found = results.validation_result(verdict, run_id=runs.run_id(), judged_at=runs.wall_clock())
        text = json.dumps(found.to_json_dict(), indent=1, sort_keys=True)
        reports.write(settings.reports, results_name(verdict.table, verdict.run_date), text)


def results_name(table: str, day: date) -> str:
    """Where the results of a slice lie below the reports."""
    return f"quality/{table}/{day}.json"


def _write(lake: Lake, contract: Silver, rejected: DataFrame, accepted: DataFrame, mark: Mark) -> dict[str, int]:
    """Quarantine first: whoever sees the silver slice can see what was left out of it."""
    quarantine = quarantine_of(contract.name)
    lake.create(quarantine, columns_of(rejected), partitioned_by=["run_date"], comment=f"Rejected by {contract.name}.")
    lake.create(
        contract.name, columns_of(accepted, contract), partitioned_by=["run_date"], comment=contract.description
    )
    return {
        quarantine: lake.replace_slices(rejected, quarantine, mark).rows,
        contract.name: lake.replace_slices(accepted, contract.name, mark).rows,
    }
