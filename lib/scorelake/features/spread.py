"""Sample variance about the mean over the visible rows of trailing windows, to a relative error of 1e-9.

From exact totals of x and of x squared, subtracted in pairs of doubles (106 bits): that is enough unless the spread is
far below the size of the squares, or a square is no normal double. Such windows are read row by row, about their own
mean. Which way a window goes, and every bit of its answer, depends on its own rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scorelake.features import exact
from scorelake.features.spans import Spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CANCELS, _CANCELS_IF_ROUNDED = 2.0**-70, 2.0**-40
"""Shares of the squares below which a spread is recomputed: of doubles, and of integers that are none."""
_MODERATE = (1e-140, 1e140)
"""Sizes whose squares, and the rounding errors of these, are normal doubles."""

Integers = Callable[["NDArray[np.int64]"], "NDArray[Any]"]


class Spread:
    """Variances of one column, given as finite doubles by position of the timeline.

    `varies` says of a window length which windows hold different numbers; `exactly` gives the numbers as Python's
    integers where doubles only round them.
    """

    def __init__(
        self,
        spans: Spans,
        values: NDArray[np.float64],
        varies: Callable[[int | None], NDArray[np.bool_]],
        exactly: Integers | None = None,
    ) -> None:
        self._spans = spans
        self._values = values
        self._varies = varies
        self._exactly = exactly
        size = np.abs(values)
        is_extreme = (values != 0) & ~((size > _MODERATE[0]) & (size < _MODERATE[1]))
        moderate = np.where(is_extreme, 0.0, values)
        self._plain = spans.running(exact.of_floats(moderate))
        self._squared = spans.running(exact.squares(moderate))
        extremes = [exact.Digit(0, is_extreme.astype(np.int64))] if is_extreme.any() else []
        self._extremes = spans.running(extremes)

    def variances(self, length: int | None, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Variances of the windows, which hold so many `rows`, as v and k for v * 4**k.

        So a standard deviation is at hand where the variance itself is beyond a double; v is 0 for fewer than two rows.
        """
        several = rows > 1
        result, exponent = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
        squares, about_mean = self._from_totals(length, rows)
        result[several] = about_mean[several] / (rows[several] - 1)
        limit = _CANCELS if self._exactly is None else _CANCELS_IF_ROUNDED
        rough = (squares > 0) & (about_mean < squares * limit)
        rough |= exact.to_integers(self._spans.over(self._extremes, length), len(rows)) > 0
        which = np.flatnonzero(several & rough)
        if len(which):
            result[which] = 0.0
            which = which[self._varies(length)[which]]  # a column that is the same all over is not read row by row
            result[which], exponent[which] = self._by_rows(which, length)
        return result, exponent

    def _from_totals(
        self, length: int | None, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The total of squares, and of squares about the mean."""
        high, low = exact.to_floats(self._spans.over(self._plain, length), len(rows))
        square, square_low = exact.to_floats(self._spans.over(self._squared, length), len(rows))
        count = np.maximum(rows, 1).astype(np.float64)
        mean = high / count
        product, error = exact.two_product(mean, count)
        mean_low = ((high - product) - error + low) / count
        product, error = exact.two_product(high, mean)
        error += high * mean_low + low * mean
        about_mean, rest = exact.two_sum(square, -product)
        return square, about_mean + (rest + (square_low - error))

    def _by_rows(self, which: NDArray[np.int64], length: int | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        result, exponent = np.zeros(len(which)), np.zeros(len(which), dtype=np.int64)
        begin, end = self._spans.start(length)[which], self._spans.stop[which]
        for index, position in self._spans.line.visible_pairs(begin, end, self._spans.asked.at[which]):
            if len(index):
                first = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
                above, exponent[index[first]] = self._above_least(position, first)
                result[index[first]] = _about_mean(above, first)
        return result, exponent

    def _above_least(
        self, position: NDArray[np.int64], first: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """How far each value lies above the least of its stretch, which begins at `first`, as x * 2**k; k a stretch."""
        count = np.diff(np.r_[first, len(position)])
        if self._exactly is not None:
            whole = self._exactly(position)
            above = whole - np.repeat(np.minimum.reduceat(whole, first), count)
            return above.astype(np.float64), np.zeros(len(first), dtype=np.int64)
        values = self._values[position]
        exponent = np.frexp(np.maximum.reduceat(np.abs(values), first))[1].astype(np.int64) + 1
        scaled = np.ldexp(values, -np.repeat(exponent, count))
        return scaled - np.repeat(np.minimum.reduceat(scaled, first), count), exponent


def _about_mean(values: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Variance of each stretch that begins at `first`; the values are added by size, however the rows came."""
    count = np.diff(np.r_[first, len(values)])
    values = values[np.lexsort((values, np.repeat(np.arange(len(first)), count)))]
    about = values - np.repeat(np.add.reduceat(values, first) / count, count)
    squares = np.add.reduceat(about * about, first) - np.add.reduceat(about, first) ** 2 / count
    return np.asarray(np.maximum(squares, 0.0) / np.maximum(count - 1, 1))
