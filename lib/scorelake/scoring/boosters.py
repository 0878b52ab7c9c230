"""XGBoost over a float32 matrix: bit for bit what its own `predict` answers, without a pandas frame or a DMatrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorelake.errors import ContractBroken
from scorelake.matrix import matrix
from scorelake.scoring.loaded import Loaded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import xgboost

    Matrix = np.ndarray[Any, Any]

BOOSTER = "xgboost.core.Booster"
ALL_ROUNDS = (0, 0)


def from_file(path: Path, model_class: str, features: tuple[str, ...]) -> Loaded | None:
    """The Booster, XGBClassifier or XGBRegressor in `path`; None when it takes categories as such.

    ContractBroken when it was trained on other feature names, or in another order.
    """
    import xgboost

    booster = xgboost.Booster(model_file=str(path))
    # inplace_predict checks neither names nor order of a numpy matrix: do it here, once.
    if booster.feature_names is not None and tuple(booster.feature_names) != features:
        raise ContractBroken(f"the booster was trained on {booster.feature_names}, expected {list(features)}")
    if "c" in (booster.feature_types or ()):
        return None
    rounds = ALL_ROUNDS if model_class == BOOSTER else best_rounds(booster)
    asked = over(booster, lambda batch: matrix(batch, features), rounds)
    return replace(asked, of_matrix=lambda numbers: _answers(booster, numbers, rounds))


def over(booster: xgboost.Booster, prepared: Callable[[pa.RecordBatch], Matrix], rounds: tuple[int, int]) -> Loaded:
    """`booster` asked with the matrix that `prepared` makes of a batch; NaN is missing."""
    import numpy as np

    booster.set_param({"nthread": threads()})

    def predict(batch: pa.RecordBatch) -> Matrix:
        return _answers(booster, prepared(batch), rounds)

    def contributions(batch: pa.RecordBatch) -> Matrix:
        import xgboost

        data = xgboost.DMatrix(prepared(batch), nthread=threads(), feature_names=booster.feature_names)
        found = np.asarray(booster.predict(data, pred_contribs=True, iteration_range=rounds), dtype=np.float64)
        return found[:, None, :] if found.ndim == 2 else found

    return Loaded(predict, "booster", contributions=contributions)


def _answers(booster: xgboost.Booster, numbers: Matrix, rounds: tuple[int, int]) -> Matrix:
    import numpy as np

    if not len(numbers):
        return np.empty(0)
    return np.asarray(booster.inplace_predict(numbers, iteration_range=rounds, missing=np.nan), dtype=np.float64)


def best_rounds(booster: xgboost.Booster) -> tuple[int, int]:
    """Trees up to the best round, which scikit-learn's interface of XGBoost asks; a plain Booster asks all."""
    best = booster.attributes().get("best_iteration")
    return (0, int(best) + 1) if best is not None else ALL_ROUNDS


def threads() -> int:
    """No more predictor threads than the task has cores, else tasks of one machine fight for them."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.cpus() if context is not None else 1
