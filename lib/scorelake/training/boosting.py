"""XGBoost on one matrix of numbers: no copy of the matrix, nulls are its own missing value."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scorelake.errors import ScorelakeError
from scorelake.models import Model, Task
from scorelake.training import pages, rounds
from scorelake.training.dataset import Dataset, Part
from scorelake.training.fitted import Floats, Learnt
from scorelake.training.parameters import require_known

if TYPE_CHECKING:
    import xgboost

OBJECTIVES: dict[Task, str] = {
    "binary": "binary:logistic",
    "multiclass": "multi:softprob",
    "regression": "reg:squarederror",
}
STOPS_ON: dict[Task, str] = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}
"""Early stopping watches a proper score, so that stopping never trades calibration for rank."""

_ALIASES = frozenset({"eta", "lambda", "alpha", "min_split_loss", "reg_lambda", "reg_alpha"})


def fit(spec: Model, data: Dataset, *, checkpoints: Path | None = None) -> Learnt:
    """A Booster cut to its best round. The same rows, seed and number of threads give the same bytes, also when it was
    killed on the way and went on from what it had left in `checkpoints`, a local folder.
    """
    import xgboost

    params = parameters(spec, len(data.classes))
    kept_in = rounds.Checkpoint.of(checkpoints, params, data) if checkpoints is not None else None
    with tempfile.TemporaryDirectory(prefix="scorelake-pages-") as scratch:
        try:
            train, validation = pages.train_and_validation(
                data.train, data.validation, Path(scratch), bins=int(params.get("max_bin", pages.BINS))
            )
            booster, used = rounds.boosted(
                params,
                train,
                validation,
                rounds=spec.algorithm.rounds,
                patience=spec.algorithm.early_stopping_rounds,
                checkpoint=kept_in,
            )
        except xgboost.core.XGBoostError as error:
            raise _refusal(spec, error) from error
        del train, validation
    kept = booster[:used]

    def predict(part: Part) -> Floats:
        return predicted(kept, part)

    return Learnt(kept, "xgboost", predict, {"rounds_used": used})


def predicted(booster: xgboost.Booster, part: Part) -> Floats:
    """Scores as float64; the features of `part` must be those of the booster, in order."""
    if not len(part):
        return np.empty(0)
    return pages.by_page(part, lambda matrix: booster.inplace_predict(matrix, missing=np.nan))


def parameters(spec: Model, classes: int) -> dict[str, Any]:
    """XGBoost's parameters for `spec`. ConfigError for one that XGBoost does not know, since it would ignore it."""
    import xgboost

    known = sorted({*xgboost.XGBModel().get_params(), *_ALIASES})
    require_known(spec, known, of="xgboost")
    task: dict[str, Any] = {"objective": OBJECTIVES[spec.task], "eval_metric": STOPS_ON[spec.task]}
    if spec.task == "multiclass":
        task["num_class"] = classes
    threads = os.cpu_count() or 1
    return {"tree_method": "hist", **spec.algorithm.params, **task, "seed": spec.seed, "nthread": threads}


def require_accepted(spec: Model, params: Mapping[str, Any], classes: int) -> None:
    """ScorelakeError with XGBoost's own words for values that it refuses, found on two made-up rows a class: where
    many workers refuse together, some are heard to have lost the others instead."""
    import xgboost

    label = np.tile(np.arange(max(classes, 2), dtype=np.float64), 2)
    try:
        xgboost.train(dict(params), xgboost.DMatrix(label[:, None], label), 1)
    except xgboost.core.XGBoostError as error:
        raise _refusal(spec, error) from error


def _refusal(spec: Model, error: Exception) -> ScorelakeError:
    """XGBoost's own sentence, without its stack trace."""
    sentence = str(error).strip().splitlines()[0].rpartition("] ")[2]
    return ScorelakeError(f"model {spec.name}: XGBoost refused: {sentence}")
