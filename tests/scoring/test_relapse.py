"""When the former champion returns by itself: size, certainty, k of n, and whether it would have done better."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from scorelake.metrics import Estimate
from scorelake.models import Rollback
from scorelake.scoring.decay import Night
from scorelake.scoring.relapse import judge

DAY = date(2026, 3, 1)
FALLEN, FINE, UNSURE = (0.70, 0.66, 0.74), (0.79, 0.75, 0.83), (0.74, 0.66, 0.82)
TRAINED = 0.80
LIMITS = Rollback(k=2, n=3)


def nights(*values: tuple[float, float, float], rows: int = 500, metric: str = "auc") -> list[Night]:
    return [
        Night("churn/4", DAY, DAY - timedelta(days=30 - n), metric, Estimate(*value, rows), TRAINED)
        for n, value in enumerate(values)
    ]


def verdict(given: list[Night], limits: Rollback = LIMITS, **more: Any) -> str:
    return judge("churn/4", given, limits, run_date=DAY, min_rows=100, **more).verdict


def test_k_of_the_newest_n_nights_bring_the_former_champion_back() -> None:
    assert verdict(nights(FALLEN, FINE, FALLEN)) == "rollback"
    assert verdict(nights(FALLEN, FALLEN, FINE, FINE, FALLEN)) == "keep"
    said = judge("churn/4", nights(FINE, FALLEN, FALLEN), LIMITS, run_date=DAY, min_rows=100)
    assert (said.gate, said.subject, said.value, said.threshold) == ("relapse", "churn/4", 2, 2)
    assert "2 of its 3 newest matured nights have fallen" in said.reason
    assert "0.7, 0.8 at training" in said.reason


def test_the_newest_night_must_be_among_them() -> None:
    assert verdict(nights(FALLEN, FALLEN, FINE)) == "keep"
    assert verdict(nights(FINE, FALLEN, FALLEN)[::-1]) == "rollback"  # whatever their order in the table


def test_a_loss_that_may_be_chance_or_is_within_the_limit_does_not_count() -> None:
    assert verdict(nights(UNSURE, UNSURE, UNSURE)) == "keep"
    slight = (0.77, 0.765, 0.775)
    assert verdict(nights(slight, slight, slight)) == "keep"
    assert verdict(nights(slight, slight, slight), Rollback(k=2, n=3, max_loss=0.03)) == "rollback"


def test_nights_of_too_few_rows_neither_count_nor_reset() -> None:
    few = nights(FINE, FINE, FALLEN, FINE, FALLEN, FINE)
    small = [
        Night(n.subject, n.run_date, n.score_date, n.metric, Estimate(*FINE, 10), TRAINED) if i in (3, 5) else n
        for i, n in enumerate(few)
    ]
    assert verdict(small) == "rollback"
    assert verdict(nights(FALLEN, FALLEN, rows=10)) == "insufficient"
    assert verdict([]) == "insufficient"


def test_where_the_former_one_did_no_better_on_the_same_rows_nobody_returns() -> None:
    given = nights(FALLEN, FALLEN, FALLEN)
    better, worse, equal = (
        Estimate(0.05, 0.02, 0.08, 500),
        Estimate(-0.05, -0.08, -0.02, 500),
        Estimate(0, -0.1, 0.1, 9),
    )
    assert verdict(given, predecessor={night.score_date: better for night in given}) == "rollback"
    for gain in (worse, equal):
        assert verdict(given, predecessor={night.score_date: gain for night in given}) == "keep"


def test_a_loss_of_log_loss_is_an_increase() -> None:
    assert verdict(nights((0.9, 0.85, 0.95), (0.9, 0.85, 0.95), metric="log_loss")) == "rollback"
    assert verdict(nights(FALLEN, FALLEN, metric="log_loss")) == "keep"


def test_by_default_five_percent_on_three_of_five_nights() -> None:
    assert (Rollback().max_loss, Rollback().k, Rollback().n) == (0.05, 3, 5)
    with pytest.raises(ValidationError, match=r"k \(3\) cannot exceed n \(2\)"):
        Rollback(k=3, n=2)
