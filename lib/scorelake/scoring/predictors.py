"""From a model folder to a function over Arrow batches.

XGBoost models, linear scikit-learn pipelines and tree ensembles take a fast way over arrays; any other MLflow model
goes through its own `pyfunc.predict`. A classifier of a known library is asked for probabilities, whatever its
`pyfunc.predict` would answer: a label is no score.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from scorelake import mllib
from scorelake.matrix import numbers
from scorelake.scoring import boosters, pipelines
from scorelake.scoring.loaded import Loaded

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa


def compile_model(folder: Path, features: tuple[str, ...], *, is_fast: bool = True) -> Loaded:
    """The model in `folder`, asked the fastest way there is for it. ContractBroken when its feature names are others.

    Without `is_fast` the library answers from a pandas frame: what the fast ways are held against.
    """
    flavours = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    if "spark" in flavours:
        # Its pyfunc would start a Spark of its own in every worker: see `transformed`.
        return _transforming(folder, features)
    if is_fast:
        try:
            found = _fast(folder, flavours, features)
        except pipelines.Unfolded:
            found = None
        if found is not None:
            return found
    return _library(folder, flavours, features)


def _fast(folder: Path, flavours: Mapping[str, Any], features: tuple[str, ...]) -> Loaded | None:
    if "xgboost" in flavours:
        native = flavours["xgboost"]
        return boosters.from_file(folder / native["data"], native["model_class"], features)
    if "sklearn" in flavours:
        return pipelines.compiled(_sklearn(folder, flavours["sklearn"]), features)
    return None


def _library(folder: Path, flavours: Mapping[str, Any], features: tuple[str, ...]) -> Loaded:
    import numpy as np

    ask = _asked(folder, flavours)

    def predict(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        if batch.num_rows == 0:
            return np.empty(0)
        return np.asarray(ask(_frame(batch, features)), dtype=np.float64)

    return Loaded(predict, "library")


def _transforming(folder: Path, features: tuple[str, ...]) -> Loaded:
    import pyarrow as pa

    model = mllib.load(str(folder))

    def predict(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
        return mllib.ask(model, pa.Table.from_batches([batch]), features)

    return Loaded(predict, "transform", of_frame=lambda frame: mllib.answered(model, frame, features))


def _asked(folder: Path, flavours: Mapping[str, Any]) -> Any:
    """The library's method that answers a pandas frame."""
    native: Any = None
    if "sklearn" in flavours:
        native = _sklearn(folder, flavours["sklearn"])
    elif "xgboost" in flavours and flavours["xgboost"]["model_class"] != boosters.BOOSTER:
        import mlflow.xgboost

        native = mlflow.xgboost.load_model(str(folder))
    if hasattr(native, "predict_proba"):
        return native.predict_proba

    from mlflow import pyfunc

    return pyfunc.load_model(str(folder)).predict


def _sklearn(folder: Path, flavour: Mapping[str, Any]) -> Any:
    """The estimator. Files without pickle are read without MLflow, whose import takes seconds in every worker."""
    # Estimators fitted on named columns warn at every batch of an unnamed matrix; names are checked once, here.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    if flavour.get("serialization_format") == "skops":
        from skops import io

        return io.load(folder / flavour["pickled_model"], trusted=flavour.get("skops_trusted_types") or [])
    import mlflow.sklearn

    return mlflow.sklearn.load_model(str(folder))


def _frame(batch: pa.RecordBatch, features: tuple[str, ...]) -> pd.DataFrame:
    """Texts as objects, everything else as float64, which is how models are trained."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    def values(name: str) -> Any:
        column = batch.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        return column.to_pandas() if pa.types.is_string(column.type) else numbers(batch, name).astype(np.float64)

    return pd.DataFrame({name: values(name) for name in features})
