"""Which of two values of one entity is the newer knowledge: the rule of every online write.

A materialization answers for an instant (its as-of); a push brings one row. Between two materializations the later
as-of wins, whatever its rows say: a correction may move a row back in time or delete it. Where a push is involved,
the later row wins: event time first, then available_at. Equals win too, so that a repeated or corrected write
arrives; older values never overwrite newer ones, in whatever order the writes come.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
NEVER = -(2**62)
"""Microseconds of an instant that is not there: before every other one."""


@dataclass(frozen=True)
class Stamp:
    """Microseconds since 1970. `as_of` is NEVER for a push, `event` is NEVER for an entity without a visible row."""

    event: int
    available: int
    as_of: int

    def supersedes(self, other: Stamp | None) -> bool:
        """Whether a value with this stamp may take the place of one with `other`."""
        if other is None:
            return True
        if NEVER not in (self.as_of, other.as_of):
            return self.as_of >= other.as_of
        return (self.event, self.available) >= (other.event, other.available)


def microseconds(instant: datetime | None) -> int:
    """Since 1970, exact; a naive instant is UTC, None is NEVER."""
    if instant is None:
        return NEVER
    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    return (aware - _EPOCH) // _MICROSECOND


def stamp(event: datetime | None, available: datetime | None, as_of: datetime | None = None) -> Stamp:
    return Stamp(microseconds(event), microseconds(available), microseconds(as_of))
