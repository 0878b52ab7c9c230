"""Searching parameters: what is tried, what wins, and that it can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake.models import Model
from scorelake.training import search, train
from scorelake.training.dataset import Dataset
from scorelake.training.fitted import Learnt
from tests.training.made_up import dataset, model


def searched(**given: Any) -> Model:
    return model(algorithm={"name": "xgboost", "rounds": 10, "params": {"max_depth": 9, "gamma": 1}, "search": given})


def learner(spec: Model, data: Dataset) -> Learnt:
    """Right to the degree that max_depth is near 4."""
    error = abs(float(spec.algorithm.params["max_depth"] or 0) - 4) / 4
    noise = np.random.default_rng(0).random(len(data.validation))
    return Learnt(None, "sklearn", lambda part: part.label * (1 - error) + error * noise)


def test_grid_tries_every_combination_and_the_best_on_validation_wins() -> None:
    spec = searched(method="grid", params={"max_depth": [1, 4, 7], "gamma": [0, 1]})
    found, trials = search.best(spec, dataset(), learner)
    assert [dict(trial.params) for trial in trials] == [
        {"max_depth": depth, "gamma": gamma} for depth in (1, 4, 7) for gamma in (0, 1)
    ]
    assert found.algorithm.params == {"max_depth": 4, "gamma": 0}
    assert found.algorithm.search is None


def test_lower_is_better_for_losses() -> None:
    spec = searched(method="grid", params={"max_depth": [1, 4, 7]}).model_copy(
        update={"metrics": model(metrics={"headline": "brier"}).metrics}
    )
    assert search.best(spec, dataset(), learner)[0].algorithm.params["max_depth"] == 4


def test_draws_stay_in_their_ranges_and_repeat_with_the_seed() -> None:
    ranges = {"max_depth": {"low": 2, "high": 5}, "eta": {"low": 0.001, "high": 1.0, "log": True}, "gamma": [0, 0.5]}
    spec = searched(trials=200, params=ranges)
    _, trials = search.best(spec, dataset(rows=30), learner)
    assert {trial.params["max_depth"] for trial in trials} == {2, 3, 4, 5}
    assert {trial.params["gamma"] for trial in trials} == {0, 0.5}
    rates = [float(trial.params["eta"] or 0) for trial in trials]
    assert 0.001 <= min(rates) <= max(rates) <= 1.0
    assert np.mean(np.array(rates) < 10**-1.5) == pytest.approx(0.5, abs=0.12)
    assert search.best(spec, dataset(rows=30), learner)[1] == trials


def test_training_uses_and_reports_the_winner() -> None:
    spec = searched(method="grid", params={"max_depth": [1, 3], "learning_rate": [0.0001, 0.5]})
    fitted = train.fit(spec, dataset())
    assert fitted.params["gamma"] == 1
    assert fitted.params["learning_rate"] == 0.5
    assert len(fitted.trials) == 4
    assert fitted.metrics["validation"]["auc"].value == max(trial.value or 0 for trial in fitted.trials)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "grid", "params": {"a": {"low": 1, "high": 2}}}, "a grid needs lists"),
        ({"method": "grid", "trials": 3, "params": {"a": [1, 2], "b": [1, 2]}}, "4 combinations, more than trials: 3"),
        ({"params": {"a": []}}, "a list of values is empty"),
        ({"params": {"a": {"low": 2, "high": 1}}}, "expected low < high"),
        ({"params": {"a": {"low": 0, "high": 1, "log": True}}}, "above 0 with log"),
        ({"params": {"seed": [1, 2]}}, "seed follows from the model file"),
    ],
)
def test_search_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        searched(**given)
