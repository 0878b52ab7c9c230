"""Noise, critical level and tests: more than chance, or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scorelake.drift import measures, significance


def close(expected: float) -> object:
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_critical_psi_of_a_thousand_rows_in_ten_cells() -> None:
    assert significance.critical(1000, 1000, 9, 0.05) == close(0.033837955209241)
    assert significance.critical(1000, 1000, 9, 0.01) == close(0.043331988666924)
    assert significance.noise(1000, 1000, 9) == close(0.018)


def test_a_single_live_cell_has_neither_noise_nor_a_critical_level() -> None:
    df = significance.degrees(np.array([0, 50, 0]), np.array([0, 9, 0]))
    assert (df, significance.noise(50, 9, df), significance.critical(50, 9, df, 0.01)) == (0, 0, 0)


def test_rows_that_bring_the_critical_psi_down_to_a_twentieth() -> None:
    assert significance.rows_for(0.05, 1e6, 9, 0.01) == 434
    assert significance.rows_for(0.05, 1e6, 19, 0.01) == 725
    assert significance.rows_for(0.05, 100, 19, 0.01) is None


def test_chi_square_of_ten_cells() -> None:
    test = significance.homogeneity(np.full(10, 100), np.array([60, 70, 80, 90, 100, 100, 110, 120, 130, 140]))
    assert (test.statistic, test.p, test.df) == (close(30.916738098054555), close(3.059261686078934e-4), 9)


def test_cells_that_expect_fewer_than_five_rows_are_merged() -> None:
    test = significance.homogeneity(np.array([100, 100, 3, 3, 0]), np.array([90, 95, 4, 6, 0]))
    merged = stats.chi2_contingency([[100, 100, 6], [90, 95, 10]], correction=False)
    assert (test.statistic, test.df) == (close(merged.statistic), 2)


def test_a_rest_that_is_still_too_small_joins_the_next_smallest_cell() -> None:
    test = significance.homogeneity(np.array([100, 50, 1, 1]), np.array([90, 60, 1, 2]))
    merged = stats.chi2_contingency([[100, 52], [90, 63]], correction=False)
    assert (test.statistic, test.df) == (close(merged.statistic), 1)


def test_one_cell_proves_nothing() -> None:
    assert significance.homogeneity(np.array([50, 0]), np.array([70, 0])).p == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(10, 500), st.integers(10, 500)), min_size=2, max_size=20))
def test_chi_square_of_filled_cells_is_scipys(cells: list[tuple[int, int]]) -> None:
    table = np.array(cells).T
    expected = stats.chi2_contingency(table, correction=False)
    if expected.expected_freq.min() >= 5:
        found = significance.homogeneity(table[0], table[1])
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-12)


def test_benjamini_hochberg() -> None:
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    expected = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.105714285714286, 0.216, 0.216, 0.216]
    assert significance.benjamini_hochberg(p) == close(expected)
    backwards = significance.benjamini_hochberg(p[::-1])
    assert backwards[::-1] == close(expected)
    assert len(significance.benjamini_hochberg(np.array([]))) == 0


def test_fishers_exact_test() -> None:
    assert significance.fisher(8, 2, 1, 5) == close(0.034965034965035)


def test_the_change_of_a_share_is_exact_where_few_rows_are_expected() -> None:
    assert significance.share_change(8, 10, 1, 6) == close(0.034965034965035)
    large = stats.chi2_contingency([[500, 500], [550, 450]], correction=False)
    assert significance.share_change(500, 1000, 550, 1000) == close(large.pvalue)


def _psis(rng: np.random.Generator, p: np.ndarray, q: np.ndarray, *, n: int, m: int, runs: int) -> np.ndarray:
    """PSI of `runs` pairs of samples, with four special cells that are never filled."""
    empty = np.zeros(4)
    pairs = zip(rng.multinomial(n, p, runs), rng.multinomial(m, q, runs), strict=True)
    eps = measures.epsilon(n, m)
    sides = ([measures.smoothed(np.append(side, empty), eps) for side in pair] for pair in pairs)
    return np.array([measures.psi(*pair) for pair in sides])


@pytest.mark.parametrize(("n", "m"), [(500, 500), (10_000, 500), (1_000_000, 1000), (20_000, 20_000)])
def test_samples_without_drift_exceed_the_critical_level_as_often_as_alpha_says(n: int, m: int) -> None:
    even = np.full(20, 1 / 20)
    psis = _psis(np.random.default_rng(20_17), even, even, n=n, m=m, runs=2000)
    rejected = (psis >= significance.critical(n, m, 19, 0.05)).mean()
    assert 0.03 <= rejected <= 0.065


def test_a_true_psi_of_0_119_is_caught_from_a_thousand_rows() -> None:
    even = np.full(20, 1 / 20)
    tilted = even * np.exp(np.linspace(-0.575, 0.575, 20))
    tilted /= tilted.sum()
    assert measures.psi(even, tilted) == pytest.approx(0.119, abs=0.003)
    psis = _psis(np.random.default_rng(1), even, tilted, n=1_000_000, m=1000, runs=1000)
    assert ((psis >= 0.1) & (psis >= significance.critical(1_000_000, 1000, 19, 0.01))).mean() >= 0.9
