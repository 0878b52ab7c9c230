"""The greatest value over the visible rows of trailing windows.

Rows all of which are visible are answered from a table of maxima over 1, 2, 4, ... rows; rows near t, of which some are
still hidden, are looked at one by one. Rows with a long way from event to availability would make that part long for
all, so they are a class of their own; so are rows that a later version replaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scorelake.features.timeline import FOREVER, Instants, Timeline
from scorelake.features.totals import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LEAST = np.iinfo(np.int64).min
_SHARES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class _Class:
    """Some positions of a timeline as a timeline."""

    position: NDArray[np.int64]
    line: Timeline


class Extremes:
    """Maxima of any columns of one timeline, asked at the same instants for any window lengths."""

    def __init__(self, line: Timeline, asked: Instants) -> None:
        self._asked = asked
        self._classes = [_Class(position, line.where(position)) for position in _split(line) if len(position)]

    def greatest(self, keys: NDArray[np.int64], length: int | None) -> NDArray[np.int64]:
        """Maximum of `keys` (by position) over [t - length, t) for each instant; LEAST where the window is empty."""
        result = np.full(len(self._asked), LEAST)
        for part in self._classes:
            _merge(result, part.line, keys[part.position], self._asked, length)
        return result


def _merge(
    result: NDArray[np.int64], line: Timeline, keys: NDArray[np.int64], asked: Instants, length: int | None
) -> None:
    end = line.axis.earlier(asked)
    begin = line.axis.starts(asked) if length is None else line.axis.earlier(asked.back(length))
    if line.until is not None:
        middle = begin
    elif line.since is None:
        middle = end
    else:
        middle = np.clip(settled(line).earlier(asked.back(-1)), begin, end)
    np.maximum(result, _table_maximum(keys, begin, middle), out=result)
    for index, position in line.visible_pairs(middle, end, asked.at):
        if len(index):
            first = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
            best = np.maximum.reduceat(keys[position], first)
            result[index[first]] = np.maximum(result[index[first]], best)


def _table_maximum(keys: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Maximum over [begin, end) by two overlapping stretches of 2**level rows; LEAST where empty."""
    result = np.full(len(begin), LEAST)
    length = end - begin
    level = np.frexp(length.astype(np.float64))[1] - 1
    table = keys
    for step in range(int(level.max()) + 1 if len(level) else 0):
        here = np.flatnonzero((level == step) & (length > 0))
        result[here] = np.maximum(table[begin[here]], table[end[here] - (1 << step)])
        table = np.maximum(table[: -(1 << step)], table[1 << step :])
    return result


def _split(line: Timeline) -> Iterator[NDArray[np.int64]]:
    """Positions of the rows that are replaced one day, of prompt rows, and of those that take long to be available."""
    stays = np.arange(len(line))
    if line.until is not None:
        yield np.flatnonzero(line.until != FOREVER)
        stays = np.flatnonzero(line.until == FOREVER)
    if line.since is None or not len(stays):
        yield stays
        return
    delay = line.since[stays] - line.at[stays]
    prompt = delay <= _best_threshold(delay)
    yield stays[prompt]
    yield stays[~prompt]


def _best_threshold(delay: NDArray[np.int64]) -> int:
    """The delay that makes both classes together cost least: rows times the longest delay among them."""
    candidates = np.quantile(delay, _SHARES, method="higher")
    longest = float(max(delay.max(), 0))
    cost = [float((delay <= d).mean()) * max(float(d), 0.0) + float((delay > d).mean()) * longest for d in candidates]
    return int(candidates[int(np.argmin(cost))])
