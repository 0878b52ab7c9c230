"""Target encoding that leaves out the row itself: the mean label of the other rows of its category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorelake.training.fitted import Floats


def left_out(features: Sequence[NDArray[np.object_]], label: NDArray[Any], classes: int) -> Floats:
    """Shape (rows, features), or (rows, features x classes) for more than two classes, in scikit-learn's order.

    A row that is alone in its category has the mean of all other rows. Null is a category. As many folds as rows give
    the same, in time that grows with their square.
    """
    targets = np.eye(classes)[label.astype(np.int64)] if classes > 2 else label.astype(np.float64)[:, None]
    rest = (targets.sum(axis=0) - targets) / (len(targets) - 1)
    return np.hstack([_of_others(values, targets, rest) for values in features])


def _of_others(values: NDArray[np.object_], targets: Floats, rest: Floats) -> Floats:
    import pandas as pd

    codes, known = pd.factorize(values, use_na_sentinel=False)
    count = np.bincount(codes, minlength=len(known))[codes, None] - 1
    total = np.zeros((len(known), targets.shape[1]))
    np.add.at(total, codes, targets)
    return np.where(count > 0, (total[codes] - targets) / np.maximum(count, 1), rest)
