"""Comparisons and verdicts as rows of drift_metrics, drift_bins and drift_alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from scorelake.drift.compare import Comparison, moments_now, share_above
from scorelake.drift.labels import cell_labels
from scorelake.drift.profile import OVERALL
from scorelake.drift.status import UNCOUNTED, Status, Verdict, firing, is_muted, judge, worst
from scorelake.drift.tables import AlertRow, BinRow, MetricRow
from scorelake.models.watching import Drift, DriftLimits

TRAINING = "training"
WHOLE = "*"
"""The feature of the row that sums up a subject."""


@dataclass(frozen=True, kw_only=True)
class Night:
    """What is judged: a model version or a table (`subject`) on a run date, against training or a period."""

    subject: str
    version: str
    run_date: dt.date
    against: str = TRAINING
    run_id: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One feature in one segment with all that its verdict depends on; `past` are its rows, oldest first."""

    segment: str
    comparison: Comparison
    limits: DriftLimits
    problem: str | None
    importance: float | None
    cut: float | None
    past: Sequence[MetricRow]

    @property
    def is_tested(self) -> bool:
        """Whether there is a p-value, from enough rows on both sides."""
        sizes = (self.comparison.reference.size, self.comparison.current.size)
        return self.problem is None and self.comparison.distance is not None and min(sizes) >= self.limits.min_rows


@dataclass(frozen=True)
class Adjusted:
    """p-values of a case, Benjamini-Hochberg's over its family: of the chi-square test and of shares, by rule."""

    p: float | None
    shares: Mapping[str, float]


def metric_row(case: Case, adjusted: Adjusted, night: Night, limits: Drift) -> MetricRow:
    """Measures, verdict and what the nights before make of it."""
    comparison = case.comparison
    verdict = judge(
        comparison,
        case.limits,
        fdr=limits.fdr,
        adjusted_p=adjusted.p,
        adjusted_shares=adjusted.shares,
        problem=case.problem,
    )
    statuses = [*(Status(row.status) for row in case.past), verdict.status]
    level = firing(statuses, k=limits.k, n=limits.n)
    mute = case.limits.mute if is_muted(case.limits, night.run_date) else None
    mean, std = moments_now(comparison)
    cut_shares = (case.cut is not None and share_above(comparison, case.cut)) or (None, None)
    return MetricRow(
        **_keys(night),
        segment=case.segment,
        feature=comparison.feature.name,
        role=comparison.feature.role,
        n=comparison.n,
        m=comparison.m,
        n_effective=comparison.reference.size,
        m_effective=comparison.current.size,
        **_measures(comparison),
        p_adjusted=adjusted.p,
        **_special_shares(comparison),
        mean_reference=comparison.feature.mean,
        mean=mean,
        std_reference=comparison.feature.std,
        std=std,
        cut_share_reference=cut_shares[0],
        cut_share=cut_shares[1],
        became_constant=comparison.became_constant,
        importance=case.importance,
        **_verdict(verdict),
        firing=None if mute or level is None else str(level),
        nights=sum(1 for _ in takewhile(lambda status: status == verdict.status, reversed(statuses))),
        muted_until=mute.until if mute else None,
        mute_reason=mute.reason if mute else None,
    )


def bin_rows(case: Case, night: Night) -> list[BinRow]:
    """Both shares and the PSI term of each cell; none for a column that could not be counted."""
    comparison = case.comparison
    if case.problem is not None:
        return []
    feature = comparison.feature
    terms = comparison.distance.terms if comparison.distance else (None,) * feature.width
    keys, names, p, q = _keys(night), feature.cells.names, comparison.p.tolist(), comparison.q.tolist()
    return [
        BinRow(
            **keys,
            segment=case.segment,
            feature=feature.name,
            cell=cell,
            kind=names[cell],
            label=label,
            rows_reference=int(comparison.reference.rows[cell]),
            rows=int(comparison.current.rows[cell]),
            share_reference=p[cell],
            share=q[cell],
            term=terms[cell],
        )
        for cell, label in enumerate(cell_labels(feature))
    ]


def alert_rows(row: MetricRow, past: Sequence[MetricRow], night: Night, *, n: int) -> list[AlertRow]:
    """The ledger's entry when the alert level differs from the night before; else none."""
    previous = past[-1].firing if past else None
    if row.firing == previous:
        return []
    if row.firing is None:
        event = "muted" if row.muted_until else "closed"
    else:
        event = "opened" if previous is None else "changed"
    entry = AlertRow(
        **_keys(night),
        segment=row.segment,
        feature=row.feature,
        event=event,
        level=row.firing,
        previous=previous,
        rule=row.rule,
        value=row.value,
        threshold=row.threshold,
        nights=" ".join([*(earlier.status for earlier in past), row.status][-n:]),
        reason=row.reason,
        muted_until=row.muted_until,
        mute_reason=row.mute_reason,
    )
    return [entry]


def whole_row(metrics: Sequence[MetricRow], night: Night) -> MetricRow:
    """The subject as a whole: the worst status and alert of what is not muted, and a PSI weighted by importance.

    A segment too small to judge, or labels that few rows have yet, say nothing about the whole; all rows being
    too few does.
    """
    heard = [row for row in metrics if _speaks_for_all(row) or Status(row.status) not in UNCOUNTED]
    loud = [row for row in heard if row.muted_until is None]
    status, level = worst(Status(row.status) for row in loud), _worst_level(loud)
    overall = [row for row in metrics if _speaks_for_all(row)]
    # A feature that the model does better without (its importance is below 0) weighs nothing.
    weighed = [(max(row.importance or 0.0, 0.0), row.psi) for row in overall if row.psi is not None]
    total = sum(weight for weight, _ in weighed)
    deciding = [row for row in loud if row.status == status]
    numbers: dict[str, Any] = dict.fromkeys((*_MEASURES, *_SHARES, *_MOMENTS, *_VERDICT))
    numbers["psi"] = sum(weight * psi for weight, psi in weighed) / total if total else None
    return MetricRow(
        **_keys(night),
        segment=OVERALL,
        feature=WHOLE,
        role="subject",
        n=max((row.n for row in overall), default=0),
        m=max((row.m for row in overall), default=0),
        n_effective=max((row.n_effective for row in overall), default=0.0),
        m_effective=max((row.m_effective for row in overall), default=0.0),
        **numbers,
        became_constant=False,
        status=str(status),
        rule="worst",
        reason=f"{status} for {len(deciding)} of {len(loud)} comparisons",
        firing=level,
        nights=1,
        muted_until=None,
        mute_reason=None,
    )


def worst_first(row: MetricRow) -> tuple[int, float, str]:
    """Sorts rows by how much they call for a look."""
    return list(Status).index(Status(row.status)), -(row.psi or 0.0), row.feature


def _speaks_for_all(row: MetricRow) -> bool:
    return row.segment == OVERALL and row.role != "label"


_MEASURES = (
    "psi", "noise", "crit", "chi2", "p", "js", "kl_pq", "kl_qp", "hellinger", "ks_lo", "ks_hi", "w1", "anderson_darling"
)  # fmt: skip
_CELLS = ("null", "nan", "below", "above", "other", "unseen")
_SHARES = tuple(name for cell in _CELLS for name in (f"{cell}_share_reference", f"{cell}_share"))
_VERDICT = ("p_adjusted", "importance", "value", "threshold")
_MOMENTS = ("mean_reference", "mean", "std_reference", "std", "cut_share_reference", "cut_share")


def _keys(night: Night) -> dict[str, Any]:
    return dict(vars(night))


def _measures(comparison: Comparison) -> dict[str, Any]:
    return {name: getattr(comparison.distance, name, None) for name in _MEASURES}


def _special_shares(comparison: Comparison) -> dict[str, Any]:
    shares: dict[str, Any] = {}
    for cell in _CELLS:
        found = comparison.share(cell)
        shares[f"{cell}_share_reference"], shares[f"{cell}_share"] = found or (None, None)
    return shares


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {**vars(verdict), "status": str(verdict.status)}


def _worst_level(rows: Iterable[MetricRow]) -> str | None:
    levels = [Status(row.firing) for row in rows if row.firing]
    return str(worst(levels)) if levels else None
