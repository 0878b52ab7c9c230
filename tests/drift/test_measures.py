"""Vectors of the drift law (section 2), each computed by two programs other than this one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scorelake.drift import measures

Counts = list[int]
COUNTS = st.integers(2, 30).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 10**6), min_size=k, max_size=k).filter(sum)] * 2)
)


def close(expected: float) -> object:
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def plain(c: Counts, d: Counts) -> float:
    return measures.psi(measures.shares(np.array(c)), measures.shares(np.array(d)))


def smoothed(c: Counts, d: Counts) -> float:
    eps = measures.epsilon(sum(c), sum(d))
    return measures.psi(measures.smoothed(np.array(c), eps), measures.smoothed(np.array(d), eps))


V3 = [100] * 10, [60, 70, 80, 90, 100, 100, 110, 120, 130, 140]


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        pytest.param([25] * 4, [10, 20, 30, 40], 0.228217409573392, id="V1"),
        pytest.param(*V3, 0.062579099784460, id="V3"),
        pytest.param([85, 15], [45, 55], 0.774108700340103, id="positive rate 15 to 55 percent"),
    ],
)
def test_psi_of_plain_shares(reference: Counts, current: Counts, expected: float) -> None:
    assert plain(reference, current) == close(expected)


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        pytest.param(*V3, 0.061930237343740, id="V3b K=10"),
        pytest.param([0, *V3[0], 0, 0, 0], [0, *V3[1], 0, 0, 0], 0.061807237865401, id="V3b K=14"),
        pytest.param([40, 30, 20, 10, 0], [30, 30, 20, 15, 5], 0.163634664417480, id="V4 zero bin"),
        pytest.param([45, 45, 10], [40, 40, 20], 0.077385219785743, id="V5 null cell"),
        pytest.param([50, 50, 0], [0, 0, 100], 9.771847709261415, id="V7 all null"),
        pytest.param([60, 40, 0], [50, 30, 20], 0.777476793365835, id="V8 new category"),
        pytest.param([600_000, 400_000, 0], [119, 80, 1], 0.005493526899391, id="V8b one new row"),
        pytest.param([500, 500], [2, 1], 0.063853202970749, id="V10 tiny"),
        pytest.param([0, 50, 0, 0, 0], [0, 49, 1, 0, 0], 0.021306913435710, id="V13 constant"),
        pytest.param([0, 5, 5, 5, 5, 0, 0, 0], [3, 2, 1, 0, 1, 2, 1, 2], 1.433593031931651, id="P2 inf, NaN, null"),
    ],
)
def test_psi_with_one_epsilon_for_both_sides(reference: Counts, current: Counts, expected: float) -> None:
    assert smoothed(reference, current) == close(expected)


@pytest.mark.parametrize(
    ("reference", "current"),
    [([1, 3], [1000, 3000]), ([1, 3, 0, 0], [1000, 3000, 0, 0]), ([0, 50, 0, 0, 0], [0, 50, 0, 0, 0])],
    ids=["V9", "V9 with empty cells", "V13 unchanged"],
)
def test_equal_shares_give_exactly_zero_whatever_the_sizes(reference: Counts, current: Counts) -> None:
    assert smoothed(reference, current) == 0


def test_the_term_of_a_cell_that_was_empty() -> None:
    c, d = np.array([40, 30, 20, 10, 0]), np.array([30, 30, 20, 15, 5])
    assert measures.epsilon(100, 100) == 0.005
    terms = measures.psi_terms(measures.smoothed(c, 0.005), measures.smoothed(d, 0.005))
    assert terms[-1] == close(0.116970501112116)


def test_epsilon_is_constant_from_5000_rows_on() -> None:
    assert measures.epsilon(1_000_000, 5000) == measures.epsilon(10**9, 10**9) == 1e-4
    assert measures.epsilon(500, 3) == close(1 / 6)


@settings(deadline=None)
@given(COUNTS)
def test_terms_are_never_negative_sum_to_psi_and_the_sides_may_be_swapped(pair: tuple[Counts, Counts]) -> None:
    c, d = np.array(pair[0]), np.array(pair[1])
    eps = measures.epsilon(c.sum(), d.sum())
    p, q = measures.smoothed(c, eps), measures.smoothed(d, eps)
    terms = measures.psi_terms(p, q)
    assert (terms >= 0).all()
    assert measures.psi(p, q) == math.fsum(terms) == close(measures.psi(q, p))
    assert measures.psi(p, q) == pytest.approx(measures.kl(p, q) + measures.kl(q, p), rel=1e-9, abs=1e-12)
    assert math.fsum(p) == pytest.approx(1, abs=1e-12)
    shuffled = np.random.default_rng(0).permutation(len(p))
    assert measures.psi(p[shuffled], q[shuffled]) == measures.psi(p, q)


@settings(deadline=None)
@given(COUNTS, st.integers(2, 50))
def test_a_multiple_of_the_reference_is_no_drift(pair: tuple[Counts, Counts], factor: int) -> None:
    assert smoothed(pair[0], [factor * count for count in pair[0]]) == pytest.approx(0, abs=1e-25)


def test_measures_of_plain_shares() -> None:
    p, q = np.full(4, 0.25), np.array([0.1, 0.2, 0.3, 0.4])
    assert measures.kl(p, q) == close(0.121777274287169)
    assert measures.kl(q, p) == close(0.106440135286223)
    assert measures.hellinger(p, q) == close(0.167899596402675)
    assert measures.jensen_shannon(p, q) == close(0.027865613457277)
    assert measures.js_distance(p, q) == close(0.200503322531428)


def test_jensen_shannon_bears_an_empty_cell() -> None:
    p, q = np.array([0.4, 0.3, 0.2, 0.1, 0]), np.array([0.3, 0.3, 0.2, 0.15, 0.05])
    assert measures.js_distance(p, q) == close(0.183851374977666)
    assert measures.js_distance(np.array([1.0, 0]), np.array([0, 1.0])) == close(1)


def test_anderson_darling_with_midranks() -> None:
    assert measures.anderson_darling(np.full(4, 25), np.array([10, 20, 30, 40])) == close(8.819886645070287)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_anderson_darling_is_scipys_on_the_rows_behind_the_counts() -> None:
    c, d = np.array([0, 3, 5, 0, 9, 1]), np.array([2, 0, 4, 0, 7, 8])
    rows = [np.repeat(np.arange(6), counts) for counts in (c, d)]
    assert measures.anderson_darling(c, d) == pytest.approx(stats.anderson_ksamp(rows).statistic, rel=1e-12)


def test_ks_bracket_of_a_shift_by_two() -> None:
    p = np.array([0, 5, 5, 5, 5, 0]) / 20  # below, (1..5], (..10], (..15], (..20], above
    q = np.array([0, 3, 5, 5, 5, 2]) / 20
    assert measures.ks_bracket(p, q) == (close(0.10), close(0.35))


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=5, max_size=60), st.lists(st.integers(-50, 50), min_size=1, max_size=60))
def test_the_ks_distance_of_the_rows_lies_in_the_bracket(before: list[int], now: list[int]) -> None:
    edges = np.unique(np.quantile(before, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf"))
    cell = [np.searchsorted(edges, side, side="left") for side in (before, now)]
    p, q = (np.bincount(cells, minlength=len(edges) + 1) / len(cells) for cells in cell)
    low, high = measures.ks_bracket(p, q)
    assert low - 1e-12 <= stats.ks_2samp(before, now, method="asymp").statistic <= high + 1e-12


def test_wasserstein_of_a_shift_by_one() -> None:
    spread = float(np.std([1, 2, 3, 4, 5]))
    p, q = np.array([1, 1, 1, 1, 1, 0]) / 5, np.array([0, 1, 1, 1, 1, 1]) / 5
    assert measures.wasserstein_values(np.arange(1.0, 7.0), p, q) / spread == close(0.707106781186547)
    whole = [np.concatenate([[0], side, [0]]) for side in (p, q)]
    assert measures.wasserstein_bins(np.arange(0.0, 7.0), *whole) / spread == close(0.707106781186547)


def test_wasserstein_where_the_distribution_functions_cross_inside_a_bin() -> None:
    # F - G goes from +0.5 at 1 to -0.5 at 3, linearly: two triangles of base 1 and height 0.5.
    p, q = np.array([0.5, 0, 0.5]), np.array([0, 1.0, 0])
    assert measures.wasserstein_bins(np.array([1.0, 3.0]), p, q) == close(0.5)
