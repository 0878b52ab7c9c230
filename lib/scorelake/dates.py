"""Run dates, the instants they stand for, and the dates on which a source delivers.

A run date D owns the data interval [D 00:00, D+1 00:00) UTC; its as-of instant is D+1 00:00 (semantics, section 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from scorelake.errors import UsageError

ONE_DAY = timedelta(days=1)
_UNITS = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}


@dataclass(frozen=True)
class RunDates:
    """A closed range of run dates; a single night is a range of one."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise UsageError(f"the range ends before it starts: --from {self.first} --to {self.last}")

    @classmethod
    def single(cls, day: date) -> RunDates:
        return cls(day, day)

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    def chunks(self, days: int) -> Iterator[RunDates]:
        """The range in order, cut into ranges of at most `days` dates."""
        first = self.first
        while first <= self.last:
            last = min(self.last, first + timedelta(days=days - 1))
            yield RunDates(first, last)
            first = last + ONE_DAY

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


def as_of(run_date: date) -> datetime:
    """The instant at which `run_date` is known: its end, D+1 00:00, naive UTC."""
    return datetime.combine(run_date, time()) + ONE_DAY


def data_start(run_date: date) -> datetime:
    """Start of the data interval, D 00:00, naive UTC; it ends before `as_of(run_date)`."""
    return datetime.combine(run_date, time())


def parse_duration(text: Any) -> timedelta:
    """'28 days', '1 hour', '90 seconds' (weeks to seconds; a day is 24 hours; months do not exist)."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"\s*(\d+)\s*(week|day|hour|minute|second)s?\s*", str(text))
    if match is None:
        raise ValueError(f"expected a duration such as '28 days' or '12 hours', found {text!r}")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def parse_age(text: str) -> timedelta:
    """'26h', '90m', '2d', as monitors write it, or a duration in words. UsageError otherwise."""
    short = re.fullmatch(r"(\d+)([dhms])", text)
    if short is not None:
        return timedelta(seconds=int(short[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[short[2]])
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def render_duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    unit, size = next((u, s) for u, s in _UNITS.items() if seconds % s == 0 and (seconds or u == "day"))
    return f"{seconds // size} {unit}{'' if seconds // size == 1 else 's'}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    PlainSerializer(render_duration, return_type=str),
]


def check_delivers(text: str) -> str:
    """'daily', 'weekdays', 'once' or five cron fields; ValueError otherwise."""
    if text in ("daily", "weekdays", "once"):
        return text
    from croniter import croniter

    if not croniter.is_valid(text):
        raise ValueError(f"expected daily, weekdays, once or a cron expression, found {text!r}")
    return text


def is_due(run_date: date, *, starts: date, delivers: str) -> bool:
    """Whether a drop belongs to `run_date`: some instant of its interval matches the schedule."""
    if run_date < starts:
        return False
    if delivers == "daily":
        return True
    if delivers == "once":
        return run_date == starts
    if delivers == "weekdays":
        return run_date.weekday() < 5
    from croniter import croniter

    just_before = data_start(run_date) - timedelta(seconds=1)
    return bool(croniter(delivers, just_before).get_next(datetime) < as_of(run_date))


def due_dates(dates: RunDates, *, starts: date, delivers: str) -> list[date]:
    """The dates of the range to which a drop belongs, in order."""
    return [day for day in dates if is_due(day, starts=starts, delivers=delivers)]
