"""From a score to a probability that can be taken at its word, kept as a few numbers and no pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["isotonic", "sigmoid"]
_SMALLEST = 1e-9
"""How near to 0 and 1 a score may come before its log-odds are taken."""


@dataclass(frozen=True)
class Calibrator:
    """isotonic: `x` rising scores and `y` never falling probabilities, straight lines between, flat beyond both ends.
    sigmoid: `x` is (slope,), `y` (intercept,) of the log-odds. Order of scores is kept; isotonic makes ties.
    """

    kind: Kind
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, score: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Shape (rows,) of float64; NaN stays NaN. A row's answer does not depend on the rows beside it."""
        import numpy as np

        given = np.asarray(score, np.float64)
        if self.kind == "isotonic":
            return np.asarray(np.interp(given, self.x, self.y), np.float64)
        chance = np.clip(given, _SMALLEST, 1 - _SMALLEST)
        odds = self.x[0] * (np.log(chance) - np.log1p(-chance)) + self.y[0]
        return np.asarray(1 / (1 + np.exp(-odds)), np.float64)

    def to_json(self) -> str:
        """Every number as the shortest text that reads back as the same double."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Calibrator:
        found = json.loads(text)
        return cls(found["kind"], tuple(found["x"]), tuple(found["y"]))


def fit(kind: Kind, label: np.ndarray[Any, Any], score: np.ndarray[Any, Any]) -> Calibrator:
    """Fitted on rows that the model did not learn from. ValueError when they hold one class only.

    sigmoid is Platt's: of the log-odds of the score, with his smoothed labels so that no slope grows without end.
    """
    import numpy as np

    positives = float(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        raise ValueError("one class only")
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, label)
        return Calibrator(kind, tuple(steps.X_thresholds_.tolist()), tuple(steps.y_thresholds_.tolist()))
    from sklearn.linear_model import LogisticRegression

    chance = np.clip(np.asarray(score, np.float64), _SMALLEST, 1 - _SMALLEST)
    odds = np.log(chance) - np.log1p(-chance)
    wanted = np.where(label == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    both = np.tile(odds, 2)[:, None]
    line = LogisticRegression(C=1e6, max_iter=1000).fit(
        both, np.repeat([1, 0], len(label)), sample_weight=np.r_[wanted, 1 - wanted]
    )
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope < 0:  # scores that order the wrong way round tell nothing: the rate itself is the honest answer
        rate = float(np.mean(wanted))
        slope, intercept = 0.0, float(np.log(rate / (1 - rate)))
    return Calibrator(kind, (slope,), (intercept,))
