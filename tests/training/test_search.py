"""Searching parameters: what is tried, what wins, and that it can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake.models import Model
from scorelake.training import search, train
from scorelake.training.dataset import Dataset
from scorelake.training.fitted import Learnt
from scorelake.training.journal import Journal
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


def test_bayesian_draws_learn_from_those_before_and_repeat() -> None:
    ranges = {"max_depth": {"low": 1, "high": 400}}
    tried = {
        method: search.best(searched(method=method, trials=40, params=ranges), dataset(rows=60), learner)[1]
        for method in ("bayesian", "random")
    }
    near = {
        method: np.mean([abs(float(trial.params["max_depth"] or 0) - 4) for trial in trials[20:]])
        for method, trials in tried.items()
    }
    assert near["bayesian"] < near["random"] / 2
    again = searched(method="bayesian", trials=40, params=ranges)
    assert search.best(again, dataset(rows=60), learner)[1] == tried["bayesian"]


def test_a_search_ends_with_its_minutes_or_its_patience() -> None:
    ranges = {"max_depth": {"low": 1, "high": 9}}
    assert len(search.best(searched(minutes=1e-9, trials=50, params=ranges), dataset(rows=60), learner)[1]) == 1
    _, trials = search.best(searched(patience=3, trials=50, params=ranges), dataset(rows=60), learner)
    values = [trial.value or 0 for trial in trials]
    assert len(values) == values.index(max(values)) + 4 < 50


def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    spec = searched(method="bayesian", trials=15, params={"max_depth": {"low": 1, "high": 400}})
    asked: list[Model] = []

    def mortal(one: Model, data: Dataset) -> Learnt:
        asked.append(one)
        if len(asked) == 13:
            raise KeyboardInterrupt
        return learner(one, data)

    journal = Journal(tmp_path / "churn" / "trials.jsonl")
    with pytest.raises(KeyboardInterrupt):
        search.best(spec, dataset(rows=60), mortal, journal)
    with journal.path.open("a") as file:
        file.write('["cut o')
    resumed = search.best(spec, dataset(rows=60), mortal, journal)
    assert len(asked) - 13 <= 15 - 8  # a repeated draw is answered from the journal too
    assert resumed == search.best(spec, dataset(rows=60), learner)
    assert len(journal.read()) == len({str(trial.params) for trial in resumed[1]})
    journal.forget()
    assert journal.read() == {}


def test_algorithms_side_by_side_and_the_best_on_validation_is_registered() -> None:
    others = [
        {"name": "sklearn.dummy.DummyClassifier"},
        {
            "name": "sklearn.linear_model.LogisticRegression",
            "search": {"method": "grid", "params": {"C": [1e-6, 1.0]}},
        },
    ]
    spec = model(
        algorithm={"name": "xgboost", "rounds": 1, "params": {"max_depth": 1}},
        compare=others,
        preprocessing={"numeric": {"impute": "mean"}},
    )
    fitted = train.fit(spec, dataset())
    assert [(trial.algorithm.rpartition(".")[2], dict(trial.params)) for trial in fitted.trials] == [
        ("xgboost", {}),
        ("DummyClassifier", {}),
        ("LogisticRegression", {"C": 1e-6}),
        ("LogisticRegression", {"C": 1.0}),
    ]
    assert fitted.ranking[0][0].rpartition(".")[2] == "LogisticRegression"
    assert {"constant", "one feature: signal"} < {name for name, _ in fitted.ranking}
    assert [value for _, value in fitted.ranking] == sorted((value for _, value in fitted.ranking), reverse=True)
    assert fitted.spec.algorithm.name.endswith("LogisticRegression")
    assert type(fitted.learnt.model[-1]).__name__ == "LogisticRegression"
    alone = train.fit(model(algorithm=others[1], preprocessing={"numeric": {"impute": "mean"}}), dataset())
    assert alone.scored["test"].score.tobytes() == fitted.scored["test"].score.tobytes()


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
