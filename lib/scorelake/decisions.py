"""What a gate said, in the one shape that every gate shares: data, volume, drift, model, promotion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from scorelake.tables import Column


@dataclass(frozen=True)
class Decision:
    """One judgement. `value` and `threshold` are null where there is no number to compare."""

    gate: str
    subject: str
    run_date: date
    metric: str
    value: float | None
    threshold: float | None
    verdict: str
    reason: str


DECISION_COLUMNS = (
    Column(name="gate", type="string", comment="data, volume, profile, drift, model or promotion"),
    Column(name="subject", type="string", comment="what was judged: a table or a model"),
    Column(name="run_date", type="date"),
    Column(name="metric", type="string", comment="rule or measure"),
    Column(name="value", type="double"),
    Column(name="threshold", type="double"),
    Column(name="verdict", type="string", comment="pass, warn, fail, promote, keep ..."),
    Column(name="reason", type="string", comment="in a sentence; no values of rows"),
    Column(name="run_id", type="string"),
    Column(name="decided_at", type="timestamp", comment="wall clock, for audit only"),
)
"""The fields of a Decision in order, then what the store fills in. The table is `ops.decisions`."""
