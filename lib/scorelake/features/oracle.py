"""The same answers by brute force: one spine row at a time, in plain Python, every row looked at for every question.

Written from semantics.md sections 2 and 3 alone and sharing nothing with the engine, so that the two can be held
against each other: by the tests on random worlds, by `verify_pit` on samples of real tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorelake.features.views import View

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rules:
    """A view without its table. `windows` are (name, function, column, length)."""

    join_keys: Mapping[str, str]
    event_time: str
    available_at: str | None
    row_keys: Sequence[str] = ()
    order: Sequence[str] = ()
    deleted: str | None = None
    until: str | None = None
    ttl: timedelta | None = None
    lookups: Mapping[str, str] = field(default_factory=dict)
    windows: Sequence[tuple[str, str, str, timedelta | None]] = ()
    maps: Collection[str] = ()
    second_clock: bool = True

    @classmethod
    def of(cls, view: View) -> Rules:
        """The rules of a view, its output names included; after the declared order come its table's other columns."""
        return cls(
            join_keys=view.join_keys,
            event_time=view.event_time,
            available_at=view.available_at,
            row_keys=view.row_keys,
            order=[name for name in dict.fromkeys((*view.order, *view.rows.columns)) if name != view.deleted],
            deleted=view.deleted,
            until=view.until,
            ttl=view.ttl,
            lookups={view.prefix + name: column for name, column in view.lookups.items()},
            windows=[(view.prefix + w.name, w.function, w.column, w.length) for w in view.windows],
            second_clock=view.second_clock,
            maps=view.maps(),
        )


@dataclass(frozen=True)
class Answer:
    """The true value, how far a computed one may be from it, and the source rows that it was made of."""

    value: Any
    rows: Sequence[Row] = ()
    tolerance: float = 0.0

    def agrees(self, other: Any) -> bool:
        """Whether a computed value is this one."""
        if self.value is None or other is None:
            return self.value is other
        if isinstance(self.value, float) and isinstance(other, float):
            if math.isnan(self.value) or math.isnan(other):
                return math.isnan(self.value) and math.isnan(other)
            return self.value == other or abs(self.value - other) <= self.tolerance
        return type(self.value) is type(other) and bool(self.value == other)


def answers(
    rules: Rules, spine_row: Row, rows: Iterable[Row], *, timestamp: str = "event_timestamp"
) -> dict[str, Answer]:
    """Every feature of a view for one spine row.

    `rows` are source rows as dicts: all of the table, or at least those of the row's entity and every other version of
    these, also versions that were moved to other entities.
    """
    t = spine_row[timestamp]
    names = [*rules.lookups, *(name for name, *_ in rules.windows)]
    if t is None or any(spine_row[key] is None for key in rules.join_keys):
        return dict.fromkeys(names, Answer(None))
    mine = [row for row in _visible(rules, rows, t) if _matches(rules, spine_row, row)]
    if rules.lookups:
        return _lookups(rules, mine, t)
    return {name: _window(rules, mine, t, what) for name, *what in rules.windows}


def _visible(rules: Rules, rows: Iterable[Row], t: datetime) -> list[Row]:
    """What is known at t: of each row its latest version, unless that is a delete or has no time."""
    seen: dict[Any, Row] = {}
    own: list[Row] = []
    is_newer = partial(_version_order, rules)
    for row in rows:
        if rules.available_at is not None:
            if row[rules.available_at] is None:
                continue
            if rules.second_clock and row[rules.available_at] > t:
                continue
        if rules.until and row[rules.until] is not None and (not rules.second_clock or row[rules.until] <= t):
            continue
        identity = tuple(_comparable(row[key]) for key in rules.row_keys)
        if not rules.row_keys or any(row[key] is None for key in rules.row_keys):
            own.append(row)
        elif identity not in seen or is_newer(row) > is_newer(seen[identity]):
            seen[identity] = row
    known = [*own, *seen.values()]
    return [row for row in known if row[rules.event_time] is not None and not (rules.deleted and row[rules.deleted])]


def _version_order(rules: Rules, row: Row) -> tuple[Any, ...]:
    available = _comparable(row[rules.available_at]) if rules.available_at else ()
    is_delete = bool(rules.deleted and row[rules.deleted])
    return (available, _comparable(row[rules.event_time]), *_ties(rules, row), is_delete)


def _time_order(rules: Rules, row: Row) -> tuple[Any, ...]:
    available = _comparable(row[rules.available_at]) if rules.available_at else ()
    return (_comparable(row[rules.event_time]), available, *_ties(rules, row))


def _ties(rules: Rules, row: Row) -> Iterator[Any]:
    """Maps compare by their sorted entries."""
    for name in rules.order:
        value = row[name]
        yield _comparable(sorted(value.items()) if name in rules.maps and value is not None else value)


def _matches(rules: Rules, spine_row: Row, row: Row) -> bool:
    return all(row[theirs] is not None and spine_row[ours] == row[theirs] for ours, theirs in rules.join_keys.items())


def _comparable(value: Any) -> Any:
    """Null least, NaN greatest, arrays and structs part by part."""
    if value is None:
        return (0,)
    if isinstance(value, float) and math.isnan(value):
        return (2,)
    if isinstance(value, Mapping):
        return (1, tuple(_comparable(part) for part in value.values()))
    if isinstance(value, list | tuple):
        return (1, tuple(_comparable(part) for part in value))
    if isinstance(value, bytearray):
        return (1, bytes(value))
    return (1, value.encode() if isinstance(value, str) else value)


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(_hashable(part) for part in value.values())
    if isinstance(value, list | tuple):
        return tuple(_hashable(part) for part in value)
    if isinstance(value, bytearray):
        return bytes(value)
    return "NaN" if isinstance(value, float) and math.isnan(value) else (type(value), value)


def _lookups(rules: Rules, mine: Sequence[Row], t: datetime) -> dict[str, Answer]:
    reached = [row for row in mine if row[rules.event_time] <= t]
    if rules.ttl:
        reached = [row for row in reached if t - row[rules.event_time] <= rules.ttl]
    if not reached:
        return dict.fromkeys(rules.lookups, Answer(None))
    winner = max(reached, key=partial(_time_order, rules))
    return {name: Answer(winner[column], [winner]) for name, column in rules.lookups.items()}


def _window(rules: Rules, mine: Sequence[Row], t: datetime, what: Sequence[Any]) -> Answer:
    function, column, length = what
    inside = [
        row for row in mine if row[rules.event_time] < t and (length is None or t - row[rules.event_time] <= length)
    ]
    inside.sort(key=partial(_time_order, rules))
    if function == "age":
        value = (t - inside[-1][rules.event_time]) / timedelta(seconds=1) if inside else None
        return Answer(value, inside, tolerance=4e-16 * (value or 0.0))
    if column == "*":
        return Answer(len(inside), inside)
    values = [row[column] for row in inside if row[column] is not None]
    value, tolerance = _aggregate(function, values)
    return Answer(value, inside, tolerance)


def _aggregate(function: str, values: list[Any]) -> tuple[Any, float]:
    """The value of a function and how far a computed one may be from it."""
    if function in ("count", "count_distinct"):
        distinct = {_hashable(0.0 if isinstance(value, float) and value == 0 else value) for value in values}
        return len(values if function == "count" else distinct), 0.0
    if not values:
        return None, 0.0
    if function in _CHOICES:
        return _CHOICES[function](values), 0.0
    if isinstance(values[0], float) and not all(map(math.isfinite, values)):
        return _not_finite(function, values), 0.0
    return _arithmetic(function, values)


_CHOICES: Mapping[str, Callable[[list[Any]], Any]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "min": lambda values: min(values, key=_comparable),
    "max": lambda values: max(values, key=_comparable),
}


def _not_finite(function: str, values: list[float]) -> float | None:
    if function in ("stddev", "variance"):
        return None if len(values) < 2 else math.nan
    infinities = {value for value in values if math.isinf(value)}
    return math.nan if any(map(math.isnan, values)) or len(infinities) > 1 else infinities.pop()


def _arithmetic(function: str, values: list[Any]) -> tuple[Any, float]:
    """Exact by fractions; doubles may err by 1e-12 of the sum of their sizes, spreads by 1e-9 of themselves."""
    exact = [Fraction(value) for value in values]
    total = sum(exact, Fraction(0))
    if function in ("stddev", "variance"):
        if len(values) < 2:
            return None, 0.0
        mean = total / len(exact)
        spread = sum(((value - mean) ** 2 for value in exact), Fraction(0)) / (len(exact) - 1)
        result = _root(spread) if function == "stddev" else _rounded(spread)
        return result, result * (1e-9 if max(map(abs, exact)) < 2**53 else 1e-6)
    allowed = 1e-12 * _rounded(sum(map(abs, exact), Fraction(0))) if isinstance(values[0], float) else 0.0
    if function == "sum":
        return _like(values[0], total, more_digits=0), allowed
    return _like(values[0], total / len(exact), more_digits=4, is_mean=True), allowed / len(exact)


def _like(example: Any, exact: Fraction, *, more_digits: int, is_mean: bool = False) -> Any:
    if isinstance(example, Decimal):
        with localcontext() as context:
            context.prec = 100
            unit = Decimal(1).scaleb(max(int(example.as_tuple().exponent) - more_digits, -38))  # Spark's finest
            return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(unit, ROUND_HALF_UP)
    if isinstance(example, int) and not is_mean:
        return int(exact)
    return _rounded(exact)


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _root(exact: Fraction) -> float:
    with localcontext() as context:
        context.prec = 60
        return float((Decimal(exact.numerator) / Decimal(exact.denominator)).sqrt())
