"""From a model folder to a function over Arrow batches.

An XGBoost booster takes a fast path; every other MLflow flavour goes through its own `pyfunc.predict`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from scorelake.errors import ContractBroken
from scorelake.matrix import matrix, numbers

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from scorelake.scoring.package import Predictor


def compile_model(folder: Path, features: tuple[str, ...]) -> Predictor:
    """The fastest exact predictor for the model in `folder`. ContractBroken when its feature names are others."""
    flavours = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    native = flavours.get("xgboost", {})
    if native.get("model_class") == "xgboost.core.Booster":
        return _booster(folder / native["data"], features)
    return _pyfunc(folder, features)


def _booster(path: Path, features: tuple[str, ...]) -> Predictor:
    import numpy as np
    import xgboost

    booster = xgboost.Booster(model_file=str(path))
    # inplace_predict checks neither names nor order of a numpy matrix: do it here, once.
    if booster.feature_names is not None and tuple(booster.feature_names) != features:
        raise ContractBroken(f"the booster was trained on {booster.feature_names}, expected {list(features)}")
    booster.set_param({"nthread": _threads()})

    def predict(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        if batch.num_rows == 0:
            return np.empty(0)
        return np.asarray(booster.inplace_predict(matrix(batch, features), missing=np.nan), dtype=np.float64)

    return predict


def _pyfunc(folder: Path, features: tuple[str, ...]) -> Predictor:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from mlflow import pyfunc

    model = pyfunc.load_model(str(folder))

    def predict(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        columns = {
            name: batch.column(name).to_pandas()
            if pa.types.is_string(batch.schema.field(name).type)
            else numbers(batch, name).astype(np.float64)
            for name in features
        }
        if batch.num_rows == 0:
            return np.empty(0)
        return np.asarray(model.predict(pd.DataFrame(columns)), dtype=np.float64)

    return predict


def _threads() -> int:
    """No more predictor threads than the task has cores, else tasks of one machine fight for them."""
    return int(os.environ.get("CPUS_PER_TASK", "1"))
