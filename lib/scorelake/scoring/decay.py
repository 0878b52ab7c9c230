"""Whether a model has become worse than it was when it was trained, and where it is heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from scorelake import metrics
from scorelake.decisions import Decision
from scorelake.metrics import Estimate
from scorelake.models import Performance

GATE = "performance"
PASS, DECAY, INSUFFICIENT = "pass", "decay", "insufficient"


@dataclass(frozen=True)
class Night:
    """The headline metric of what one night served, as its labels judge it; `trained` is its value at training."""

    subject: str
    run_date: date
    score_date: date
    metric: str
    estimate: Estimate
    trained: float | None


def judge(night: Night, limits: Performance) -> Decision:
    """pass, decay or insufficient. Decay is a loss beyond `max_loss` that the whole interval agrees is a loss.

    A model without a known value at training passes, and the reason says so.
    """
    found, trained = night.estimate, night.trained
    told = f"{night.metric} of {night.score_date}"
    if found.value is None or found.rows < limits.min_rows:
        reason = f"{told}: {found.rows:,} matured scores, {limits.min_rows:,} are needed"
        return _decision(night, INSUFFICIENT, None, reason)
    if trained is None:
        return _decision(night, PASS, None, f"{told} is {found.value:,.4g}; its value at training is not on record")
    tolerated = limits.max_loss * abs(trained)
    limit = trained + tolerated if night.metric in metrics.LOWER_IS_BETTER else trained - tolerated
    loss = metrics.better(night.metric, trained, found.value)
    ends = [end for end in (found.low, found.high) if end is not None]
    is_certain = bool(ends) and all(metrics.better(night.metric, trained, end) > 0 for end in ends)
    reason = f"{told} is {found.value:,.6g}, {trained:,.6g} at training; a loss of {tolerated:,.4g} is tolerated"
    return _decision(night, DECAY if loss > tolerated and is_certain else PASS, limit, reason)


def trend(values: Mapping[date, float]) -> Estimate | None:
    """Change of the headline a night with its 95 % interval, by least squares over the nights; None below three."""
    from scipy.stats import linregress, t

    if len(values) < 3:
        return None
    first = min(values)
    days = np.array([(day - first).days for day in sorted(values)], dtype=np.float64)
    heights = np.array([values[day] for day in sorted(values)], dtype=np.float64)
    line = linregress(days, heights)
    slope, reach = float(line.slope), float(t.ppf(0.975, len(days) - 2) * line.stderr)
    return Estimate(slope, slope - reach, slope + reach, len(days))


def direction(model: str, run_date: date, metric: str, found: Estimate) -> Decision:
    """better, worse or steady: where the trend points when its whole interval agrees."""
    verdict = "steady"
    if found.low is not None and found.high is not None and metric not in metrics.CLOSER_TO_ZERO_IS_BETTER:
        ends = [metrics.better(metric, end, 0.0) for end in (found.low, found.high)]
        verdict = "worse" if max(ends) < 0 else "better" if min(ends) > 0 else "steady"
    reason = f"{metric} changes by {found.value:+.3g} a night over {found.rows} nights"
    return Decision(GATE, model, run_date, f"trend of {metric}", found.value, 0.0, verdict, reason)


def _decision(night: Night, verdict: str, limit: float | None, reason: str) -> Decision:
    return Decision(GATE, night.subject, night.run_date, night.metric, night.estimate.value, limit, verdict, reason)


def latest(nights: Sequence[Night]) -> list[Night]:
    """Of each run date the night scored last: the newest that labels can speak of."""
    newest: dict[date, Night] = {}
    for night in nights:
        known = newest.get(night.run_date)
        if known is None or known.score_date < night.score_date:
            newest[night.run_date] = night
    return [newest[day] for day in sorted(newest)]
