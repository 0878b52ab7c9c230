"""Trailing windows over the rows of many entities: every function of a window, for many instants at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from scorelake.errors import UsageError
from scorelake.features import exact, ordering
from scorelake.features.numbers import EXACT_IN_DOUBLE, as_doubles, as_integers, digits, divided, quotient, whole
from scorelake.features.spans import LEAST, ByValue, Running, Spans
from scorelake.features.spread import Spread
from scorelake.features.timeline import Instants, Timeline

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

MICROS = 1_000_000


@dataclass(frozen=True)
class Ask:
    """One window feature: `length` in microseconds, `kind` the Arrow type of the answer, `name` for messages."""

    name: str
    function: str
    column: str
    length: int | None
    kind: pa.DataType


class Questions:
    """Rows asked at instants, which are in order of entity and time."""

    def __init__(self, line: Timeline, asked: Instants) -> None:
        self.line = line
        self.asked = asked
        self.spans = Spans(line, asked)
        self._counts: dict[int | None, NDArray[np.int64]] = {}

    @cached_property
    def as_of(self) -> NDArray[np.int64]:
        """Position of the last visible row up to each instant, one at the instant included; -1 where there is none."""
        end = self.line.axis.earlier(self.asked.back(-1))
        return self.line.last_visible(self.spans.start(None), end, self.asked.at)

    @cached_property
    def _ones(self) -> list[Running]:
        return self.spans.running([exact.Digit(0, np.ones(len(self.line), dtype=np.int64))])

    def last(self, length: int | None) -> NDArray[np.int64]:
        """Position of the last visible row of each window; -1 where it is empty."""
        return np.maximum(self.spans.greatest(np.arange(len(self.line)), length), -1)

    def first(self, length: int | None) -> NDArray[np.int64]:
        """Position of the first visible row of each window; -1 where it is empty."""
        found = self.spans.greatest(~np.arange(len(self.line)), length)
        return np.where(found == LEAST, -1, ~found)

    def count(self, length: int | None) -> NDArray[np.int64]:
        if length not in self._counts:
            total = exact.to_integers(self.spans.over(self._ones, length), len(self.asked))
            self._counts[length] = np.asarray(total, dtype=np.int64)
        return self._counts[length]


class Windows:
    """Window features over one column (its non-null rows), or over all rows when there is no column.

    `questions` are about all rows; they must be fully ordered when first or last is asked for.
    """

    def __init__(self, questions: Questions, column: pa.Array | None) -> None:
        self._column = column
        if column is not None and (valid := ordering.validity(column)) is not None:
            questions = Questions(questions.line.where(valid[questions.line.rows]), questions.asked)
        self._questions = questions
        self._line, self._asked = questions.line, questions.asked

    def answer(self, ask: Ask) -> pa.Array:
        """One value for each instant, of type `ask.kind`."""
        return _FUNCTIONS[ask.function](self, ask)

    def _count(self, ask: Ask) -> pa.Array:
        return pa.array(self._questions.count(ask.length))

    def _age(self, ask: Ask) -> pa.Array:
        last = self._questions.last(ask.length)
        return pa.array((self._asked.at - _at(self._line.at, last)) / MICROS, mask=last < 0)

    def _last(self, ask: Ask) -> pa.Array:
        return self._taken(self._questions.last(ask.length))

    def _first(self, ask: Ask) -> pa.Array:
        return self._taken(self._questions.first(ask.length))

    def _taken(self, position: NDArray[np.int64]) -> pa.Array:
        return _values(self._column).take(pa.array(_at(self._line.rows, position), mask=position < 0))

    # ------------------------------------------------------------------ order of values

    @cached_property
    def _ranked(self) -> ordering.Ranked:
        return ordering.ranked(_values(self._column))

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self._ranked.keys[self._line.rows]

    def _max(self, ask: Ask) -> pa.Array:
        return self._restored(self._questions.spans.greatest(self._keys, ask.length), ask)

    def _min(self, ask: Ask) -> pa.Array:
        return self._restored(~self._questions.spans.greatest(~self._keys, ask.length), ask)

    def _restored(self, keys: NDArray[np.int64], ask: Ask) -> pa.Array:
        empty = self._questions.count(ask.length) == 0
        if not len(self._line):
            return pa.nulls(len(empty), ask.kind)
        found = self._ranked.restore(np.where(empty, self._keys[0], keys))
        return pa.compute.if_else(pa.array(~empty), found, pa.scalar(None, found.type))

    def _count_distinct(self, ask: Ask) -> pa.Array:
        return pa.array(self._questions.spans.distinct(self._by_value, ask.length))

    @cached_property
    def _by_value(self) -> ByValue:
        return self._questions.spans.by_value(self._keys)

    # ------------------------------------------------------------------ sums

    @cached_property
    def _running(self) -> list[Running]:
        return self._questions.spans.running(digits(_values(self._column), self._line.rows))

    @cached_property
    def _oddities(self) -> list[list[Running]]:
        """Running counts of NaN, +inf and -inf; empty when there are none."""
        column = _values(self._column)
        if not pa.types.is_floating(column.type):
            return []
        values = ordering.floats(column)[self._line.rows]
        if np.isfinite(values).all():
            return []
        odd = (np.isnan(values), values == np.inf, values == -np.inf)
        return [self._questions.spans.running([exact.Digit(0, mask.astype(np.int64))]) for mask in odd]

    def _odd_sums(self, length: int | None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Where a sum is not finite, and what it is there."""
        zero = np.zeros(len(self._asked), dtype=np.int64)
        nan, plus, minus = (
            exact.to_integers(self._questions.spans.over(odd, length), len(zero))
            for odd in self._oddities or [[], [], []]
        )
        result = np.where((nan > 0) | ((plus > 0) & (minus > 0)), np.nan, np.where(plus > 0, np.inf, -np.inf))
        return np.asarray((nan > 0) | (plus > 0) | (minus > 0)), result

    def _float_sum(self, length: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        high, low = exact.to_floats(self._questions.spans.over(self._running, length), len(self._asked))
        odd, instead = self._odd_sums(length)
        return np.where(odd, instead, high), np.where(odd, 0.0, low)

    def _integer_sum(self, length: int | None) -> NDArray[Any]:
        return exact.to_integers(self._questions.spans.over(self._running, length), len(self._asked))

    def _sum(self, ask: Ask) -> pa.Array:
        empty = self._questions.count(ask.length) == 0
        if pa.types.is_floating(ask.kind):
            return pa.array(self._float_sum(ask.length)[0], mask=empty)
        return whole(self._integer_sum(ask.length), empty, ask.kind, ask.name)

    def _mean(self, ask: Ask) -> pa.Array:
        rows = self._questions.count(ask.length)
        empty = rows == 0
        count = np.maximum(rows, 1)
        column = _values(self._column)
        if pa.types.is_floating(column.type):
            high, low = self._float_sum(ask.length)
            return pa.array((high + low) / count, mask=empty)
        total = self._integer_sum(ask.length)
        if ordering.is_decimal(column.type):
            return whole(divided(total, count, ask.kind.scale - column.type.scale), empty, ask.kind, ask.name)
        return pa.array(quotient(total, count), mask=empty)

    def _variance(self, ask: Ask) -> pa.Array:
        spread, exponent, rows = self._variances(ask.length)
        with np.errstate(over="ignore"):  # beyond a double it is infinite, as in Spark
            return pa.array(np.ldexp(spread, 2 * exponent) / self._unit**2, mask=rows < 2)

    def _stddev(self, ask: Ask) -> pa.Array:
        spread, exponent, rows = self._variances(ask.length)
        return pa.array(np.ldexp(np.sqrt(spread), exponent) / self._unit, mask=rows < 2)

    def _variances(self, length: int | None) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """As `Spread.variances`, NaN where a value is not finite, and the number of rows."""
        rows = self._questions.count(length)
        found, exponent = self._spread.variances(length, rows)
        odd, _ = self._odd_sums(length)
        return np.where(odd, np.nan, found), exponent, rows

    @cached_property
    def _spread(self) -> Spread:
        column, rows = _values(self._column), self._line.rows
        values = as_doubles(column)[rows]
        finite = np.where(np.isfinite(values), values, 0.0)
        is_rounded = not pa.types.is_floating(column.type) and bool((np.abs(values) > EXACT_IN_DOUBLE).any())
        exactly = (lambda position: as_integers(column, rows[position])) if is_rounded else None
        return Spread(self._questions.spans, finite, self._varies, exactly)

    def _varies(self, length: int | None) -> NDArray[np.bool_]:
        """Whether a window holds different values."""
        spans = self._questions.spans
        return np.asarray(spans.greatest(self._keys, length) != ~spans.greatest(~self._keys, length))

    @property
    def _unit(self) -> float:
        """What `as_doubles` leaves a decimal multiplied by."""
        kind = _values(self._column).type
        return 10.0**kind.scale if ordering.is_decimal(kind) else 1.0


def _values(column: pa.Array | None) -> pa.Array:
    if column is None:
        raise UsageError("a window function that looks at values was asked without a column")
    return column


def _at(values: NDArray[np.int64], position: NDArray[np.int64]) -> NDArray[np.int64]:
    """values[position], and 0 where position is -1."""
    if not len(values):
        return np.zeros(len(position), dtype=np.int64)
    return np.where(position < 0, 0, values[position])


_FUNCTIONS: Mapping[str, Callable[[Windows, Ask], pa.Array]] = {
    "count": Windows._count,
    "age": Windows._age,
    "last": Windows._last,
    "first": Windows._first,
    "max": Windows._max,
    "min": Windows._min,
    "count_distinct": Windows._count_distinct,
    "sum": Windows._sum,
    "mean": Windows._mean,
    "variance": Windows._variance,
    "stddev": Windows._stddev,
}
