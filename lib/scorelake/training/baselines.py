"""What no model may be worse than: a constant, and the best single feature."""

from __future__ import annotations

import numpy as np

from scorelake.metrics import better, evaluate
from scorelake.models import Task
from scorelake.training.dataset import Dataset, Part, names
from scorelake.training.fitted import Floats, Predict

CONSTANT = "constant"
_SAMPLE = 20_000
_LEAVES = 16


def constant(data: Dataset, task: Task) -> Predict:
    """The mean label of train; for classes, their shares."""
    if task != "multiclass":
        mean = float(data.train.label.mean())
        return lambda part: np.full(len(part), mean)
    shares = np.bincount(data.train.label.astype(np.int64), minlength=len(data.classes)) / len(data.train)
    return lambda part: np.tile(shares, (len(part), 1))


def one_feature(data: Dataset, task: Task, *, headline: str, seed: int) -> tuple[str, Predict] | None:
    """Name and answers of the number that alone tells most: a small tree on it, chosen by `headline` on validation.

    None when no feature is a number, or when none can be judged. Sees at most 20,000 rows of train, which are a
    random sample since rows lie in the order of a hash.
    """
    best: tuple[float, str, Predict] | None = None
    for position, name in enumerate(names(data.features, "number")):
        predict = _tree(data.train, position, task, seed)
        value = evaluate(task, data.validation.label, predict(data.validation))[headline]
        if value is not None and (best is None or better(headline, value, best[0]) > 0):
            best = (value, name, predict)
    return None if best is None else best[1:]


def _tree(train: Part, position: int, task: Task, seed: int) -> Predict:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    least = max(1, min(len(train), _SAMPLE) // 200)
    kind = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=_LEAVES, min_samples_leaf=least, random_state=seed)
    label = train.label[:_SAMPLE]
    tree.fit(train.matrix[:_SAMPLE, [position]], label)
    if task == "regression":
        return lambda part: np.asarray(tree.predict(part.matrix[:, [position]]), np.float64)
    classes = 2 if task == "binary" else int(train.label.max()) + 1
    seen = tree.classes_.astype(np.int64)

    def predict(part: Part) -> Floats:
        chances = np.zeros((len(part), classes))
        chances[:, seen] = tree.predict_proba(part.matrix[:, [position]])
        return chances[:, 1] if task == "binary" else chances

    return predict
