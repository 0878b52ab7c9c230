"""Metrics against scikit-learn, on ties, weights and rows that cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from scorelake import metrics
from scorelake.models import METRICS

seeds = st.integers(0, 2**31)


def tied_rows(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both classes and scores on a coarse grid, so that most scores are tied."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, rows)
    label[:2] = (0, 1)
    return label, np.round((label * 0.3 + generator.random(rows)) / 1.3, 1)


@given(seed=seeds, rows=st.integers(2, 200))
@settings(max_examples=100, deadline=None)
def test_binary_metrics_equal_scikit_learn_with_ties(seed: int, rows: int) -> None:
    label, score = tied_rows(seed, rows)
    found = metrics.evaluate("binary", label, score)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(label, score), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(label, score), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, score), abs=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(label, score), abs=1e-12)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, score >= 0.5), abs=1e-12)
    assert found["bias"] == pytest.approx(score.mean() - label.mean(), abs=1e-12)


@given(seed=seeds, rows=st.integers(3, 100))
@settings(max_examples=50, deadline=None)
def test_multiclass_metrics_equal_scikit_learn(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    label = np.r_[0, 1, 2, generator.integers(0, 3, rows - 3)]
    score = generator.dirichlet((1, 1, 1), rows)
    found = metrics.evaluate("multiclass", label, score)
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, score), abs=1e-12)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, score.argmax(axis=1)), abs=1e-12)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(label, score, multi_class="ovr"), abs=1e-9)
    assert found["brier"] == pytest.approx(((score - np.eye(3)[label]) ** 2).sum(axis=1).mean(), abs=1e-12)


@given(seed=seeds, rows=st.integers(2, 100))
@settings(max_examples=50, deadline=None)
def test_regression_metrics_equal_scikit_learn(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    label, score = generator.normal(size=rows), generator.normal(size=rows)
    found = metrics.evaluate("regression", label, score)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(label, score), rel=1e-12)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(label, score), rel=1e-12)
    assert found["r2"] == pytest.approx(sk.r2_score(label, score), rel=1e-9, abs=1e-9)
    assert found["bias"] == pytest.approx((score - label).mean(), abs=1e-12)


def test_metrics_are_those_that_a_model_file_may_name() -> None:
    label = np.array([0, 1])
    assert set(metrics.evaluate("binary", label, np.array([0.2, 0.7]))) == set(METRICS["binary"])
    assert set(metrics.evaluate("multiclass", label, np.array([[0.2, 0.8], [0.5, 0.5]]))) == set(METRICS["multiclass"])
    assert set(metrics.evaluate("regression", label, np.array([0.2, 0.7]))) == set(METRICS["regression"])


def test_constant_model_on_rare_positives_shows_its_worth() -> None:
    label = np.r_[np.ones(10), np.zeros(9990)]
    found = metrics.evaluate("binary", label, np.full(10_000, 0.001))
    assert found["accuracy"] == pytest.approx(0.999)
    assert found["auc"] == pytest.approx(0.5)
    assert found["pr_auc"] == pytest.approx(0.001)
    assert found["lift_10"] == pytest.approx(1.0)


def test_lift_counts_the_best_tenth() -> None:
    label = np.r_[np.ones(10), np.zeros(90)]
    assert metrics.evaluate("binary", label, np.linspace(1, 0, 100))["lift_10"] == pytest.approx(10.0)


def test_calibration_error_is_the_mean_gap_of_ten_bins() -> None:
    label = np.array([0, 0, 1, 1])
    score = np.array([0.25, 0.25, 0.75, 1.0])
    # bins [0.2, 0.3): |0.5 - 0| ; [0.7, 0.8): 0.25 ; [0.9, 1]: 0
    assert metrics.evaluate("binary", label, score)["calibration_error"] == pytest.approx((0.5 + 0.25 + 0) / 4)


def test_one_class_has_no_auc_but_keeps_what_can_be_told() -> None:
    found = metrics.evaluate("binary", np.zeros(3), np.array([0.1, 0.2, 0.3]))
    assert (found["auc"], found["pr_auc"], found["lift_10"]) == (None, None, None)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.09) / 3)
    assert metrics.evaluate("binary", np.ones(2), np.array([0.1, 0.2]))["auc"] is None


def test_constant_label_has_no_r2() -> None:
    assert metrics.evaluate("regression", np.full(3, 0.1), np.arange(3.0))["r2"] is None


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_no_rows_tell_nothing(task: metrics.Task) -> None:
    empty = np.empty(0)
    assert set(metrics.evaluate(task, empty, empty).values()) == {None}
    assert all(
        e == metrics.Estimate(None, None, None, 0) for e in metrics.intervals(task, empty, empty, seed=1).values()
    )
    assert all(e.value is None for e in metrics.gains(task, empty, empty, empty, seed=1).values())


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        metrics.evaluate("regression", np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="one a row"):
        metrics.evaluate("binary", np.zeros(2), np.zeros(3))


def test_interval_of_auc_agrees_with_delong() -> None:
    generator = np.random.default_rng(3)
    label = generator.integers(0, 2, 1500)
    score = 1 / (1 + np.exp(-(label + generator.normal(size=1500))))
    found = metrics.intervals("binary", label, score, seed=5)["auc"]
    # DeLong, DeLong and Clarke-Pearson 1988, by its definition
    wins = (score[label == 1][:, None] > score[label == 0][None, :]).astype(float)
    variance = wins.mean(axis=1).var(ddof=1) / (label == 1).sum() + wins.mean(axis=0).var(ddof=1) / (label == 0).sum()
    assert found.value == pytest.approx(wins.mean())
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.15)
    assert found.low < wins.mean() < found.high


def test_intervals_of_repeated_entities_are_wider_than_of_independent_rows() -> None:
    generator = np.random.default_rng(4)
    label = np.repeat(generator.normal(size=60), 20)
    score = np.repeat(generator.normal(size=60), 20)
    entity = np.repeat(np.arange(60), 20)
    rows = metrics.intervals("regression", label, score, seed=1)["rmse"]
    entities = metrics.intervals("regression", label, score, seed=1, groups=entity)["rmse"]
    assert rows.low is not None
    assert entities.low is not None
    assert rows.high is not None
    assert entities.high is not None
    assert entities.high - entities.low > 3 * (rows.high - rows.low)


def test_same_seed_gives_the_same_interval() -> None:
    label, score = tied_rows(1, 50)
    assert metrics.intervals("binary", label, score, seed=9) == metrics.intervals("binary", label, score, seed=9)
    assert metrics.intervals("binary", label, score, seed=9) != metrics.intervals("binary", label, score, seed=8)


def test_gain_of_a_model_over_itself_is_exactly_zero() -> None:
    label, score = tied_rows(2, 80)
    for name, gain in metrics.gains("binary", label, score, score, seed=1).items():
        assert (gain.value, gain.low, gain.high) == (0, 0, 0), name


def test_gain_is_positive_for_the_better_model_whatever_the_metric() -> None:
    generator = np.random.default_rng(6)
    label = generator.normal(size=400)
    good, poor = label + generator.normal(size=400) * 0.1, label + 1 + generator.normal(size=400)
    for name, gain in metrics.gains("regression", label, good, poor, seed=1).items():
        assert gain.low is not None, name
        assert 0 < gain.low <= (gain.value or 0), name
