from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorelake.features import exact

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
moderate = finite.filter(lambda x: x == 0 or 1e-140 < abs(x) < 1e140)


def _total(digits: list[exact.Digit]) -> Fraction:
    return sum((int(value) * Fraction(2) ** d.exponent for d in digits for value in d.values), Fraction(0))


@given(st.lists(finite, max_size=12))
def test_digits_of_doubles_add_up_to_their_exact_sum(values: list[float]) -> None:
    digits = exact.of_floats(np.array(values))
    assert _total(digits) == sum(map(Fraction, values), Fraction(0))


@given(st.lists(moderate, max_size=12))
def test_digits_of_squares_add_up_to_the_exact_sum_of_squares(values: list[float]) -> None:
    assert _total(exact.squares(np.array(values))) == sum((Fraction(x) ** 2 for x in values), Fraction(0))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12))
def test_digits_of_integers_add_up_to_their_exact_sum(values: list[int]) -> None:
    assert _total(exact.of_integers(np.array(values, dtype=np.int64))) == sum(values)


@given(st.lists(finite.filter(lambda x: abs(x) < 1e300), min_size=1, max_size=12))
def test_a_total_is_rounded_once(values: list[float]) -> None:
    totals = [exact.Digit(d.exponent, np.array([d.values.sum()])) for d in exact.of_floats(np.array(values))]
    high, low = exact.to_floats(totals, 1)
    assert high[0] + low[0] == pytest.approx(math.fsum(values), rel=1e-15, abs=5e-324)


def test_a_small_total_next_to_a_huge_one_is_exact() -> None:
    values = np.array([1e300, 0.1, 0.2, -1e300])
    running = [(d.exponent, np.cumsum(d.values)) for d in exact.of_floats(values)]
    middle = [exact.Digit(exponent, np.array([total[2] - total[0]])) for exponent, total in running]
    assert exact.to_floats(middle, 1)[0][0] == 0.1 + 0.2


@given(moderate, moderate)
def test_a_product_and_its_error_are_exact(first: float, second: float) -> None:
    if first and second and not 1e-140 < abs(first * second) < 1e140:
        return
    product, error = exact.two_product(np.array([first]), np.array([second]))
    assert Fraction(product[0]) + Fraction(error[0]) == Fraction(first) * Fraction(second)
