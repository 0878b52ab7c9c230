"""What the platform keeps of its own doing: one table of decisions, and a log of steps."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scorelake import runs
from scorelake.decisions import DECISION_COLUMNS, Decision
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from scorelake.dates import RunDates
    from scorelake.runs import Outcome

DECISIONS = "ops.decisions"
STEPS = "ops.runs"

STEP_COLUMNS = (
    Column(name="run_date", type="date", comment="last run date of the step's range"),
    Column(name="first_date", type="date"),
    Column(name="step", type="string"),
    Column(name="subject", type="string", comment="the table, model or service; what --only takes"),
    Column(name="verdict", type="string", comment="done, failed, late, refused or skipped"),
    Column(name="reason", type="string", comment="why it ran, or why it was skipped"),
    Column(name="attempts", type="int", comment="0 when it was skipped"),
    Column(name="rows", type="map<string,bigint>", comment="rows written by table"),
    Column(name="notes", type="array<string>"),
    Column(name="seconds", type="double"),
    Column(name="started_at", type="timestamp"),
    Column(name="run_id", type="string"),
    Column(name="cpu_seconds", type="double", comment="of the driver's process tree; null when it was not measured"),
    Column(name="peak_bytes", type="bigint", comment="most memory that the tree held while the step ran"),
)
_RECORDING = threading.Lock()
"""Steps that run side by side would meet in the one table of decisions, and one of them would have to write again."""
_VERDICTS = {0: "done", 1: "failed", 3: "late", 4: "refused"}


@dataclass(frozen=True)
class StepRun:
    """One step of a run that ended, or that was skipped (`attempts` 0)."""

    step: str
    subject: str
    dates: RunDates
    outcome: Outcome
    started_at: datetime
    seconds: float
    attempts: int = 1
    reason: str = ""
    cpu_seconds: float | None = None
    peak_bytes: int | None = None

    @property
    def verdict(self) -> str:
        return _VERDICTS[self.outcome.exit_code] if self.attempts else "skipped"


def record_decisions(lake: Lake, decisions: Sequence[Decision]) -> None:
    """Commit what gates judged, before the step acts on it; a repeated commit of the same run replaces itself."""
    if not decisions:
        return
    lake.create(DECISIONS, DECISION_COLUMNS, partitioned_by=["gate"], comment="What every gate judged, and why.")
    run_id, now = runs.run_id(), runs.wall_clock()
    rows = [(*astuple(decision), run_id, now) for decision in decisions]
    frame = lake.spark.createDataFrame(rows, ", ".join(column.ddl for column in DECISION_COLUMNS))
    subjects = ", ".join("'" + text + "'" for text in sorted({f"{d.gate} {d.subject}" for d in decisions}))
    dates = tuple(sorted({decision.run_date for decision in decisions}))
    with _RECORDING:
        lake.replace_slices(
            frame,
            DECISIONS,
            Mark(run_id, "decisions", dates),
            also=f"run_id = '{run_id}' AND concat(gate, ' ', subject) IN ({subjects})",
        )


def record_steps(lake: Lake, steps: Iterable[StepRun]) -> None:
    """Append the log of a run, once, when its application ends."""
    rows = _rows(steps, runs.run_id())
    if rows:
        frame = _log(lake, rows)
        lake.append(frame, STEPS, _mark(rows))


def record_killed(lake: Lake, run_id: str, since: datetime, steps: Iterable[StepRun]) -> None:
    """Write the log of a run that was killed before it could; if it has rows of steps begun `since`, they stay.

    May be called by several at once, and again: its rows take each other's place. A scheduler's attempts may share
    an id; the log of one that ended before `since` is none of this.
    """
    rows = _rows(steps, run_id)
    frame = _log(lake, rows)
    of_run = f"run_id = '{run_id}' AND started_at >= TIMESTAMP'{since.isoformat(sep=' ')}'"
    if lake.read(STEPS).where(of_run).isEmpty():
        days = ", ".join(f"DATE'{day}'" for day in sorted({row[0] for row in rows}))
        lake.replace_where(frame, STEPS, _mark(rows), f"{of_run} AND run_date IN ({days})")


def _mark(rows: Sequence[tuple[Any, ...]]) -> Mark:
    return Mark(runs.run_id(), "log", tuple(sorted({row[0] for row in rows})))


def _log(lake: Lake, rows: Sequence[tuple[Any, ...]]) -> DataFrame:
    lake.create(STEPS, STEP_COLUMNS, partitioned_by=["run_date"], comment="Every step of every run.")
    lake.widen(STEPS, STEP_COLUMNS)
    return lake.spark.createDataFrame(rows, ", ".join(column.ddl for column in STEP_COLUMNS))


def _rows(steps: Iterable[StepRun], run_id: str) -> list[tuple[Any, ...]]:
    return [
        (
            step.dates.last,
            step.dates.first,
            step.step,
            step.subject,
            step.verdict,
            step.reason,
            step.attempts,
            dict(step.outcome.written),
            [*step.outcome.notes, *step.outcome.missing, *step.outcome.refused, *step.outcome.failed],
            step.seconds,
            step.started_at,
            run_id,
            step.cpu_seconds,
            step.peak_bytes,
        )
        for step in steps
    ]


def last_run(lake: Lake) -> list[Row]:
    """The steps of the run that ended last, in the order in which they started; as many rows as it had steps."""
    from pyspark.sql import functions as F

    if not lake.exists(STEPS):
        return []
    steps = lake.read(STEPS)
    newest = steps.orderBy(F.desc("started_at")).select("run_id").first()
    return steps.where(F.col("run_id") == newest["run_id"]).orderBy("started_at").collect() if newest else []
