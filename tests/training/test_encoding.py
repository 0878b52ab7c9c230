"""Target encoding: no row of train is told its own label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from scorelake.training import encoding, pipelines
from scorelake.training.dataset import Dataset, Feature, Part
from tests.training.made_up import model

LEFT_OUT = {"numeric": {"impute": "mean"}, "categorical": {"encode": "target", "target_folds": "leave_one_out"}}


def sold(devices: list[str | None], label: list[int]) -> Part:
    features = (Feature("device", "category"),)
    rows = len(label)
    texts = {"device": np.array(devices, np.object_)}
    return Part(features, np.empty((rows, 0)), texts, np.array(label, np.float64), np.arange(rows))


def test_a_worked_example_left_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Laptop 1, Phone 0, Tablet 1, Phone 1: a Phone has the other one's label, who is alone the mean of the others."""
    train = sold(["Laptop", "Phone", "Tablet", "Phone"], [1, 0, 1, 1])
    assert encoding.left_out([train.categories["device"]], train.label, 0)[:, 0].tolist() == [2 / 3, 1, 2 / 3, 0]

    heard: list[Any] = []
    estimator = pipelines._estimator(spec := model("binary", "sklearn.dummy.DummyClassifier", preprocessing=LEFT_OUT))
    monkeypatch.setattr(pipelines, "_estimator", lambda _: estimator)
    monkeypatch.setattr(estimator, "fit", lambda columns, label: heard.append(columns))
    learnt = pipelines.fit(spec, Dataset(train.features, (), {"train": train, "validation": train, "test": train}))
    assert heard[0][:, 0].tolist() == [2 / 3, 1, 2 / 3, 0]
    seen_later = replace(train, categories={"device": np.array(["Phone", "Laptop", "Drone", None], np.object_)})
    assert learnt.model[0].transform(seen_later.frame())[:, 0].tolist() == [1 / 2, 1, 3 / 4, 3 / 4]


@pytest.mark.parametrize("classes", [0, 3])
def test_leaving_one_out_is_as_many_folds_as_rows(classes: int) -> None:
    draw = np.random.default_rng(1)
    texts = [np.array(list("abc"), np.object_)[draw.integers(0, 3, 40)] for _ in range(2)]
    label = draw.integers(0, max(2, classes), 40)
    found = encoding.left_out(texts, label, classes)
    folds = KFold(40)
    targets = [label == code for code in range(classes)] if classes else [label]
    for position, target in enumerate(targets):
        encoder = TargetEncoder(target_type="continuous", smooth=0.0, cv=folds)
        expected = encoder.fit_transform(np.column_stack(texts), target.astype(float))
        np.testing.assert_allclose(found[:, position :: len(targets)], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encode": "one_hot", "target_folds": 3}, "target_folds belongs to encode: target, found one_hot"),
        ({"encode": "target", "hash_columns": 8}, "hash_columns belongs to encode: hash, found target"),
    ],
)
def test_words_of_another_encoding_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(preprocessing={"categorical": given})
