"""One run of the platform: its id, what its jobs report, and the only wall clock (for audit columns)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_VARIABLE = "SCORELAKE_RUN_ID"


def begin(run_id: str | None = None) -> str:
    """Start a run in this process; every job called from now on shares its id."""
    os.environ[_VARIABLE] = run_id or uuid.uuid4().hex
    return os.environ[_VARIABLE]


def run_id() -> str:
    """Id of the run of this process: the scheduler's, if it set SCORELAKE_RUN_ID, else one made at first use."""
    return os.environ.get(_VARIABLE) or begin()


def wall_clock() -> datetime:
    """Now, naive UTC. For audit columns only: no logic may depend on it (semantics, section 1)."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Outcome:
    """What a job did. `written` are rows by table; the others are messages, one a date or subject."""

    written: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 done, 1 some part failed, 4 a gate said no, 3 an input is not there yet; the first that applies."""
        return 1 if self.failed else 4 if self.refused else 3 if self.missing else 0

    def lines(self) -> Iterable[str]:
        """The summary, as printed at the end of a job."""
        yield from (f"wrote    {table}: {rows:,} rows" for table, rows in self.written.items())
        yield from (f"note     {text}" for text in self.notes)
        yield from (f"missing  {text}" for text in self.missing)
        yield from (f"refused  {text}" for text in self.refused)
        yield from (f"failed   {text}" for text in self.failed)


def combined(outcomes: Iterable[Outcome]) -> Outcome:
    """One outcome for several; rows of the same table add up."""
    parts = list(outcomes)
    written: dict[str, int] = {}
    for outcome in parts:
        for table, rows in outcome.written.items():
            written[table] = written.get(table, 0) + rows
    return Outcome(
        written,
        notes=tuple(text for part in parts for text in part.notes),
        refused=tuple(text for part in parts for text in part.refused),
        missing=tuple(text for part in parts for text in part.missing),
        failed=tuple(text for part in parts for text in part.failed),
    )
