"""Decay is a loss that is large, certain and measured on enough rows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from scorelake.decisions import Decision
from scorelake.metrics import Estimate
from scorelake.models import Performance
from scorelake.scoring.decay import Night, direction, judge, latest, trend

DUE, NIGHT = date(2024, 2, 1), date(2024, 1, 1)


def judged(
    value: float | None, low: float | None, high: float | None, *, metric: str = "auc", trained: float | None = 0.8
) -> Decision:
    rows = 500 if value is not None else 0
    return judge(Night("churn/3", DUE, NIGHT, metric, Estimate(value, low, high, rows), trained), Performance())


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.80, 0.78, 0.82, "pass"),
        (0.73, 0.71, 0.75, "pass"),  # a loss, but within a tenth
        (0.71, 0.69, 0.73, "decay"),
        (0.71, 0.60, 0.81, "pass"),  # a large loss that may be chance
        (0.90, 0.88, 0.92, "pass"),
        (None, None, None, "insufficient"),
    ],
)
def test_a_metric_of_which_more_is_better(value: float, low: float, high: float, verdict: str) -> None:
    assert judged(value, low, high).verdict == verdict


def test_a_metric_of_which_less_is_better() -> None:
    worse = judged(120.0, 115.0, 125.0, metric="rmse", trained=100.0)
    assert (worse.verdict, worse.threshold) == ("decay", pytest.approx(110.0))
    assert judged(90.0, 85.0, 95.0, metric="rmse", trained=100.0).verdict == "pass"


def test_few_rows_prove_nothing() -> None:
    few = Night("churn/3", DUE, NIGHT, "auc", Estimate(0.5, 0.4, 0.6, 99), 0.8)
    assert judge(few, Performance()).verdict == "insufficient"
    assert judge(few, Performance(min_rows=99)).verdict == "decay"


def test_without_a_value_at_training_nothing_is_decay() -> None:
    found = judged(0.5, 0.4, 0.6, trained=None)
    assert (found.verdict, "not on record" in found.reason) == ("pass", True)


def test_a_trend_needs_three_nights_and_tells_its_interval() -> None:
    def line(*values: float) -> dict[date, float]:
        return {NIGHT + timedelta(days=2 * n): value for n, value in enumerate(values)}

    assert trend(line(0.8, 0.7)) is None
    found = trend(line(0.80, 0.70, 0.60, 0.50))
    assert found is not None
    assert (found.value, found.low, found.high, found.rows) == (pytest.approx(-0.05),) * 3 + (4,)
    noisy = trend(line(0.8, 0.7, 0.8, 0.7))
    assert noisy is not None
    assert noisy.low is not None
    assert noisy.high is not None
    assert noisy.low < 0 < noisy.high


@pytest.mark.parametrize(
    ("metric", "low", "high", "verdict"),
    [
        ("auc", -0.02, -0.01, "worse"),
        ("auc", 0.01, 0.02, "better"),
        ("auc", -0.01, 0.01, "steady"),
        ("rmse", 0.01, 0.02, "worse"),
        ("bias", 0.01, 0.02, "steady"),
    ],
)
def test_a_direction_needs_the_whole_interval(metric: str, low: float, high: float, verdict: str) -> None:
    assert direction("churn", DUE, metric, Estimate((low + high) / 2, low, high, 9)).verdict == verdict


def test_the_newest_night_that_labels_speak_of_decides() -> None:
    nights = [Night("c/1", DUE, NIGHT + timedelta(days=n), "auc", Estimate(0.5, None, None, 1), 0.8) for n in (1, 2, 0)]
    assert [night.score_date for night in latest(nights)] == [NIGHT + timedelta(days=2)]
