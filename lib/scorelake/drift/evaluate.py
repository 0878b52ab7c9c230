"""The verdict of a night: counts against a reference, as rows of the monitoring tables.

Small arithmetic on the driver: features x segments x cells, no data. A night compares with training, with
another night or with any sum of nights in the same cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scorelake.drift import significance
from scorelake.drift.compare import compare
from scorelake.drift.counts import CellTotals, Counts, reference, zero
from scorelake.drift.profile import OVERALL, FeatureProfile, Profile
from scorelake.drift.rows import Adjusted, Case, Night, alert_rows, bin_rows, metric_row, whole_row
from scorelake.drift.status import Status, share_tests
from scorelake.drift.tables import AlertRow, BinRow, MetricRow
from scorelake.models.watching import Drift, DriftLimits


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """A night's rows. `status` is the worst of what is not muted, `firing` the worst level that k of n
    nights agree on (None: no alert)."""

    night: Night
    status: Status
    firing: Status | None
    metrics: Sequence[MetricRow] = field(repr=False)
    bins: Sequence[BinRow] = field(repr=False)
    alerts: Sequence[AlertRow] = field(repr=False)


def evaluate(
    profile: Profile,
    counts: Counts,
    night: Night,
    limits: Drift,
    *,
    base: Counts | None = None,
    importance: Mapping[str, float] | None = None,
    history: Iterable[MetricRow] = (),
    cut: float | None = None,
) -> Verdicts:
    """Judge every feature in every segment; labels, which know no segments, over all their rows.

    `base` is what to compare with (the profile's own counts unless given). `history` are rows of earlier
    nights of the same subject, version and `against`; other and later ones are ignored, so that a re-run
    answers the same. `cut` is the score from which the model decides 1. Counts of another profile make
    every feature an ERROR, never a number.
    """
    counts, base = _comparable(profile, counts), _comparable(profile, base or reference(profile))
    past = _past(history, night)
    metrics: list[MetricRow] = []
    bins: list[BinRow] = []
    alerts: list[AlertRow] = []
    for column, segments in _families(profile):
        cases = [
            _case(
                base=base,
                counts=counts,
                feature=feature,
                segment=segment,
                limits=limits.limits(feature.name, column),
                importance=importance or {},
                past=past,
                cut=cut if feature.role == "score" else None,
            )
            for segment in segments
            for feature in profile.features
            if column is None or feature.role != "label"
        ]
        for case, adjusted in zip(cases, _adjusted(cases), strict=True):
            row = metric_row(case, adjusted, night, limits)
            metrics.append(row)
            bins += bin_rows(case, night)
            alerts += alert_rows(row, case.past, night, n=limits.n)
    whole = whole_row(metrics, night)
    return Verdicts(
        night=night,
        status=Status(whole.status),
        firing=Status(whole.firing) if whole.firing else None,
        metrics=[*metrics, whole],
        bins=bins,
        alerts=alerts,
    )


def _families(profile: Profile) -> list[tuple[str | None, tuple[str, ...]]]:
    """Segments that are judged together: all rows, then the values of each segment column."""
    return [(None, (OVERALL,)), *((family.column, family.names) for family in profile.families)]


def _past(history: Iterable[MetricRow], night: Night) -> Mapping[tuple[str, str], list[MetricRow]]:
    """Earlier rows of each (segment, feature), oldest first."""
    past = defaultdict(list)
    for row in sorted(history, key=lambda row: row.run_date):
        same = (row.subject, row.version, row.against) == (night.subject, night.version, night.against)
        if same and row.run_date < night.run_date:
            past[row.segment, row.feature].append(row)
    return past


def _comparable(profile: Profile, counts: Counts) -> Counts:
    """Counts of another cutting compare with nothing: each feature has that problem."""
    if counts.profile.hash == profile.hash:
        return counts
    reason = f"counted in the cells of another profile ({counts.profile.hash[:8]}, expected {profile.hash[:8]})"
    return zero(profile, dict.fromkeys(profile.offsets, reason))


def _case(
    *,
    base: Counts,
    counts: Counts,
    feature: FeatureProfile,
    segment: str,
    limits: DriftLimits,
    importance: Mapping[str, float],
    past: Mapping[tuple[str, str], list[MetricRow]],
    cut: float | None,
) -> Case:
    name, position = feature.name, counts.profile.segments.index(segment)
    problem = counts.problems.get(name) or base.problems.get(name)
    now = counts.of(name, position) if problem is None else CellTotals.none(feature.width)
    return Case(
        segment=segment,
        comparison=compare(feature, base.of(name, position), now, alpha=limits.alpha),
        limits=limits,
        problem=problem,
        importance=importance.get(name),
        cut=cut,
        past=past.get((segment, name), []),
    )


def _adjusted(cases: Sequence[Case]) -> list[Adjusted]:
    """p-values of one family, adjusted over those of its features that have enough rows; others have none."""
    tested = [i for i, case in enumerate(cases) if case.is_tested]
    raw = [distance.p for i in tested if (distance := cases[i].comparison.distance)]
    p = dict(zip(tested, _benjamini_hochberg(raw), strict=True))
    shares = [(i, rule, p) for i in tested for rule, p in share_tests(cases[i].comparison, cases[i].limits).items()]
    adjusted: list[dict[str, float]] = [{} for _ in cases]
    for (i, rule, _), value in zip(shares, _benjamini_hochberg([p for *_, p in shares]), strict=True):
        adjusted[i][rule] = value
    return [Adjusted(p.get(i), of_case) for i, of_case in enumerate(adjusted)]


def _benjamini_hochberg(p: Sequence[float]) -> list[float]:
    found: list[float] = significance.benjamini_hochberg(np.array(p)).tolist()
    return found
