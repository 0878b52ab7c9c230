"""Classes that are weighed or drawn in training, and probabilities that are put back to what they were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake.errors import ConfigError, UnfitTrainingSet
from scorelake.models import Imbalance, Model
from scorelake.training import distributed, imbalance, train
from scorelake.training.dataset import Dataset
from tests.training.made_up import dataset, model

LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = {
    "name": "sklearn.ensemble.HistGradientBoostingClassifier",
    "params": {"max_iter": 20, "learning_rate": 0.3, "max_leaf_nodes": 6},
}
FILLED = {"numeric": {"impute": "mean"}}


def rare(rows: int = 4000, share: float = 0.05) -> Dataset:
    """Class 1 is rare, and its log-odds are a line in `signal`: logit(p) = signal x 1.5 + constant."""
    data = dataset(rows=rows)
    parts = {}
    for number, (name, part) in enumerate(data.parts.items()):
        odds = np.exp(1.5 * part.matrix[:, 0] + np.log(share / (1 - share)))
        chance = odds / (1 + odds)
        parts[name] = replace(part, label=(np.random.default_rng(number).random(rows) < chance).astype(float))
    return replace(data, parts=parts)


def asked(given: dict[str, Any], algorithm: Any = "xgboost", **more: Any) -> Model:
    return model("binary", algorithm, imbalance=given, **more)


def shifted(score: np.ndarray, by: float) -> np.ndarray:
    odds = score / (1 - score) * np.exp(by)
    return odds / (1 + odds)


WAYS = [{"weigh": "balanced"}, {"weigh": 8.0}, {"sample": "under"}, {"sample": "over", "share": 0.3}]


@pytest.mark.parametrize("given", WAYS)
@pytest.mark.parametrize(
    ("name", "preprocessing"), [("xgboost", None), ("xgboost", FILLED), (LOGISTIC, FILLED), (BOOSTING, None)]
)
def test_probabilities_are_those_of_the_balanced_model_put_back_by_bayes(
    given: dict[str, Any], name: Any, preprocessing: Any
) -> None:
    spec, data = asked(given, name, preprocessing=preprocessing), rare()
    balanced = imbalance.balance(spec, Imbalance.model_validate(given), data)
    uncorrected = train._learnt(spec, balanced.data).predict(data.test)
    found = train.learn(spec, data).predict(data.test)
    share = data.train.label.mean()
    part = balanced.data.train
    heard = np.average(part.label, weights=part.weight)
    by = np.log(share / (1 - share)) - np.log(heard / (1 - heard))
    assert np.abs(by) > 0.5
    np.testing.assert_allclose(found, shifted(uncorrected, by), rtol=2e-5)
    assert found.mean() == pytest.approx(data.test.label.mean(), abs=0.012)
    assert uncorrected.mean() > 2 * found.mean()


def test_shares_after_drawing_are_exact_and_only_train_is_drawn() -> None:
    data = rare()
    positives = int(data.train.label.sum())
    under = imbalance.balance(asked(WAYS[2]), Imbalance(sample="under", share=0.5), data).data
    assert (int(under.train.label.sum()), len(under.train)) == (positives, 2 * positives)
    over = imbalance.balance(asked(WAYS[3]), Imbalance(sample="over", share=0.3), data).data
    assert len(over.train) - int(over.train.label.sum()) == 4000 - positives
    assert over.train.label.mean() == pytest.approx(0.3, abs=1e-3)
    assert set(over.train.matrix[:, 0]) == set(data.train.matrix[:, 0])
    assert len(over.validation) == len(under.test) == 4000
    again = imbalance.balance(asked(WAYS[2]), Imbalance(sample="under", share=0.5), data).data
    assert again.train.matrix.tobytes() == under.train.matrix.tobytes()


def test_balanced_classes_of_three_are_put_back() -> None:
    data = dataset("multiclass", rows=1500)
    label = np.where((data.train.label == 2) & (np.arange(1500) % 5 > 0), 0.0, data.train.label)
    data = replace(data, parts={**data.parts, "train": replace(data.train, label=label)})
    for algorithm in ("xgboost", LOGISTIC, BOOSTING):
        spec = model("multiclass", algorithm, imbalance={"weigh": "balanced"}, preprocessing=FILLED)
        balanced = imbalance.balance(spec, Imbalance(weigh="balanced"), data)
        uncorrected = train._learnt(spec, balanced.data).predict(data.test)
        expected = uncorrected * np.bincount(label.astype(int)) / 1500
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(train.learn(spec, data).predict(data.test), expected, rtol=2e-5)


@pytest.mark.parametrize(
    "name", ["tree.DecisionTreeClassifier", "ensemble.RandomForestClassifier", "ensemble.ExtraTreesClassifier"]
)
def test_leaves_hold_the_shares_of_the_rows_that_there_are(name: str) -> None:
    """Weights choose where a tree splits; what a leaf answers is the mean label of train's own rows in it."""
    params = {"max_depth": 6} | ({"n_estimators": 4, "bootstrap": False} if "ensemble" in name else {})
    spec = asked({"weigh": "balanced"}, {"name": f"sklearn.{name}", "params": params}, preprocessing=FILLED)
    data = rare()
    learnt = train.learn(spec, data)
    prepare, forest = learnt.model[0], learnt.model[-1]
    rows = prepare.transform(data.train.frame())
    expected = []
    for tree in getattr(forest, "estimators_", [forest]):
        leaf = tree.apply(rows)
        mean = np.bincount(leaf, weights=data.train.label) / np.maximum(np.bincount(leaf), 1)
        expected.append(mean[leaf])
    np.testing.assert_allclose(learnt.predict(data.train), np.mean(expected, axis=0), rtol=1e-9)
    plain = train.learn(spec.model_copy(update={"imbalance": None}), data)
    assert not np.allclose(plain.predict(data.train), learnt.predict(data.train)), "weights chose no split"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"imbalance": {}}, "expected either weigh or sample"),
        ({"imbalance": {"weigh": 2, "share": 0.2}}, "share belongs to sample"),
        ({"task": "regression"}, "imbalance: needs classes"),
        ({"task": "multiclass", "imbalance": {"sample": "over"}}, "all else for two"),
        ({"algorithm": "sklearn.dummy.DummyClassifier"}, "DummyClassifier cannot be put back"),
        ({"algorithm": "pyspark.ml.classification.LogisticRegression", "preprocessing": FILLED}, "cannot be put back"),
        (
            {"algorithm": {"name": "xgboost", "engine": "spark"}, "imbalance": {"sample": "under"}},
            "spark, which weighs",
        ),
        ({"algorithm": {"name": "xgboost", "params": {"scale_pos_weight": 3}}}, "not with scale_pos_weight"),
    ],
)
def test_what_cannot_be_put_back_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(**{"imbalance": {"weigh": "balanced"}, **given})


def test_a_share_that_is_reached_already_and_a_cluster_are_refused() -> None:
    with pytest.raises(UnfitTrainingSet, match=r"imbalance\.share: 0\.01, but .* positive already"):
        train.learn(asked({"sample": "under", "share": 0.01}), rare())
    with pytest.raises(ConfigError, match=r"imbalance\.sample: Spark's workers draw no rows"):
        distributed._require_plain(asked({"sample": "over"}), rare(rows=60))
