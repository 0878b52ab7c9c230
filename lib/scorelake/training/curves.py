"""Curves behind the numbers of a binary model, as a few hundred points at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scorelake.metrics import CALIBRATION_BINS
from scorelake.training.fitted import Floats, Scored

_MOST_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """Points in the unit square, from left to right, and what the axes say."""

    title: str
    x_label: str
    y_label: str
    x: Floats
    y: Floats

    @property
    def points(self) -> list[tuple[float, float]]:
        return list(zip(self.x.tolist(), self.y.tolist(), strict=True))


def binary(scored: Scored) -> tuple[Curve, ...]:
    """ROC, precision-recall and calibration; none when the rows hold one class only."""
    positives = float(scored.label.sum())
    negatives = len(scored.label) - positives
    if not positives or not negatives:
        return ()
    order = np.argsort(-scored.score, kind="stable")
    ends = np.flatnonzero(np.diff(scored.score[order], append=-np.inf))  # equal scores are one step
    hits = np.cumsum(scored.label[order])[ends]
    misses = ends + 1 - hits
    recall = hits / positives
    precision = hits / (ends + 1)
    return (
        _thinned("ROC", "false positive rate", "true positive rate", np.r_[0, misses / negatives], np.r_[0, recall]),
        _thinned("Precision and recall", "recall", "precision", recall, precision),
        calibration(scored),
    )


def calibration(scored: Scored) -> Curve:
    """Mean label against mean score of each tenth of the score range that holds rows."""
    bins = np.clip((scored.score * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)
    held = rows > 0
    means = [np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) for values in (scored.score, scored.label)]
    return Curve(
        "Calibration", "mean score", "share of positives", means[0][held] / rows[held], means[1][held] / rows[held]
    )


def _thinned(title: str, x_label: str, y_label: str, x: Floats, y: Floats) -> Curve:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(np.int64))
    return Curve(title, x_label, y_label, x[kept], y[kept])
