"""Datasets and model files that the tests of training and of the registry share."""

from __future__ import annotations

from typing import Any

import numpy as np

from scorelake.models import Model, Task
from scorelake.training.dataset import Dataset, Feature, Part

NUMBERS = ("signal", "noise", "gaps")


def model(task: Task = "binary", algorithm: str | dict[str, Any] = "xgboost", **more: Any) -> Model:
    """A model file as parsed; small and quick unless `more` says otherwise."""
    named = {"name": algorithm} if isinstance(algorithm, str) else algorithm
    if named["name"] == "xgboost":
        named = {"rounds": 20, "early_stopping_rounds": 5, "params": {"max_depth": 3}, **named}
    given = {
        "name": "churn",
        "description": "Who leaves",
        "feature_service": "customers",
        "label": "gold.churned",
        "task": task,
        "split": {"kind": "temporal", "validation_from": "2026-01-01", "test_from": "2026-02-01"},
        "algorithm": named,
        "seed": 7,
        "metrics": {"bootstrap": 100},
    }
    return Model.model_validate({**given, **more})


def dataset(
    task: Task = "binary", *, rows: int = 400, seed: int = 1, text: bool = False, dtype: str = "float64"
) -> Dataset:
    """`signal` decides the label, `noise` does not, `gaps` is null in every third row; with `text` also `region`."""
    features = tuple(Feature(name, "number") for name in NUMBERS)
    if text:
        features += (Feature("region", "category"),)
    generator = np.random.default_rng(seed)
    parts = {name: _part(features, task, rows, generator, dtype) for name in ("train", "validation", "test")}
    return Dataset(features, ("gold", "iron", "zinc") if task == "multiclass" else (), parts)


def _part(features: tuple[Feature, ...], task: Task, rows: int, generator: np.random.Generator, dtype: str) -> Part:
    matrix = np.asfortranarray(generator.normal(size=(rows, len(NUMBERS))).astype(dtype))
    matrix[::3, 2] = np.nan
    truth = matrix[:, 0] + generator.normal(size=rows) * 0.5
    label = {"binary": truth > 0, "multiclass": np.digitize(truth, (-0.5, 0.5)), "regression": truth}[task]
    regions = np.array(["north", "south", None], np.object_)[generator.integers(0, 3, rows)]
    categories = {"region": regions} if len(features) > len(NUMBERS) else {}
    return Part(features, matrix, categories, label.astype(np.float64), np.arange(rows) // 2)
