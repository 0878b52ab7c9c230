"""Folds of train: who teaches, who judges, and what a search goes by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake.errors import UnfitTrainingSet
from scorelake.models import Folds
from scorelake.training import folds, train
from tests.training.made_up import dataset, model

DAY = 86_400_000_000
ROLLING = {"kind": "rolling", "count": 4, "gap": "7 days"}


def test_rolling_folds_are_judged_by_labels_that_were_known_before_them() -> None:
    days = np.arange(400) // 10  # 40 days of 10 rows
    part = replace(dataset().train, moment=(days * DAY).astype(np.int64))
    found = list(folds.cut(Folds.model_validate(ROLLING), part, seed=1))
    assert [sorted(set(days[judging])) for _, judging in found] == [list(range(8 * n, 8 * n + 8)) for n in (1, 2, 3, 4)]
    assert [days[teaching].max() for teaching, _ in found] == [1, 9, 17, 25]
    assert all(days[teaching].min() == 0 for teaching, _ in found)


@pytest.mark.parametrize("kind", ["grouped", "stratified"])
def test_entities_stay_whole_and_each_row_judges_once(kind: str) -> None:
    part = dataset().train
    part = replace(part, label=(part.entity < 20).astype(float))
    found = list(folds.cut(Folds(kind=kind, count=5), part, seed=1))
    assert sorted(np.concatenate([judging for _, judging in found])) == list(range(400))
    for teaching, judging in found:
        assert not set(part.entity[teaching]) & set(part.entity[judging])
        assert len(teaching) + len(judging) == 400
    shares = {part.label[judging].mean() for _, judging in found}
    assert (shares == {0.1}) is (kind == "stratified")
    again = list(folds.cut(Folds(kind=kind, count=5), part, seed=1))
    assert all((one[1] == other[1]).all() for one, other in zip(found, again, strict=True))


def test_metrics_come_with_mean_and_spread_and_a_search_goes_by_them() -> None:
    search = {"method": "grid", "params": {"max_depth": [1, 3]}}
    spec = model(algorithm={"name": "xgboost", "rounds": 5, "search": search}, folds={"kind": "grouped", "count": 3})
    fitted = train.fit(spec, dataset())
    found = fitted.folds["auc"]
    assert len(found.values) == 3
    assert found.mean == pytest.approx(np.mean(found.values))
    assert found.deviation == pytest.approx(np.std(found.values, ddof=1))
    assert max(trial.value or 0 for trial in fitted.trials) == found.mean
    assert fitted.values["folds.auc.mean"] == found.mean


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "rolling"}, "rolling needs gap"),
        ({"kind": "grouped", "gap": "7 days"}, "gap belongs to rolling"),
        ({"kind": "stratified"}, "stratified needs classes"),
    ],
)
def test_folds_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model("regression", folds=given)


def test_folds_that_are_too_small_are_named() -> None:
    part = replace(dataset(rows=60).train, moment=np.arange(60, dtype=np.int64) * DAY)
    with pytest.raises(UnfitTrainingSet, match=r"fold 1 of 4 has 6 rows to learn from and 12 to"):
        list(folds.cut(Folds.model_validate(ROLLING), part, seed=1))
