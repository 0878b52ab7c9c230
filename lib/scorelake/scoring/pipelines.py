"""scikit-learn models over arrays: linear ones as sums of terms, tree ensembles and XGBoost over a prepared matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorelake.scoring import boosters, preparation
from scorelake.scoring.loaded import Loaded
from scorelake.scoring.preparation import Category, Hashed, Numbers, Preparation, Unfolded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from scorelake.scoring.preparation import Floats

LINEAR_TOLERANCE = 1e-12
"""Terms are added in another order than scikit-learn's matrix product adds them."""

_LINEAR = ("LogisticRegression", "LinearRegression", "Ridge", "Lasso", "ElasticNet")
_ENSEMBLES = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
)
_XGBOOST = ("XGBClassifier", "XGBRegressor")


def compiled(model: Any, features: Sequence[str]) -> Loaded:
    """A fitted estimator, or a Pipeline of preparation and estimator. Unfolded when it has no fast way."""
    steps = [step for _, step in model.steps] if type(model).__name__ == "Pipeline" else [model]
    *before, estimator = steps
    kind = type(estimator).__name__
    if kind not in (*_LINEAR, *_ENSEMBLES, *_XGBOOST):
        raise Unfolded(kind)
    if before and type(before[0]).__name__ == "ColumnTransformer":
        if len(before) > 1:
            raise Unfolded("steps after a ColumnTransformer")
        prepared = preparation.of_transformer(before[0], features)
    else:
        prepared = preparation.of_columns(before, features)
    if kind in _LINEAR:
        return _linear(estimator, prepared, features)
    if kind in _XGBOOST:
        return _boosted(estimator, prepared, features)
    return _ensemble(estimator, prepared, features)


# ------------------------------------------------------------------ linear


@dataclass(frozen=True)
class Terms:
    """A linear model as terms of its inputs: (values of numbers) @ weights, a looked-up row for each category.

    `numbers` with weights (columns, outputs); `categories` weighed, (rows, outputs); `start` (outputs,).
    """

    numbers: tuple[tuple[Numbers, Floats], ...]
    categories: tuple[Category | Hashed, ...]
    start: Floats

    def sums(self, batch: pa.RecordBatch) -> Floats:
        """Shape (rows, outputs)."""
        import numpy as np

        total = np.tile(self.start, (batch.num_rows, 1))
        for block, weights in self.numbers:
            total += block.values(batch) @ weights
        for category in self.categories:
            total += category.values(batch)
        return total

    def by_feature(self, batch: pa.RecordBatch, features: Sequence[str]) -> Floats:
        """Shape (rows, outputs, features + 1): each feature's own terms, the intercept last."""
        import numpy as np

        place = {name: position for position, name in enumerate(features)}
        found = np.zeros((batch.num_rows, len(self.start), len(features) + 1))
        found[:, :, -1] = self.start
        for block, weights in self.numbers:
            values = block.values(batch)
            for column, name in enumerate(block.names):
                found[:, :, place[name]] += values[:, column, None] * weights[column]
        for category in self.categories:
            found[:, :, place[category.name]] += category.values(batch)
        return found


def _linear(estimator: Any, prepared: Preparation, features: Sequence[str]) -> Loaded:
    import numpy as np

    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T
    start = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64), (weights.shape[1],))
    terms = Terms(
        tuple((block, weights[list(block.outputs)]) for block in prepared.numbers),
        tuple(category.weighed(prepared.constants, weights) for category in prepared.categories),
        start + prepared.constants @ weights,
    )
    link = _link(estimator, weights.shape[1])

    def predict(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        return np.asarray(link(terms.sums(batch)))

    def contributions(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        return terms.by_feature(batch, features)

    return Loaded(predict, "linear", LINEAR_TOLERANCE, contributions)


def _link(estimator: Any, outputs: int) -> Any:
    """From sums to answers: the value, the probability of class 1, or the probabilities of all classes."""
    from scipy.special import expit, softmax

    if type(estimator).__name__ != "LogisticRegression":
        return lambda sums: sums[:, 0] if outputs == 1 else sums
    return lambda sums: expit(sums[:, 0]) if outputs == 1 else softmax(sums, axis=1)


# ------------------------------------------------------------------ trees


def _boosted(estimator: Any, prepared: Preparation, features: Sequence[str]) -> Loaded:
    """XGBoost behind a preparation; contributions of prepared columns are added up by the feature they come from."""
    import numpy as np

    booster = estimator.get_booster()
    if "c" in (booster.feature_types or ()) or not np.isnan(estimator.missing):
        raise Unfolded("an XGBoost model of categories, or with a missing value of its own")
    asked = boosters.over(
        booster,
        lambda batch: prepared.matrix(batch).astype(np.float32),
        boosters.best_rounds(booster),
    )
    owner = _owners(prepared, features)

    def contributions(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        assert asked.contributions is not None
        of_columns = asked.contributions(batch)
        found = _by_feature(of_columns[:, :, :-1], owner, len(features))
        found[:, :, -1] += of_columns[:, :, -1]
        return found

    return Loaded(asked.predict, "booster", contributions=contributions)


def _by_feature(of_columns: np.ndarray[Any, Any], owner: Sequence[int], features: int) -> np.ndarray[Any, Any]:
    """Contributions of prepared columns added up by the feature they come from, shape (rows, outputs, features + 1)."""
    import numpy as np

    found = np.zeros((*of_columns.shape[:2], features + 1))
    for column, feature in enumerate(owner):
        found[:, :, feature] += of_columns[:, :, column]
    return found


def _owners(prepared: Preparation, features: Sequence[str]) -> list[int]:
    """The feature behind each prepared column; -1, the constant part, for a column that never varies."""
    place = {name: position for position, name in enumerate(features)}
    owner = [-1] * prepared.width
    for block in prepared.numbers:
        for name, output in zip(block.names, block.outputs, strict=True):
            owner[output] = place[name]
    for category in prepared.categories:
        for output in category.outputs:
            owner[output] = place[category.name]
    return owner


def _ensemble(estimator: Any, prepared: Preparation, features: Sequence[str]) -> Loaded:
    import numpy as np

    if hasattr(estimator, "n_jobs"):
        estimator.n_jobs = boosters.threads()
    answer = getattr(estimator, "predict_proba", None) or estimator.predict

    def predict(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        if batch.num_rows == 0:
            return np.empty(0)
        answers = np.asarray(answer(prepared.matrix(batch)), dtype=np.float64)
        return answers[:, 1] if answers.ndim == 2 and answers.shape[1] == 2 else answers

    def contributions(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        """By shap, whose import takes seconds: for explanations of a sample, not for every row of a night."""
        import shap

        explainer = shap.TreeExplainer(estimator)
        found = np.asarray(explainer.shap_values(prepared.matrix(batch)), dtype=np.float64)
        of_columns = found[:, None, :] if found.ndim == 2 else np.moveaxis(found, 2, 1)
        added = _by_feature(of_columns, owner, len(features))
        added[:, :, -1] += np.asarray(explainer.expected_value, np.float64).reshape(-1)
        return added

    owner = _owners(prepared, features)
    return Loaded(predict, "ensemble", contributions=contributions)


__all__ = ["LINEAR_TOLERANCE", "Unfolded", "compiled"]
