"""Exact totals over the visible rows of trailing windows, from running totals.

A row is in the window [t - w, t) as of t when t - w <= event time < t and available_at <= t. Two running totals answer
that for all rows but stragglers: over rows in the order in which they appear (the later of available_at and the instant
after the event) everything up to t, less, over rows in order of event time, everything before t - w. Rows from before
t - w that are not yet available at t were taken away without having been counted; these few are added back one by one.
A row that is replaced at u counts once more from u on, negatively.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scorelake.features.exact import Digit
from scorelake.features.timeline import FOREVER, Axis, Instants, Scale, Timeline, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Running:
    """One digit of a column: the values of the signed rows and their running totals in both orders."""

    exponent: int
    values: NDArray[np.int64]
    by_event: NDArray[np.int64]
    by_appearance: NDArray[np.int64]


class Totals:
    """Totals of any columns of one timeline, asked at the same instants for any window lengths."""

    def __init__(self, line: Timeline, asked: Instants) -> None:
        self._asked = asked
        self._line, self._position, self._sign = _signed(line)
        self._end = self._line.axis.earlier(asked)
        self._windows: dict[int, _Stragglers] = {}

    @cached_property
    def _appearance(self) -> tuple[NDArray[np.int64], Axis] | None:
        """Rows in order of appearance; None when that is the order of event time."""
        line = self._line
        if line.since is None:
            return None
        appears = np.maximum(line.since, line.at + 1)
        scale = Scale(line.codes, appears)
        packed = scale.pack(line.code, appears)
        order = np.argsort(packed, kind="stable")
        return order, Axis(scale, packed[order])

    def running(self, digits: Sequence[Digit]) -> list[Running]:
        """Running totals of a column given as digits by position of the timeline."""
        return [self._running(digit) for digit in digits]

    def _running(self, digit: Digit) -> Running:
        values = digit.values
        if self._sign is not None and self._position is not None:
            values = values[self._position] * self._sign
        by_event = _cumulated(values)
        appearance = self._appearance
        by_appearance = by_event if appearance is None else _cumulated(values[appearance[0]])
        return Running(digit.exponent, values, by_event, by_appearance)

    def over(self, columns: Sequence[Running], length: int | None) -> list[Digit]:
        """Totals of each digit for each instant over [t - length, t), in microseconds; None: over all before t."""
        return [Digit(column.exponent, self._total(column, length)) for column in columns]

    def _total(self, column: Running, length: int | None) -> NDArray[np.int64]:
        total = column.by_appearance[self._seen] - column.by_appearance[self._first]
        if length is None:
            return total
        window = self._window(length)
        total = total - (column.by_event[window.begin] - column.by_event[self._first])
        for index, position in window.added:
            np.add.at(total, index, column.values[position])
        total[window.recounted] = 0
        for index, position in window.direct:
            np.add.at(total, index, column.values[position])
        return total

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        return self._line.axis.starts(self._asked)

    @cached_property
    def _seen(self) -> NDArray[np.int64]:
        if self._appearance is None:
            return self._end
        return self._appearance[1].earlier(self._asked.back(-1))

    def _window(self, length: int) -> _Stragglers:
        if length not in self._windows:
            self._windows[length] = self._stragglers(length)
        return self._windows[length]

    def _stragglers(self, length: int) -> _Stragglers:
        line, asked = self._line, self._asked
        begin = line.axis.earlier(asked.back(length))
        if line.since is None:
            return _Stragglers(begin, (), np.zeros(0, dtype=np.int64), ())
        late = np.flatnonzero(line.since - line.at > length)
        few = line.where(late)
        from_, to = settled(few).earlier(asked.back(-1)), few.axis.earlier(asked.back(length))
        recounted = np.flatnonzero((to - from_) > (self._end - begin))
        to[recounted] = from_[recounted]
        return _Stragglers(begin, list(self._hidden(late, from_, to)), recounted, self._rows(recounted, begin))

    def _hidden(self, late: NDArray[np.int64], from_: NDArray[np.int64], to: NDArray[np.int64]) -> Iterator[_Pairs]:
        for index, place in ranges(from_, to):
            position = late[place]
            hidden = ~self._line.is_visible(position, self._asked.at[index])
            yield index[hidden], position[hidden]

    def _rows(self, which: NDArray[np.int64], begin: NDArray[np.int64]) -> list[_Pairs]:
        at = self._asked.at[which]
        return [(which[index], p) for index, p in self._line.visible_pairs(begin[which], self._end[which], at)]


_Pairs = tuple["NDArray[np.int64]", "NDArray[np.int64]"]


@dataclass(frozen=True)
class _Stragglers:
    """What one window length needs beside the running totals: pairs of (question, row)."""

    begin: NDArray[np.int64]
    added: Sequence[_Pairs]
    recounted: NDArray[np.int64]
    direct: Sequence[_Pairs]


def settled(line: Timeline) -> Axis:
    """Rows by the latest available_at so far: `earlier(t + 1)` is an entity's first row that is still hidden at t."""
    since = line.at if line.since is None else line.since
    scale = Scale(line.codes, since)
    return Axis(scale, np.maximum.accumulate(scale.pack(line.code, since)))


def _cumulated(values: NDArray[np.int64]) -> NDArray[np.int64]:
    running = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=running[1:])
    return running


def _signed(line: Timeline) -> tuple[Timeline, NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Each replaced row once more, with sign -1, from the instant of its replacement on."""
    if line.until is None or line.since is None:
        return line, None, None
    gone = np.flatnonzero(line.until != FOREVER)
    position = np.concatenate([np.arange(len(line)), gone])
    since = np.concatenate([line.since, line.until[gone]])
    sign = np.ones(len(position), dtype=np.int64)
    sign[len(line) :] = -1
    order = np.argsort(position, kind="stable")
    position = position[order]
    both = Timeline(line.codes, line.code[position], line.at[position], line.rows[position], since[order])
    return both, position, sign[order]
