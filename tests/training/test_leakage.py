"""Signs of leakage: each planted once, and none in honest data."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from scorelake.decisions import Decision
from scorelake.models import Model
from scorelake.training import leakage, train
from scorelake.training.dataset import Dataset
from scorelake.training.fitted import Learnt
from tests.training.made_up import dataset, model

RUN_DATE = date(2026, 3, 1)


def checked(spec: Model, data: Dataset, learner: Any = train.learn) -> list[Decision]:
    return list(leakage.check(spec, data, train.fit(spec, data), learner, run_date=RUN_DATE))


def two_signals(rows: int = 400) -> Dataset:
    """Data in which no feature tells the label alone."""
    data = dataset(rows=rows)
    parts = {}
    for number, (name, part) in enumerate(data.parts.items()):
        noise = np.random.default_rng(number).normal(size=rows) * 0.5
        parts[name] = replace(part, label=(part.matrix[:, 0] + part.matrix[:, 1] + noise > 0).astype(np.float64))
    return replace(data, parts=parts)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_is_checked(task: Any) -> None:
    found = checked(model(task), dataset(task))
    assert [decision.gate for decision in found] == ["leakage"] * 3
    assert found[2].verdict == "pass"


def test_honest_data_passes() -> None:
    found = checked(model(), two_signals())
    assert [decision.verdict for decision in found] == ["pass"] * 3
    assert {(decision.subject, decision.run_date) for decision in found} == {("churn", RUN_DATE)}


def test_feature_that_says_it_all_is_named() -> None:
    data = dataset()
    parts = {name: replace(part, label=(part.matrix[:, 0] > 0).astype(np.float64)) for name, part in data.parts.items()}
    decision = checked(model(), replace(data, parts=parts))[0]
    assert decision.verdict == "warn"
    assert decision.reason.startswith("one feature: signal alone reaches")


@pytest.mark.parametrize("text", [False, True])
def test_test_rows_that_train_holds_are_counted(text: bool) -> None:
    data = dataset(text=text)
    spec = model(preprocessing={"categorical": {"encode": "ordinal"}})
    copied = replace(data.test, matrix=data.test.matrix.copy(order="F"), categories=dict(data.test.categories))
    copied.matrix[:40] = data.train.matrix[40:80]
    for name in copied.categories:
        values = copied.categories[name].copy()
        values[:40] = data.train.categories[name][40:80]
        copied = replace(copied, categories={name: values})
    decision = checked(spec, replace(data, parts={**data.parts, "test": copied}))[1]
    assert (decision.value, decision.verdict) == (0.1, "warn")
    assert decision.reason == "40 of 400 test rows equal a train row in every feature"


def test_chance_alone_does_not_fail_a_model_with_one_strong_feature() -> None:
    """What a learner makes of shuffled labels follows the strong feature upwards or downwards, as chance has it."""

    def upwards_or_downwards(spec: Model, data: Dataset) -> Learnt:
        sign = 1 if data.train.label[0] == 1 else -1
        return Learnt(None, "sklearn", lambda part: 1 / (1 + np.exp(-sign * part.matrix[:, 0].astype(np.float64))))

    verdicts = [checked(model(seed=seed), dataset(), upwards_or_downwards)[2].verdict for seed in range(8)]
    assert verdicts == ["pass"] * 8


def test_learner_that_peeks_at_the_test_labels_fails_on_shuffled_ones() -> None:
    def peeking(spec: Model, data: Dataset) -> Learnt:
        return Learnt(None, "sklearn", lambda part: part.label * 0.8 + 0.1)

    decision = checked(model(), dataset(), peeking)[2]
    assert (decision.metric, decision.verdict) == ("auc gain with shuffled labels", "fail")


def test_metric_beyond_its_declared_ceiling_is_a_sign() -> None:
    spec = model(promotion={"require": {"auc": {"max": 0.7}, "brier": {"min": 0.01}, "bias": {"max": 0.0}}})
    found = {decision.metric: decision for decision in checked(spec, dataset())}
    assert found["auc beyond its ceiling"].verdict == "warn"
    assert "better than believable" in found["auc beyond its ceiling"].reason
    assert found["brier beyond its ceiling"].verdict == "pass"
    assert "bias beyond its ceiling" not in found


def test_entities_on_both_sides_fail_and_a_second_look_warns() -> None:
    assert leakage.shared_entities(model(), 0, run_date=RUN_DATE).verdict == "pass"
    found = leakage.shared_entities(model(), 3, run_date=RUN_DATE)
    assert (found.verdict, found.value) == ("fail", 3.0)
    assert found.reason == "3 entities stand in more than one part, none may"
    assert leakage.second_look(model(), 0, run_date=RUN_DATE).verdict == "pass"
    assert leakage.second_look(model(), 2, run_date=RUN_DATE).verdict == "warn"
