"""All measures of one column in one segment, from two rows of counts over the same cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scorelake.drift import measures, significance
from scorelake.drift.cells import NumericCells, ValueCells, boundaries, is_ordered, on_the_line
from scorelake.drift.counts import CellTotals
from scorelake.drift.physical import to_double
from scorelake.drift.profile import FeatureProfile


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Measures of the headline kind and those for experts; drift.md section 1 defines each.

    PSI, its terms and KL are of smoothed shares over all cells; the others of plain shares. KS and W1 leave
    out null, NaN and unseen and are None for texts. `w1` is in standard deviations of the reference.
    """

    psi: float
    noise: float
    crit: float
    chi2: float
    p: float
    js: float
    kl_pq: float
    kl_qp: float
    hellinger: float
    ks_lo: float | None
    ks_hi: float | None
    w1: float | None
    anderson_darling: float | None
    terms: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Reference and current of one column in one segment; `distance` is None when either has no rows."""

    feature: FeatureProfile
    reference: CellTotals
    current: CellTotals
    distance: Distance | None

    @property
    def n(self) -> int:
        return int(self.reference.rows.sum())

    @property
    def m(self) -> int:
        return int(self.current.rows.sum())

    def share(self, name: str) -> tuple[float, float] | None:
        """Reference and current share of a special cell (`null`, `unseen`, ...); None without rows or such a cell."""
        if self.distance is None or name not in self.feature.cells.names:
            return None
        cell = self.feature.cells.names.index(name)
        return float(self.p[cell]), float(self.q[cell])

    def change_p(self, name: str) -> float:
        """How likely the change of a special cell's share is without drift."""
        cell = self.feature.cells.names.index(name)
        n, m = round(self.reference.size), round(self.current.size)
        return significance.share_change(round(self.p[cell] * n), n, round(self.q[cell] * m), m)

    @cached_property
    def p(self) -> np.ndarray:
        return measures.shares(self.reference.sum_w)

    @cached_property
    def q(self) -> np.ndarray:
        return measures.shares(self.current.sum_w)

    @property
    def became_constant(self) -> bool:
        """All of tonight's rows are in one cell, those of the reference were not."""
        return bool(np.count_nonzero(self.q) == 1 < np.count_nonzero(self.p))


def compare(feature: FeatureProfile, reference: CellTotals, current: CellTotals, *, alpha: float) -> Comparison:
    """Compare two rows of counts; `alpha` is the level of the critical PSI."""
    if reference.size == 0 or current.size == 0:
        return Comparison(feature, reference, current, None)
    return Comparison(feature, reference, current, _distance(feature, reference, current, alpha))


def moments_now(comparison: Comparison) -> tuple[float | None, float | None]:
    """Tonight's mean and standard deviation, as far as cells can tell.

    The reference's own, moved by what the shift between cells makes of it (values taken at the middle of
    their cell), so that equal shares give exactly the reference's.
    """
    feature, cells = comparison.feature, comparison.feature.cells
    if feature.mean is None or feature.std is None or not isinstance(cells, NumericCells | ValueCells):
        return None, None
    line = on_the_line(cells)
    p, q = measures.shares(comparison.p[line]), measures.shares(comparison.q[line])
    if not q.any() or not p.any():
        return None, None
    middles = _middles(cells) * to_double(1, feature.type)
    means = float(p @ middles), float(q @ middles)
    spreads = float(p @ (middles - means[0]) ** 2), float(q @ (middles - means[1]) ** 2)
    return feature.mean + means[1] - means[0], math.sqrt(max(feature.std**2 + spreads[1] - spreads[0], 0.0))


def share_above(comparison: Comparison, cut: float) -> tuple[float, float] | None:
    """Reference and current share of values of at least `cut`, as far as cells can tell: a bin that holds the cut
    counts by the part of its width; None for texts and without rows."""
    cells = comparison.feature.cells
    if comparison.distance is None or not is_ordered(cells):
        return None
    if isinstance(cells, ValueCells):
        parts = (np.array(cells.values, dtype=np.float64) * to_double(1, comparison.feature.type) >= cut).astype(float)
    else:
        ends = boundaries(cells) * to_double(1, comparison.feature.type)
        widths = np.diff(ends)
        inside = np.divide(ends[1:] - cut, widths, out=(ends[1:] >= cut).astype(float), where=widths > 0)
        parts = np.concatenate([[0.0], np.clip(inside, 0, 1), [1.0]])
    line = on_the_line(cells)
    before, now = (float(measures.shares(shares[line]) @ parts) for shares in (comparison.p, comparison.q))
    return before, now


def _distance(feature: FeatureProfile, reference: CellTotals, current: CellTotals, alpha: float) -> Distance:
    n, m = reference.size, current.size
    eps = measures.epsilon(n, m)
    smooth_p, smooth_q = measures.smoothed(reference.sum_w, eps), measures.smoothed(current.sum_w, eps)
    p, q = measures.shares(reference.sum_w), measures.shares(current.sum_w)
    df = significance.degrees(p, q)
    test = significance.homogeneity(p * n, q * m)
    terms = measures.psi_terms(smooth_p, smooth_q)
    low, high, w1, darling = _on_the_line(feature, p * n, q * m)
    return Distance(
        psi=math.fsum(terms),
        noise=significance.noise(n, m, df),
        crit=significance.critical(n, m, df, alpha),
        chi2=test.statistic,
        p=test.p,
        js=measures.js_distance(p, q),
        kl_pq=measures.kl(smooth_p, smooth_q),
        kl_qp=measures.kl(smooth_q, smooth_p),
        hellinger=measures.hellinger(p, q),
        ks_lo=low,
        ks_hi=high,
        w1=w1,
        anderson_darling=darling,
        terms=tuple(terms.tolist()),
    )


def _on_the_line(
    feature: FeatureProfile, c: np.ndarray, d: np.ndarray
) -> tuple[float | None, float | None, float | None, float | None]:
    """KS bracket, scaled W1 and Anderson-Darling of the ordered cells; None where they mean nothing."""
    if not is_ordered(feature.cells):
        return None, None, None, None
    line = on_the_line(feature.cells)
    c, d = c[line], d[line]
    p, q = measures.shares(c), measures.shares(d)
    if not p.any() or not q.any():
        return None, None, None, None
    darling = measures.anderson_darling(c, d)
    return (*measures.ks_bracket(p, q), _scaled_w1(feature, p, q), None if math.isnan(darling) else darling)


def _scaled_w1(feature: FeatureProfile, p: np.ndarray, q: np.ndarray) -> float | None:
    if not feature.std:
        return None
    cells = feature.cells
    if isinstance(cells, NumericCells):
        area = measures.wasserstein_bins(boundaries(cells), p, q)
    elif isinstance(cells, ValueCells):
        area = measures.wasserstein_values(np.array(cells.values, dtype=np.float64), p, q)
    else:
        return None
    return area * to_double(1, feature.type) / feature.std


def _middles(cells: NumericCells | ValueCells) -> np.ndarray:
    if isinstance(cells, ValueCells):
        return np.array(cells.values, dtype=np.float64)
    ends = boundaries(cells)
    return np.concatenate([ends[:1], (ends[:-1] + ends[1:]) / 2, ends[-1:]])
