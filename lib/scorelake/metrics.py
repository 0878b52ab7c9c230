"""How good predictions were: one number a metric, its interval, and the paired difference of two models.

Labels and scores are arrays on the driver, one element a row (bounded by the caller): for `binary` labels 0/1 and
the probability of 1; for `multiclass` class codes 0..k-1 and an array (rows, k) of probabilities; for `regression`
numbers. A metric that the rows cannot tell (no rows, one class only, a constant label for R2) is None, never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorelake.models import METRICS, Task

Floats = NDArray[np.float64]
Values = dict[str, float | None]
Weighted = Callable[[Floats], Values]

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "rmse", "mae"})
CLOSER_TO_ZERO_IS_BETTER = frozenset({"bias"})
CALIBRATION_BINS = 10
LIFT_SHARE = 0.1
_MOST_DRAWS = 50_000_000
_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Estimate:
    """A metric over `rows` rows; `low` and `high` bound it at the confidence asked for, None if undefined."""

    value: float | None
    low: float | None
    high: float | None
    rows: int


def evaluate(task: Task, label: NDArray[np.generic], score: NDArray[np.generic]) -> Values:
    """Every metric of `task`. ValueError when shapes disagree or a number is not finite."""
    label, score = _checked(task, label, score)
    if not len(label):
        return dict.fromkeys(METRICS[task])
    return _weighted(task, label, score)(np.ones(len(label)))


def intervals(
    task: Task,
    label: NDArray[np.generic],
    score: NDArray[np.generic],
    *,
    seed: int,
    rounds: int = 500,
    confidence: float = 0.95,
    groups: NDArray[np.generic] | None = None,
) -> dict[str, Estimate]:
    """Every metric of `task` with its percentile-bootstrap interval.

    `groups` holds the entity of each row: whole entities are drawn, since rows of one entity are alike and
    intervals that ignore it are too narrow.
    """
    label, score = _checked(task, label, score)
    if not len(label):
        return {name: Estimate(None, None, None, 0) for name in METRICS[task]}
    metric = _weighted(task, label, score)
    return _resampled(metric, len(label), _resamples(len(label), groups, rounds, seed), confidence)


def gains(
    task: Task,
    label: NDArray[np.generic],
    score: NDArray[np.generic],
    other: NDArray[np.generic],
    *,
    seed: int,
    rounds: int = 500,
    confidence: float = 0.95,
    groups: NDArray[np.generic] | None = None,
) -> dict[str, Estimate]:
    """How much better `score` is than `other` on the same rows, by metric; positive is better whatever the metric.

    Both models are judged on the same resamples (paired), so what both find hard cancels out.
    """
    label, score = _checked(task, label, score)
    label, other = _checked(task, label, other)
    if not len(label):
        return {name: Estimate(None, None, None, 0) for name in METRICS[task]}
    ours, theirs = _weighted(task, label, score), _weighted(task, label, other)
    draws = _resamples(len(label), groups, rounds, seed)
    return _resampled(lambda weights: _gain(ours(weights), theirs(weights)), len(label), draws, confidence)


def rates(
    label: NDArray[np.generic],
    decided: NDArray[np.bool_],
    *,
    seed: int,
    rounds: int = 500,
    confidence: float = 0.95,
    groups: NDArray[np.generic] | None = None,
) -> dict[str, Estimate]:
    """`selection_rate`, `false_positive_rate` (of label 0, those decided 1) and `false_negative_rate` (of label 1,
    those decided 0), with intervals as in `intervals`; None where there is no row to tell from.
    """
    positive, chosen = np.asarray(label, np.float64) == 1, np.asarray(decided, bool)
    parts = {
        "selection_rate": (chosen, np.ones(len(chosen), bool)),
        "false_positive_rate": (chosen & ~positive, ~positive),
        "false_negative_rate": (~chosen & positive, positive),
    }

    def metric(weights: Floats) -> Values:
        totals = {name: (float(weights[of].sum()), float(weights[hit].sum())) for name, (hit, of) in parts.items()}
        return {name: hits / total if total else None for name, (total, hits) in totals.items()}

    if not len(chosen):
        return {name: Estimate(None, None, None, 0) for name in parts}
    return _resampled(metric, len(chosen), _resamples(len(chosen), groups, rounds, seed), confidence)


def better(name: str, value: float, other: float) -> float:
    """How much better `value` is than `other` for metric `name`; positive is better."""
    if name in CLOSER_TO_ZERO_IS_BETTER:
        return abs(other) - abs(value)
    return other - value if name in LOWER_IS_BETTER else value - other


def _gain(ours: Values, theirs: Values) -> Values:
    pairs = {name: (value, theirs[name]) for name, value in ours.items()}
    return {name: None if a is None or b is None else better(name, a, b) for name, (a, b) in pairs.items()}


# ------------------------------------------------------------------ resampling


def _resamples(rows: int, groups: NDArray[np.generic] | None, rounds: int, seed: int) -> Iterator[Floats]:
    """The weight of each row in each resample: how often it, or its whole group, was drawn with replacement.

    Many rows get fewer rounds (never below 100): their intervals are narrow anyway and time is bounded.
    """
    generator = np.random.default_rng(seed)
    codes = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    units = int(codes.max()) + 1
    for _ in range(min(rounds, max(100, _MOST_DRAWS // rows))):
        drawn = np.bincount(generator.integers(0, units, units), minlength=units)
        yield drawn.astype(np.float64)[codes]


def _resampled(metric: Weighted, rows: int, resamples: Iterator[Floats], confidence: float) -> dict[str, Estimate]:
    """What `metric` says of the rows as they are, between its percentiles over resamples of them."""
    draws = [metric(weights) for weights in resamples]
    return {
        name: Estimate(value, *_bounds([draw[name] for draw in draws], confidence), rows)
        for name, value in metric(np.ones(rows)).items()
    }


def _bounds(draws: list[float | None], confidence: float) -> tuple[float | None, float | None]:
    """Percentiles of the resamples that could tell the metric; None when fewer than half could."""
    told = [draw for draw in draws if draw is not None]
    if 2 * len(told) < len(draws):
        return None, None
    low, high = np.quantile(told, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


# ------------------------------------------------------------------ metrics as functions of row weights


def _checked(task: Task, label: NDArray[np.generic], score: NDArray[np.generic]) -> tuple[Floats, Floats]:
    labels, scores = np.asarray(label, np.float64), np.asarray(score, np.float64)
    wanted = 2 if task == "multiclass" else 1
    if labels.ndim != 1 or scores.ndim != wanted or len(labels) != len(scores):
        raise ValueError(f"{task}: expected labels (n,) and scores of {wanted} dimensions, one a row")
    if not (np.isfinite(labels).all() and np.isfinite(scores).all()):
        raise ValueError("labels and scores must be finite")
    if task == "binary" and not np.isin(labels, (0, 1)).all():
        raise ValueError("binary labels must be 0 or 1")
    return labels, scores


def _weighted(task: Task, label: Floats, score: Floats) -> Weighted:
    """A function of row weights; all that does not depend on weights is computed once."""
    return {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[task](label, score)


def _binary(label: Floats, score: Floats) -> Weighted:
    ranking = _ranking(label, score)
    chance = np.clip(score, _SMALLEST, 1 - _SMALLEST)
    losses = -np.where(label == 1, np.log(chance), np.log1p(-chance))
    error = score - label
    hits = ((score >= 0.5) == (label == 1)).astype(np.float64)
    bins = np.clip((score * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)

    def metric(weights: Floats) -> Values:
        total = weights.sum()
        gaps = np.bincount(bins, weights=weights * error, minlength=CALIBRATION_BINS)
        return ranking(weights) | {
            "log_loss": float(weights @ losses / total),
            "brier": float(weights @ error**2 / total),
            "calibration_error": float(np.abs(gaps).sum() / total),
            "accuracy": float(weights @ hits / total),
            "bias": float(weights @ error / total),
        }

    return metric


def _ranking(label: Floats, score: Floats) -> Weighted:
    """AUC, average precision and lift of the best tenth. Rows of equal score are one step: no order among them.

    AUC is Mann-Whitney's with ties as one half; average precision is sum (R_n - R_(n-1)) P_n without interpolation;
    the last step of the lift counts in proportion.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.inf))
    positive = label[order]

    def metric(weights: Floats) -> Values:
        sorted_weights = weights[order]
        hits = np.add.reduceat(sorted_weights * positive, starts)
        rows = np.add.reduceat(sorted_weights, starts)
        found, seen = np.cumsum(hits), np.cumsum(rows)
        positives, total = found[-1], seen[-1]
        negatives = total - positives
        misses = rows - hits
        wins = hits @ (negatives - np.cumsum(misses) + misses / 2)
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        taken = np.interp(LIFT_SHARE * total, np.r_[0.0, seen], np.r_[0.0, found])
        return {
            "auc": float(wins / (positives * negatives)) if positives and negatives else None,
            "pr_auc": float(hits @ precision / positives) if positives else None,
            "lift_10": float(taken / (LIFT_SHARE * positives)) if positives else None,
        }

    return metric


def _multiclass(label: Floats, score: Floats) -> Weighted:
    codes = label.astype(np.int64)
    is_class = np.eye(score.shape[1])[codes]
    chance = score[np.arange(len(codes)), codes] / score.sum(axis=1)
    losses = -np.log(np.clip(chance, _SMALLEST, 1))
    hits = (score.argmax(axis=1) == codes).astype(np.float64)
    squares = ((score - is_class) ** 2).sum(axis=1)
    rankings = [_ranking(is_class[:, k], score[:, k]) for k in range(score.shape[1])]

    def metric(weights: Floats) -> Values:
        total = weights.sum()
        one_against_rest = [auc for ranking in rankings if (auc := ranking(weights)["auc"]) is not None]
        return {
            "log_loss": float(weights @ losses / total),
            "accuracy": float(weights @ hits / total),
            "auc": float(np.mean(one_against_rest)) if one_against_rest else None,
            "brier": float(weights @ squares / total),
        }

    return metric


def _regression(label: Floats, score: Floats) -> Weighted:
    error = score - label
    is_constant = bool((label == label[0]).all())

    def metric(weights: Floats) -> Values:
        total = weights.sum()
        squares = weights @ error**2
        spread = weights @ (label - weights @ label / total) ** 2
        return {
            "rmse": float(np.sqrt(squares / total)),
            "mae": float(weights @ np.abs(error) / total),
            "r2": None if is_constant or not spread else float(1 - squares / spread),
            "bias": float(weights @ error / total),
        }

    return metric
