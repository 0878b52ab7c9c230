"""Model files: what may be written, and what is found before anything runs."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from scorelake.errors import ConfigError
from scorelake.models import ALGORITHMS, HEADLINE, METRICS, Model, Period, TemporalSplit
from scorelake.strict_yaml import load, parse

COMPLETE = """
description: Who will not come back within four weeks
feature_service: customers
label: gold.churned
task: binary
features: {exclude: [internal_flag]}
split: {kind: temporal, validation_from: 2026-03-01, test_from: 2026-05-01, gap: 60 days}
preprocessing:
  numeric: {impute: median, flag_missing: true, scale: standard, winsorise: 1%}
  categorical: {encode: one_hot, min_rows: 50}
algorithm:
  name: xgboost
  params: {max_depth: 6, learning_rate: 0.1}
  rounds: 500
  early_stopping_rounds: 20
seed: 7
metrics: {headline: pr_auc, bootstrap: 200}
promotion:
  require:
    auc: {min: 0.75, max: 0.95}
    brier: {max: 0.15}
  min_gain: 0.002
  no_champion: refuse
scoring: {buckets: 10, cut: 0.4}
drift:
  warn: 0.12
  min_rows: 500
  features:
    age: {alert: 0.3, mute: {until: 2026-12-01, reason: new form}}
  segments:
    region: {min_rows: 100}
"""
SHORT = """
description: d
feature_service: s
label: gold.l
task: regression
split: {kind: entity, keys: [customer]}
algorithm: {name: xgboost}
"""


def parsed(tmp_path: Path, text: str) -> Model:
    path = tmp_path / "churn.yaml"
    path.write_text(text)
    return parse(Model, load(path), name="churn")


def test_complete_file(tmp_path: Path) -> None:
    model = parsed(tmp_path, COMPLETE)
    assert model.name == "churn"
    assert model.headline == "pr_auc"
    assert model.split == TemporalSplit(
        kind="temporal", validation_from=date(2026, 3, 1), test_from=date(2026, 5, 1), gap=timedelta(days=60)
    )
    assert model.promotion.require["auc"].max == 0.95


def test_short_file_has_defaults(tmp_path: Path) -> None:
    model = parsed(tmp_path, SHORT)
    assert model.headline == "rmse"
    assert (model.drift.warn, model.drift.alert, model.drift.k, model.drift.n) == (0.10, 0.20, 2, 3)


def test_features_are_chosen_in_the_order_of_the_service(tmp_path: Path) -> None:
    model = parsed(tmp_path, COMPLETE)
    assert model.features.choose(["b", "internal_flag", "a"]) == ["b", "a"]
    with pytest.raises(ValueError, match="no such feature: internal_flag; there are: a, b"):
        model.features.choose(["a", "b"])


def test_limits_of_a_segment_win_over_feature_over_model_over_default(tmp_path: Path) -> None:
    drift = parsed(tmp_path, COMPLETE).drift
    assert drift.limits("other").warn == 0.12
    assert (drift.limits("age").warn, drift.limits("age").alert, drift.limits("age").min_rows) == (0.12, 0.3, 500)
    assert (drift.limits("age", "region").alert, drift.limits("age", "region").min_rows) == (0.3, 100)
    assert drift.limits("age").mute is not None


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("rounds: 500", "round: 500", 14, "did you mean 'rounds'?"),
        ("name: xgboost", "name: sklearn.svm.SVC", 11, "is not on the allow-list"),
        ("max_depth: 6", "seed: 6", 11, "params: seed follows from the model file"),
        ("name: xgboost", "name: sklearn.dummy.DummyClassifier", 11, "only xgboost has rounds"),
        ("test_from: 2026-05-01", "test_from: 2026-03-01", 7, "must be after validation_from"),
        ("kind: temporal", "kind: random", 7, "split"),
        ("exclude: [internal_flag]", "exclude: [a], only: [b]", 6, "either only or exclude"),
        ("headline: pr_auc", "headline: rmse", 0, "a binary model has no metric rmse"),
        ("headline: pr_auc", "headline: bias", 0, "bias is no headline"),
        ("brier: {max: 0.15}", "briar: {max: 0.15}", 0, "a binary model has no metric briar"),
        ("{min: 0.75, max: 0.95}", "{}", 20, "expected min, max or both"),
        ("buckets: 10", "buckets: [0.5, 0.1]", 24, "rising edges"),
        ("warn: 0.12", "warn: 0.32", 25, "is below warn"),
        ("alert: 0.3,", "alert: 0.11,", 25, "is below warn"),
        ("task: binary", "task: regression", 0, "a regression model has no metric"),
    ],
)
def test_mistake_is_found_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in COMPLETE
    with pytest.raises(ConfigError) as raised:
        parsed(tmp_path, COMPLETE.replace(old, new))
    texts = [finding.message for finding in raised.value.findings if message in finding.message]
    assert texts, str(raised.value)
    assert line in [finding.line for finding in raised.value.findings]


def test_a_cut_needs_a_binary_task(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scoring.cut needs task: binary"):
        parsed(tmp_path, SHORT + "scoring: {cut: 0.4}\n")


def test_algorithm_must_know_the_task(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot do task regression"):
        parsed(tmp_path, SHORT.replace("xgboost", "sklearn.linear_model.LogisticRegression"))


def test_entity_split_leaves_room_for_train(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave room for train"):
        parsed(tmp_path, SHORT.replace("keys: [customer]", "keys: [customer], test: 60%, validation: 40%"))


def test_every_task_has_a_headline_and_an_algorithm() -> None:
    for task, names in METRICS.items():
        assert HEADLINE[task] in names
        assert any(task in tasks for tasks in ALGORITHMS.values())


@pytest.mark.parametrize(
    ("period", "nights"),
    [
        ({"previous": 3}, [12, 13, 14]),
        ({"weekdays": 2}, [1, 8]),
        ({"from": date(2026, 1, 10), "to": date(2026, 1, 12)}, [10, 11, 12]),
        ({"from": date(2026, 1, 14), "to": date(2026, 1, 20)}, [14]),  # never the night itself or a later one
        ({"from": date(2026, 2, 1), "to": date(2026, 2, 2)}, []),
    ],
)
def test_nights_of_a_period(period: dict[str, object], nights: list[int]) -> None:
    assert Period.model_validate(period).nights(date(2026, 1, 15)) == tuple(date(2026, 1, day) for day in nights)


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ("last: {previous: 7, weekdays: 2}", "drift.against.last: expected previous, weekdays, or from and to"),
        ("last: {}", "drift.against.last: expected previous, weekdays, or from and to"),
        ("last: {from: 2026-01-02}", "drift.against.last: expected previous, weekdays, or from and to"),
        ("last: {from: 2026-01-02, to: 2026-01-01}", r"to \(2026-01-01\) is before from \(2026-01-02\)"),
        ("training: {previous: 7}", "drift: against.training: training is always compared with"),
    ],
)
def test_a_period_is_of_one_kind(tmp_path: Path, against: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(tmp_path, f"{SHORT}drift: {{against: {{{against}}}}}\n")
