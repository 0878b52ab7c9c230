"""Every fast way answers as the library does, whatever the preparation, and its contributions add up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from scorelake.models import Task
from scorelake.scoring.asking import one_number
from scorelake.scoring.package import pack
from scorelake.scoring.predictors import compile_model
from scorelake.scoring.proof import proved
from tests.scoring.made_up import FEATURES, saved
from tests.training.made_up import dataset, model

FOREST = {"name": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 7}}
EXTRA_TREES = {"name": "sklearn.ensemble.ExtraTreesRegressor", "params": {"n_estimators": 7}}
BOOSTING = {"name": "sklearn.ensemble.HistGradientBoostingClassifier", "params": {"max_iter": 5}}


@pytest.mark.parametrize(
    ("task", "algorithm", "encode", "scale", "way", "impute"),
    [
        ("binary", "sklearn.linear_model.LogisticRegression", "hash", "standard", "linear", "knn"),
        ("multiclass", "sklearn.linear_model.LogisticRegression", "hash", "none", "linear", "iterative"),
        ("multiclass", "xgboost", "hash", "minmax", "booster", "knn"),
        ("regression", EXTRA_TREES, "hash", "none", "ensemble", "iterative"),
        ("binary", "xgboost", "one_hot", "none", "booster", "median"),
        ("multiclass", "xgboost", "target", "robust", "booster", "median"),
        ("binary", "sklearn.linear_model.LogisticRegression", "target", "standard", "linear", "median"),
        ("multiclass", "sklearn.linear_model.LogisticRegression", "one_hot", "minmax", "linear", "median"),
        ("regression", "sklearn.linear_model.Ridge", "ordinal", "robust", "linear", "median"),
        ("regression", "sklearn.linear_model.LinearRegression", "one_hot", "none", "linear", "median"),
        ("multiclass", FOREST, "one_hot", "standard", "ensemble", "median"),
        ("regression", EXTRA_TREES, "target", "none", "ensemble", "median"),
        ("binary", BOOSTING, "ordinal", "none", "ensemble", "median"),
    ],
)  # fmt: skip
def test_fast_ways_answer_as_mlflow_does(
    tmp_path: Path, batch: pa.RecordBatch, task: Task, algorithm: Any, encode: str, scale: str, way: str, impute: str
) -> None:
    from mlflow import pyfunc

    folder = saved(tmp_path, task, algorithm, encode, scale, impute)
    fast = compile_model(folder, FEATURES)
    assert fast.way == way
    expected = np.asarray(pyfunc.load_model(str(folder)).predict(batch.to_pandas()), np.float64)
    found = fast.predict(batch)
    expected = one_number(expected) if found.ndim == 1 else expected
    assert fast.tolerance == (1e-12 if way == "linear" else 0.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=fast.tolerance)
    if fast.contributions is not None and way != "ensemble":  # theirs: test_ensemble_contributions
        sums = fast.contributions(batch).sum(axis=2)
        np.testing.assert_allclose(answered(task, sums), found, rtol=0, atol=1e-5 if way == "booster" else 1e-9)


def test_a_model_can_be_saved_whatever_was_imported_before(tmp_path: Path) -> None:
    # skops lists scikit-learn's types when it is imported: one that is enabled later is on no list of its own.
    arguments = "'regression', 'sklearn.linear_model.Ridge', 'hash', 'none', 'iterative'"
    code = f"import skops.io; from tests.scoring.made_up import *; saved(Path({str(tmp_path)!r}), {arguments})"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": "lib:."})
    assert compile_model(tmp_path / "model", FEATURES).way == "linear"


def answered(task: Task, sums: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """From sums of contributions to what the model answers."""
    from scipy.special import expit, softmax

    if task == "multiclass":
        return np.asarray(softmax(sums, axis=1))
    return np.asarray(expit(sums[:, 0]) if task == "binary" else sums[:, 0])


@pytest.mark.parametrize("kind", ["XGBClassifier", "XGBRegressor"])
def test_scikit_learns_interface_of_xgboost_answers_probabilities_or_values(
    tmp_path: Path, batch: pa.RecordBatch, kind: str
) -> None:
    import mlflow.xgboost
    import xgboost

    rows = batch.to_pandas()[["signal", "noise", "gaps"]]
    label = rows["signal"].fillna(0)
    half = slice(0, 350)
    estimator = getattr(xgboost, kind)(n_estimators=30, max_depth=3, early_stopping_rounds=2)
    target = label > 0 if kind == "XGBClassifier" else label
    estimator.fit(rows[half], target[half], eval_set=[(rows[350:], target[350:])], verbose=False)
    mlflow.xgboost.save_model(estimator, str(tmp_path / "m"), model_format="ubj", pip_requirements=["xgboost-cpu"])
    fast = compile_model(tmp_path / "m", tuple(rows.columns))
    native = estimator.predict_proba(rows)[:, 1] if kind == "XGBClassifier" else estimator.predict(rows)
    assert fast.way == "booster"
    assert fast.predict(batch).tolist() == native.astype(np.float64).tolist()
    library = compile_model(tmp_path / "m", tuple(rows.columns), is_fast=False)
    assert one_number(library.predict(batch)).tolist() == native.astype(np.float64).tolist()


def test_a_dictionary_of_texts_is_a_text(tmp_path: Path, batch: pa.RecordBatch) -> None:
    folder = saved(tmp_path, "binary", "sklearn.linear_model.LogisticRegression", "one_hot", "standard")
    encoded = batch.set_column(3, "region", batch.column("region").dictionary_encode())
    for is_fast in (True, False):
        asked = compile_model(folder, FEATURES, is_fast=is_fast)
        assert asked.predict(encoded).tolist() == asked.predict(batch).tolist()


def test_a_pipeline_of_unknown_parts_goes_to_the_library(tmp_path: Path, batch: pa.RecordBatch) -> None:
    import mlflow.sklearn
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    rows = batch.to_pandas()[["signal", "noise"]]
    pipeline = make_pipeline(SimpleImputer(), PolynomialFeatures(), LogisticRegression(max_iter=500))
    pipeline.fit(rows, rows["signal"].fillna(0) > 0)
    mlflow.sklearn.save_model(
        pipeline,
        str(tmp_path / "m"),
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
        pip_requirements=["skops"],
    )
    asked = compile_model(tmp_path / "m", ("signal", "noise"))
    assert asked.way == "library"
    np.testing.assert_array_equal(asked.predict(batch), pipeline.predict_proba(rows))


def test_a_custom_python_model_answers_as_its_predict(tmp_path: Path, batch: pa.RecordBatch) -> None:
    import mlflow.pyfunc

    code = tmp_path / "twice.py"
    code.write_text(
        "import mlflow\n"
        "class Twice(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input['signal'].to_numpy() * 2\n"
        "mlflow.models.set_model(Twice())\n"
    )
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=str(code), pip_requirements=["mlflow"])
    asked = compile_model(tmp_path / "m", ("signal",))
    assert asked.way == "library"
    np.testing.assert_array_equal(asked.predict(batch), batch.to_pandas()["signal"] * 2)


def test_a_fast_way_that_differs_on_a_sample_is_given_up(
    tmp_path: Path, batch: pa.RecordBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorelake.scoring import pipelines

    folder = saved(tmp_path, "binary", "sklearn.linear_model.LogisticRegression", "one_hot", "standard")
    sample = pa.Table.from_batches([batch])
    package, reason = proved(pack(folder, digest="sound", features=FEATURES), sample)
    assert (package.is_fast, reason) == (True, None)
    link = pipelines._link
    monkeypatch.setattr(pipelines, "_link", lambda *given: lambda sums: link(*given)(sums) + 1e-9)
    package, reason = proved(pack(folder, digest="off by a billionth", features=FEATURES), sample)
    assert not package.is_fast
    assert reason == "the fast way differs by up to 1.0e-09 on 700 rows of the night; the library itself scored"


def test_rows_of_a_preparation_are_those_of_its_transformer(tmp_path: Path, batch: pa.RecordBatch) -> None:
    from scorelake.scoring.preparation import of_transformer
    from scorelake.training import pipelines

    preparation = {
        "numeric": {"winsorise": "2%", "impute": "mean", "scale": "robust", "flag_missing": True},
        "categorical": {"encode": "one_hot", "min_rows": 5},
    }
    learnt = pipelines.fit(
        model("regression", "sklearn.linear_model.Ridge", preprocessing=preparation), dataset("regression", text=True)
    )
    transformer = learnt.model.named_steps["prepare"]
    frame = pd.DataFrame({name: batch.column(name).to_pandas() for name in FEATURES})
    np.testing.assert_array_equal(of_transformer(transformer, FEATURES).matrix(batch), transformer.transform(frame))
