"""Which questions each row counts for, and what the rows that count for a question add up to.

Asked at t, a window [t - w, t) sees the rows with t - w <= event time < t that are visible at t. Read the other way
round, a row counts for one stretch of t: from when it has both happened and become known, until it falls out of the
window or is replaced. So it counts for one span of its entity's questions in order of time, however late rows come and
however often they are delivered again; totals and maxima over spans cost a step or two a row and a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorelake.features.exact import Digit
from scorelake.features.timeline import Axis, Instants, Scale, Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Running:
    """One digit of a column by position of the timeline, and the total of the rows that began to count by question."""

    exponent: int
    values: NDArray[np.int64]
    begun: NDArray[np.int64]


class Spans:
    """Of the rows of a timeline, for questions in order of entity and instant."""

    def __init__(self, line: Timeline, asked: Instants) -> None:
        self.line = line
        self.asked = asked
        self._starts: dict[int | None, NDArray[np.int64]] = {}
        self._ends: dict[int | None, NDArray[np.int64]] = {}
        self._levels: dict[int | None, _Levels] = {}

    # ------------------------------------------------------------------ from questions to rows

    @cached_property
    def stop(self) -> NDArray[np.int64]:
        """Position of the first row that happened at or after each question."""
        return self.line.axis.earlier(self.asked)

    def start(self, length: int | None) -> NDArray[np.int64]:
        """Position of the first row of each question's window, seen or not."""
        if length not in self._starts:
            axis, asked = self.line.axis, self.asked
            self._starts[length] = axis.starts(asked) if length is None else axis.earlier(asked.back(length))
        return self._starts[length]

    # ------------------------------------------------------------------ from rows to questions

    @cached_property
    def _begin(self) -> NDArray[np.int64]:
        """Number of the first question that a row counts for, if it counts at all."""
        happened = self._from_positions(self.stop)
        return happened if self.line.since is None else np.maximum(happened, self._number(self.line.since))

    def _end(self, length: int | None) -> NDArray[np.int64]:
        """Number of the first question that a row no longer counts for; `_begin` where it never does."""
        if length not in self._ends:
            leaves = self._from_positions(self.start(length))
            if self.line.until is not None:
                leaves = np.minimum(leaves, self._replaced)
            self._ends[length] = np.maximum(leaves, self._begin)
        return self._ends[length]

    def _from_positions(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each row how many questions have a `position` not beyond it: windows and rows are in one order."""
        return np.cumsum(np.bincount(position, minlength=len(self.line) + 1)[:-1])

    @cached_property
    def _replaced(self) -> NDArray[np.int64]:
        return self._number(np.zeros(0, dtype=np.int64) if self.line.until is None else self.line.until)

    def _number(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the first question of each row's entity that is not before `at`."""
        scale = Scale(self.line.codes, self.asked.at)
        axis = Axis(scale, scale.pack(self.asked.code, self.asked.at))
        return axis.earlier(Instants(self.line.code, at))

    # ------------------------------------------------------------------ totals

    def running(self, digits: Sequence[Digit]) -> list[Running]:
        """A column, given as digits by position of the timeline, to be totalled over windows of any length."""
        return [Running(d.exponent, d.values, self._cumulated(self._begin, d.values)) for d in digits]

    def over(self, columns: Sequence[Running], length: int | None) -> list[Digit]:
        """Totals of each digit for each question over [t - length, t), in microseconds; None: over all before t."""
        end = self._end(length)
        return [Digit(one.exponent, one.begun - self._cumulated(end, one.values)) for one in columns]

    def _cumulated(self, at: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """By question, the total of the values that are `at` it or one before."""
        total = np.zeros(len(self.asked) + 1, dtype=np.int64)
        np.add.at(total, at, values)
        return np.cumsum(total[:-1])

    def by_value(self, value: NDArray[np.int64]) -> ByValue:
        """Rows that ever count, by value, entity and begin. Spans lie in their entity's questions, so order by begin
        is order by entity too.
        """
        counts = np.flatnonzero(self._begin < self._end(None))
        encoded = pc.dictionary_encode(pa.array(value[counts])).indices.to_numpy().astype(np.int64)
        size = len(self.asked) + 1
        by = encoded * size + self._begin[counts]
        order = np.argsort(by)
        position, encoded = counts[order], encoded[order]
        code = self.line.code[position]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (code[1:] != code[:-1]) | (encoded[1:] != encoded[:-1])
        return ByValue(position, self._begin[position], first, (np.cumsum(first) - 1) * size)

    def distinct(self, rows: ByValue, length: int | None) -> NDArray[np.int64]:
        """How many different values count for each question: each row adds what no row before it has covered."""
        reached = np.maximum.accumulate(rows.floor + self._end(length)[rows.position]) - rows.floor
        covered = np.where(rows.first, 0, np.r_[0, reached[:-1]])
        ones = np.ones(len(reached), dtype=np.int64)
        return self._cumulated(np.maximum(rows.begin, covered), ones) - self._cumulated(reached, ones)

    # ------------------------------------------------------------------ maxima

    def greatest(self, keys: NDArray[np.int64], length: int | None) -> NDArray[np.int64]:
        """Maximum of `keys` (by position) over the rows that count for each question; LEAST where none does.

        A span is two overlapping stretches of 2**level questions; stretches hand their maximum down to their halves.
        """
        if length not in self._levels:
            self._levels[length] = _Levels.of(self._begin, self._end(length))
        levels = self._levels[length]
        table = np.full(len(self.asked), LEAST)
        for level in reversed(range(len(levels.starts) - 1)):
            half = 1 << level
            if half < len(table):
                upper = table[:-half].copy()
                np.maximum(table[half:], upper, out=table[half:])
            here = slice(levels.starts[level], levels.starts[level + 1])
            found = keys[levels.position[here]]
            np.maximum.at(table, levels.left[here], found)
            np.maximum.at(table, levels.right[here], found)
        return table


@dataclass(frozen=True)
class ByValue:
    """Rows grouped by entity and value; `first` of each group, and `floor`, which lies above all before the group."""

    position: NDArray[np.int64]
    begin: NDArray[np.int64]
    first: NDArray[np.bool_]
    floor: NDArray[np.int64]


@dataclass(frozen=True)
class _Levels:
    """Rows that count by the greatest level with 2**level questions in their span; `starts` of each level, and the end.

    left, right  beginnings of the two stretches that cover the span
    """

    position: NDArray[np.int64]
    starts: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, begin: NDArray[np.int64], end: NDArray[np.int64]) -> _Levels:
        counts = np.flatnonzero(begin < end)
        level = (np.frexp((end - begin)[counts].astype(np.float64))[1] - 1).astype(np.uint8)
        order = np.argsort(level, kind="stable")
        position = counts[order]
        starts = np.searchsorted(level[order], np.arange(int(level.max()) + 2 if len(level) else 1))
        left = begin[position]
        return cls(position, starts, left, end[position] - (np.int64(1) << level[order].astype(np.int64)))
