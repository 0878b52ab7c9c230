"""Sums without rounding: numbers cut into 32-bit digits whose running totals are 64-bit integers.

The digits lie on one fixed grid (weights 2**(32 k)), so that the total of some numbers is the same whatever other
numbers stand in the same running total, in whatever order: a window next to one that holds 1e300 inherits nothing.
It is rounded once, at the end. Up to 2**30 numbers can be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 32
_LOW = np.int64((1 << BITS) - 1)
_VELTKAMP = float((1 << 27) + 1)


@dataclass(frozen=True)
class Digit:
    """One digit of many numbers (or of many totals): values times 2**exponent."""

    exponent: int
    values: NDArray[np.int64]


def of_floats(values: NDArray[np.float64]) -> list[Digit]:
    """Digits of finite doubles, greatest weight first; exact."""
    digits: list[Digit] = []
    rest, exponent = values, _top(values)
    while exponent is not None:
        cut = np.trunc(_scaled(rest, -exponent))
        if cut.any():
            digits.append(Digit(exponent, cut.astype(np.int64)))
            rest = rest - _scaled(cut, exponent)
            exponent = exponent - BITS if rest.any() else None
        else:
            exponent = _top(rest)
    return digits


def _top(values: NDArray[np.float64]) -> int | None:
    """Exponent of the first digit of the greatest of some numbers; None when all are zero."""
    greatest = max(float(values.max()), -float(values.min())) if len(values) else 0.0
    return BITS * ((int(np.frexp(greatest)[1]) - 1) // BITS) if greatest else None


def of_integers(values: NDArray[np.int64]) -> list[Digit]:
    """Digits of 64-bit integers: one when no total can overflow, else two."""
    if not len(values):
        return []
    greatest = max(abs(int(values.max())), abs(int(values.min())))
    if greatest * len(values) < 1 << 62:
        return [Digit(0, values)]
    return [Digit(BITS, values >> BITS), Digit(0, values & _LOW)]


def of_words(words: NDArray[np.int64]) -> list[Digit]:
    """Digits of 128-bit integers, given as (low, high) words a row."""
    low, high = words[:, 0], words[:, 1]
    parts = (high >> BITS, high & _LOW, (low >> BITS) & _LOW, low & _LOW)
    return [Digit(BITS * (3 - place), part) for place, part in enumerate(parts)]


def squares(values: NDArray[np.float64]) -> list[Digit]:
    """Digits of the exact squares of doubles of moderate size (1e-140 to 1e140)."""
    high, error = two_product(values, values)
    return [*of_floats(high), *of_floats(error)]


def to_floats(totals: Sequence[Digit], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Totals as unevaluated sums high + low of two doubles; high is the total rounded, infinite beyond a double."""
    with np.errstate(over="ignore", invalid="ignore"):
        high, low = _added(totals, count)
        beyond = np.flatnonzero(~np.isfinite(high))
        if len(beyond):
            smaller = [Digit(digit.exponent - 2 * BITS, digit.values[beyond]) for digit in totals]
            high[beyond], low[beyond] = np.ldexp(_added(smaller, len(beyond))[0], 2 * BITS), 0.0
    return high, low


def _added(totals: Sequence[Digit], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    high = np.zeros(count)
    low = np.zeros(count)
    for digit in sorted(totals, key=lambda digit: -digit.exponent):
        upper = np.sign(digit.values) * (np.abs(digit.values) >> BITS)
        for part, shift in ((upper, BITS), (digit.values - (upper << BITS), 0)):
            term = _scaled(part.astype(np.float64), digit.exponent + shift)
            high, error = two_sum(high, term)
            low += error
    return two_sum(high, low)


def to_integers(totals: Sequence[Digit], count: int) -> NDArray[Any]:
    """Totals as integers: 64-bit ones where a single digit holds them, else Python's own."""
    if not totals:
        return np.zeros(count, dtype=np.int64)
    if len(totals) == 1 and totals[0].exponent == 0:
        return totals[0].values
    result = np.zeros(count, dtype=object)
    for digit in totals:
        result += digit.values.astype(object) * (1 << digit.exponent)
    return result


def two_sum(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knuth: the rounded sum and its exact error."""
    total = first + second
    back = total - first
    return total, (first - (total - back)) + (second - back)


def two_product(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dekker: the rounded product and its exact error."""
    product = first * second
    upper_first, lower_first = _halves(first)
    upper_second, lower_second = _halves(second)
    error = upper_first * upper_second - product
    error = error + upper_first * lower_second + lower_first * upper_second + lower_first * lower_second
    return product, error


def _halves(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spread = values * _VELTKAMP
    upper = spread - (spread - values)
    return upper, values - upper


def _scaled(values: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """values * 2**exponent without rounding, in two steps where one factor would not be a double."""
    if abs(exponent) < 1000:
        return values * 2.0**exponent
    return np.asarray(np.ldexp(values, exponent))
