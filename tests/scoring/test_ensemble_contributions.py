"""What tree ensembles say of their features adds up to what they answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorelake.models import Task
from scorelake.scoring.predictors import compile_model
from tests.scoring.made_up import FEATURES, saved
from tests.training.made_up import dataset


@pytest.mark.parametrize(
    ("task", "name", "link"),
    [
        ("binary", "sklearn.ensemble.RandomForestClassifier", "probability"),
        ("multiclass", "sklearn.ensemble.ExtraTreesClassifier", "probability"),
        ("binary", "sklearn.ensemble.HistGradientBoostingClassifier", "log-odds"),
        ("regression", "sklearn.tree.DecisionTreeRegressor", "value"),
    ],
)
def test_contributions_of_tree_ensembles_add_up(tmp_path: Path, task: Task, name: str, link: str) -> None:
    params: dict[str, Any] = {"max_iter": 10} if "Hist" in name else {"max_depth": 4}
    if "ensemble" in name and "Hist" not in name:
        params["n_estimators"] = 10
    folder = saved(tmp_path, task, {"name": name, "params": params}, "one_hot", "standard")
    part = dataset(task, rows=60, seed=9, text=True).test
    frame = part.frame()
    columns = [
        pa.array(frame[f.name].tolist(), pa.string() if f.kind == "category" else pa.float64(), from_pandas=True)
        for f in part.features
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=list(FEATURES))
    model = compile_model(folder, FEATURES)
    assert model.contributions is not None
    found = model.contributions(batch)
    assert (found.shape[0], found.shape[2]) == (60, len(FEATURES) + 1)
    sums, answers = found.sum(axis=2), model.predict(batch)
    if link == "log-odds":
        sums = 1 / (1 + np.exp(-sums))
    elif task == "binary":
        sums = sums[:, 1:]
    np.testing.assert_allclose(sums if task == "multiclass" else sums[:, 0], answers, atol=1e-6)
