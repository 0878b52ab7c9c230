"""Sample variance about the mean over the visible rows of trailing windows, to a relative error of 1e-9.

From exact totals of x and of x squared, subtracted in pairs of doubles (106 bits): that is enough unless the spread is
below 2**-70 of the size of the squares. Those windows are read row by row, about their own mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorelake.features import exact
from scorelake.features.timeline import Instants, Timeline
from scorelake.features.totals import Running, Totals

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CANCELS = 2.0**-70
_MODERATE = (1e-140, 1e140)
"""Sizes whose squares, and the rounding errors of these, are normal doubles."""


class Spread:
    """Variances of one column, given as finite doubles by position of the timeline."""

    def __init__(self, line: Timeline, asked: Instants, totals: Totals, values: NDArray[np.float64]) -> None:
        self._line = line
        self._asked = asked
        self._totals = totals
        self._values = values
        self._running = _running(totals, values)

    def variances(
        self, begin: NDArray[np.int64], end: NDArray[np.int64], length: int | None, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Variances over the visible of positions [begin, end), `rows` of them, as v and k for v * 4**k.

        So a standard deviation is at hand where the variance itself is beyond a double; v is 0 for fewer than two rows.
        """
        several = rows > 1
        result, exponent = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
        rough = several
        if self._running is not None:
            squares, about_mean = self._from_totals(length, rows)
            result[several] = about_mean[several] / (rows[several] - 1)
            rough = several & (squares > 0) & (about_mean < squares * _CANCELS)
        which = np.flatnonzero(rough)
        if len(which):
            result[which], exponent[which] = self._by_rows(begin[which], end[which], self._asked.at[which])
        return result, exponent

    def _from_totals(
        self, length: int | None, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The total of squares, and of squares about the mean."""
        plain, squared = self._running or ([], [])
        high, low = exact.to_floats(self._totals.over(plain, length), len(rows))
        square, square_low = exact.to_floats(self._totals.over(squared, length), len(rows))
        count = np.maximum(rows, 1).astype(np.float64)
        mean = high / count
        product, error = exact.two_product(mean, count)
        mean_low = ((high - product) - error + low) / count
        product, error = exact.two_product(high, mean)
        error += high * mean_low + low * mean
        about_mean, rest = exact.two_sum(square, -product)
        return square, about_mean + (rest + (square_low - error))

    def _by_rows(
        self, begin: NDArray[np.int64], end: NDArray[np.int64], at: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        result, exponent = np.zeros(len(begin)), np.zeros(len(begin), dtype=np.int64)
        for index, position in self._line.visible_pairs(begin, end, at):
            if len(index):
                first = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
                result[index[first]], exponent[index[first]] = _two_pass(self._values[position], first)
        return result, exponent


def _running(totals: Totals, values: NDArray[np.float64]) -> tuple[list[Running], list[Running]] | None:
    size = np.abs(values[values != 0])
    if len(size) and not (_MODERATE[0] < size.min() and size.max() < _MODERATE[1]):
        return None
    return totals.running(exact.of_floats(values)), totals.running(exact.squares(values))


def _two_pass(values: NDArray[np.float64], first: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Variance (v, k) of each stretch that begins at `first`, about its first value, then its mean."""
    count = np.diff(np.r_[first, len(values)])
    exponent = np.frexp(np.maximum.reduceat(np.abs(values), first))[1].astype(np.int64) + 1
    shifted = np.ldexp(values, -np.repeat(exponent, count))
    shifted -= np.repeat(shifted[first], count)
    mean = np.add.reduceat(shifted, first) / count
    about = shifted - np.repeat(mean, count)
    squares = np.add.reduceat(about * about, first) - np.add.reduceat(about, first) ** 2 / count
    return np.maximum(squares, 0.0) / np.maximum(count - 1, 1), exponent
