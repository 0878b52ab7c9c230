"""Whether a difference is more than the noise of two samples of these sizes.

Under no drift PSI is about (1/n + 1/m) times a chi-square of the live cells less one, so a large slice
finds tiny differences significant and a small one shows a large PSI by chance: a verdict asks for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, chdtri

EXPECTED = 5.0
"""Least expected count of a cell in the chi-square test, on either side."""


@dataclass(frozen=True)
class Test:
    """Pearson's statistic, its degrees of freedom, and how likely so large a one is without drift."""

    __test__ = False  # not a test case

    statistic: float
    df: int
    p: float


def degrees(c: np.ndarray, d: np.ndarray) -> int:
    """Live cells, filled on either side, less one."""
    return max(int(np.count_nonzero(c + d)) - 1, 0)


def noise(n: float, m: float, df: int) -> float:
    """The PSI to expect without drift."""
    return df * (1 / n + 1 / m)


def critical(n: float, m: float, df: int, alpha: float) -> float:
    """The PSI that no drift exceeds with probability alpha."""
    return (1 / n + 1 / m) * float(chdtri(df, alpha)) if df else 0.0


def rows_for(level: float, n: float, df: int, alpha: float) -> int | None:
    """Rows a night needs for a critical PSI of at most `level`; None when the reference is too small."""
    inverse = level / float(chdtri(df, alpha)) - 1 / n if df else 1.0
    return math.ceil(1 / inverse) if inverse > 0 else None


def homogeneity(c: np.ndarray, d: np.ndarray) -> Test:
    """Pearson's chi-square test that two rows of counts come from one distribution.

    Cells of an expected count below 5 on either side are merged into one, which joins the next smallest
    cell while it still is. Nothing can be told from a single cell: p is 1.
    """
    c, d = _merged(c, d)
    n, m = float(c.sum()), float(d.sum())
    if len(c) < 2 or n == 0 or m == 0:
        return Test(0.0, 0, 1.0)
    pooled = (c + d) / (n + m)
    statistic = math.fsum((c - n * pooled) ** 2 / (n * pooled)) + math.fsum((d - m * pooled) ** 2 / (m * pooled))
    return Test(statistic, len(c) - 1, float(chdtrc(len(c) - 1, statistic)))


def share_change(c: int, n: int, d: int, m: int) -> float:
    """How likely a share differs so much, c of n against d of m, without drift: Fisher's exact test where a
    cell expects fewer than 5 rows, else chi-square."""
    pooled = c + d
    if min(pooled, n + m - pooled) * min(n, m) < EXPECTED * (n + m):
        return fisher(c, n - c, d, m - d)
    return homogeneity(np.array([c, n - c], dtype=float), np.array([d, m - d], dtype=float)).p


def fisher(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p-value of Fisher's exact test of the table [[a, b], [c, d]]."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[a, b], [c, d]]).pvalue)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """p-values adjusted for their number: below `fdr`, that part of the findings is expected to be false."""
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(p[order] * len(p) / ranks) if len(p) else []
    return np.minimum(adjusted, 1.0)


def _merged(c: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Live cells, those too small for the test merged; ascending in size, the rest cell first."""
    live = (c + d) > 0
    c, d = c[live].astype(float), d[live].astype(float)
    order = np.argsort(c + d, kind="stable")
    c, d = c[order], d[order]
    if len(c) == 0:
        return c, d
    scale = min(c.sum(), d.sum()) / (c.sum() + d.sum())
    pooled = c + d
    small = int(np.count_nonzero(pooled * scale < EXPECTED))
    while 0 < small < len(c) and pooled[:small].sum() * scale < EXPECTED:
        small += 1
    if small == 0:
        return c, d
    return np.append(c[:small].sum(), c[small:]), np.append(d[:small].sum(), d[small:])
