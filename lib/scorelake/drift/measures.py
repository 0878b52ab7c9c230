"""How far a distribution over cells stands from another: plain numpy on counts and shares.

`c` and `d` are counts (or sums of weights) a cell of reference and current, `p` and `q` their shares.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import digamma, polygamma, rel_entr

Array = np.ndarray


def epsilon(n: float, m: float) -> float:
    """What each cell's share gets on both sides: half a row of the smaller side, at least 1e-4.

    Constant from 5,000 rows on, so that days compare; n and m are effective sizes when rows are weighted.
    """
    return max(1e-4, 0.5 / min(n, m))


def shares(counts: Array) -> Array:
    """Each cell's part of all rows; of no rows, nothing but zeros."""
    everything = counts.sum()
    return np.asarray(counts / everything) if everything > 0 else np.zeros(len(counts))


def smoothed(counts: Array, eps: float) -> Array:
    """Shares with eps in every declared cell, renormalised to one, so that an empty cell has a logarithm."""
    return np.asarray((shares(counts) + eps) / (1 + len(counts) * eps))


def psi_terms(p: Array, q: Array) -> Array:
    """(q - p) ln(q / p), a cell each: never negative, 0 where the shares are equal (both 0 included)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(p == q, 0.0, (q - p) * np.log(q / p)))


def psi(p: Array, q: Array) -> float:
    """Population stability index: KL(p, q) + KL(q, p). Infinite where one share is 0 and not smoothed."""
    return math.fsum(psi_terms(p, q))


def kl(p: Array, q: Array) -> float:
    """Kullback-Leibler divergence of q from p, in nats."""
    return math.fsum(rel_entr(p, q))


def jensen_shannon(p: Array, q: Array) -> float:
    """Jensen-Shannon divergence in nats, between 0 and ln 2."""
    middle = (p + q) / 2
    return (kl(p, middle) + kl(q, middle)) / 2


def js_distance(p: Array, q: Array) -> float:
    """Square root of the Jensen-Shannon divergence to base 2: 0 for equal shares, 1 for disjoint ones."""
    return math.sqrt(max(jensen_shannon(p, q), 0.0) / math.log(2))


def hellinger(p: Array, q: Array) -> float:
    """Hellinger distance, between 0 and 1."""
    return math.sqrt(math.fsum((np.sqrt(p) - np.sqrt(q)) ** 2) / 2)


def ks_bracket(p: Array, q: Array) -> tuple[float, float]:
    """Bounds of the Kolmogorov-Smirnov distance of the values behind the cells.

    Cells ascending, without unseen, NaN and null. The lower bound is the distance at the edges, exact when
    every value is an edge; the upper one lets all of a cell's rows lie at its worse end.
    """
    f, g = np.cumsum(p), np.cumsum(q)
    before_f, before_g = f - p, g - q
    low = float(np.max(np.abs(f - g), initial=0.0))
    return low, max(low, float(np.max(np.maximum(f - before_g, g - before_f), initial=0.0)))


def wasserstein_bins(low_to_high: Array, p: Array, q: Array) -> float:
    """Area between the distribution functions over [low, high], linear inside each bin.

    `low_to_high` are low, edges, high; cells are below, bins, above. What moved outside the range counts
    as if it lay at its end: the shares below and above tell how much that is.
    """
    gap = np.cumsum(p - q)[:-1]
    left, right, width = np.abs(gap[:-1]), np.abs(gap[1:]), np.diff(low_to_high)
    crosses = gap[:-1] * gap[1:] < 0
    total = left + right
    crossing = np.divide(left**2 + right**2, total, out=np.zeros_like(total), where=total > 0)
    return math.fsum(width * np.where(crosses, crossing, total) / 2)


def wasserstein_values(values: Array, p: Array, q: Array) -> float:
    """Area between the distribution functions of a few values, exact."""
    return math.fsum(np.diff(values) * np.abs(np.cumsum(p - q)[:-1]))


def anderson_darling(c: Array, d: Array) -> float:
    """Standardised two-sample Anderson-Darling statistic with midranks (Scholz and Stephens 1987, equation 7).

    Cells ascending, each of them one tie; about 2 at the level of 5 % (4 at 0.8 %). NaN below four rows.
    """
    n, m = float(c.sum()), float(d.sum())
    size, pooled = n + m, c + d
    middle = np.cumsum(pooled) - pooled / 2
    weight = middle * (size - middle) - size * pooled / 4
    live = (pooled > 0) & (weight > 0)
    if min(n, m) == 0 or size < 4 or not live.any():
        return math.nan
    total = 0.0
    for counts, rows in ((c, n), (d, m)):
        rank = (np.cumsum(counts) - counts / 2)[live]
        gaps = (size * rank - rows * middle[live]) ** 2
        total += math.fsum(pooled[live] / size * gaps / weight[live]) / rows
    return float((total * (size - 1) / size - 1) / math.sqrt(_anderson_darling_variance(n, m)))


def _anderson_darling_variance(n: float, m: float) -> float:
    """Variance of the unstandardised statistic of two samples (equation 4), its double sum in closed form."""
    size, inverse = n + m, 1 / n + 1 / m
    h = float(digamma(size)) + np.euler_gamma
    g = math.pi**2 / 6 - float(polygamma(1, size + 1)) - (2 * h + 1 / size) / size
    a = 4 * g - 6 + (10 - 6 * g) * inverse
    b = 8 * g - 16 + 16 * h + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = 4 * (6 * h + 2 * g - 2) + 2 * (4 * h - 4 * g + 6) + (2 * h - 6) * inverse + 4 * h
    d = 4 * (2 * h + 6) - 8 * h
    return (a * size**3 + b * size**2 + c * size + d) / ((size - 1) * (size - 2) * (size - 3))
