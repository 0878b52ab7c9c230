"""The model card in both its forms, and the curves in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from scorelake.models import Task
from scorelake.training import card, curves, train
from scorelake.training.fitted import Scored
from tests.training.made_up import dataset, model


def scored(label: np.ndarray, score: np.ndarray) -> Scored:
    return Scored(label.astype(np.float64), score, np.arange(len(label)))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_card_says_what_a_reader_must_know(task: Task) -> None:
    spec = model(task)
    fitted = train.fit(spec, dataset(task, rows=100))
    found = card.card(spec, fitted, facts={"run date": "2026-03-01", "a|b": "<script>"})
    text, page = card.markdown(found), card.html(found)
    for words in ("Who leaves", "gold.churned", "run date", "2026-03-01", "one feature: signal", "rounds used"):
        assert words in text
        assert words in page
    assert "a\\|b" in text
    assert "<script>" not in page
    assert not re.search(r"(src|href)=", page), "the page must open without a network"
    HTMLParser().feed(page)
    assert page.count("<polyline") == (3 if task == "binary" else 0)


def test_card_shows_each_fold() -> None:
    search = {"method": "grid", "params": {"max_depth": [1, 2]}}
    spec = model(algorithm={"name": "xgboost", "rounds": 5, "search": search}, folds={"kind": "grouped", "count": 3})
    fitted = train.fit(spec, dataset(rows=100))
    text = card.markdown(card.card(spec, fitted, facts={}))
    auc = fitted.folds["auc"]
    assert "Train cut into 3 grouped folds, each judged by a model of the others." in text
    assert "| metric | mean | standard deviation | fold 1 | fold 2 | fold 3 |" in text
    shown = " | ".join(f"{value:.4f}" for value in (auc.mean, auc.deviation, *auc.values))
    assert f"| auc | {shown} |" in text
    assert "2 sets of parameters, judged by their mean over the folds" in text


def test_curves_equal_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    label = generator.integers(0, 2, 150)
    score = np.round(generator.random(150), 1)
    roc, recall, _ = curves.binary(scored(label, score))
    x, y, _ = roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(roc.x, x)
    np.testing.assert_allclose(roc.y, y)
    precision, found, _ = precision_recall_curve(label, score)
    np.testing.assert_allclose(recall.x, found[:-1][::-1])
    np.testing.assert_allclose(recall.y, precision[:-1][::-1])


def test_calibration_pairs_mean_score_and_share_of_positives() -> None:
    curve = curves.calibration(scored(np.array([0, 1, 1]), np.array([0.22, 0.28, 0.9])))
    assert curve.points == [(pytest.approx(0.25), 0.5), (0.9, 1.0)]


def test_many_rows_are_thinned_and_one_class_has_no_curves() -> None:
    generator = np.random.default_rng(2)
    label, score = generator.integers(0, 2, 5000), generator.random(5000)
    roc, _, _ = curves.binary(scored(label, score))
    assert len(roc.points) == 200
    assert (roc.points[0], roc.points[-1]) == ((0, 0), (1, 1))
    assert curves.binary(scored(np.zeros(10), score[:10])) == ()
