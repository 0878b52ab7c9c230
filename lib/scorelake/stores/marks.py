"""What a commit says of itself: which step of which run wrote which slices, from what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class Mark:
    """What a commit says of itself: which step of which run wrote which slices from which inputs.

    `inputs` are Delta versions by table; `definition_hash` is that of everything that shaped the rows.
    `notes` holds what the step counted (by ISO date where it concerns a slice). `read_from` says where an input lay
    that another lake holds: its versions mean nothing for a table of ours that takes its place later.
    """

    run_id: str
    step: str
    dates: tuple[date, ...]
    definition_hash: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, object] = field(default_factory=dict)
    read_from: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        data = {**asdict(self), "dates": [day.isoformat() for day in self.dates]}
        return json.dumps({"scorelake": data}, sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str | None) -> Mark | None:
        """The mark in a commit's userMetadata; None when somebody else wrote the commit."""
        try:
            data = json.loads(text or "")["scorelake"]
        except (ValueError, KeyError, TypeError):
            return None
        return cls(**{**data, "dates": tuple(date.fromisoformat(day) for day in data["dates"])})


@dataclass(frozen=True)
class Commit:
    """A write of ours: the table's version that holds it, how many rows it wrote, its mark and when (naive UTC)."""

    table: str
    version: int
    rows: int
    mark: Mark
    at: datetime


def newest(commits: Iterable[Commit], step: str) -> dict[date, tuple[int, Mark]]:
    """For each slice the version and mark of the newest commit of `step` that wrote it; `commits` newest first."""
    found: dict[date, tuple[int, Mark]] = {}
    for commit in commits:
        if commit.mark.step == step:
            for day in commit.mark.dates:
                found.setdefault(day, (commit.version, commit.mark))
    return found
