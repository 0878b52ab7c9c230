"""The retrain policy: every reason by itself, what speaks against, and why nothing is done."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from scorelake.models import Bounds, Retrain
from scorelake.training.retraining import Known, judge

DAY = date(2026, 3, 29)
POLICY = Retrain(
    every=timedelta(days=28), on_drift=True, on_decay=True, new_labels=500, label_rate=Bounds(min=0.1, max=0.3)
)


def said(days: int | None = 20, policy: Retrain = POLICY, **known: Any) -> tuple[str, str]:
    trained_on = None if days is None else DAY - timedelta(days=days)
    found = judge("churn", policy, Known(trained_on, **known), DAY)
    assert (found.gate, found.subject, found.run_date) == ("retrain", "churn", DAY)
    return found.verdict, found.reason


def test_without_a_reason_it_waits_and_says_what_was_looked_at() -> None:
    assert said(new_labels=7) == (
        "wait",
        "no reason to: trained 20 days ago, every 28 days, no drift alert is firing, no decay was found, "
        "7 new labels of 500",
    )


@pytest.mark.parametrize(
    ("days", "known", "reason"),
    [
        (28, {}, "trained 28 days ago, every 28 days"),
        (20, {"drift": "PSI 0.4"}, "drift: PSI 0.4"),
        (20, {"decay": "auc fell"}, "decay: auc fell"),
        (20, {"new_labels": 500}, "500 new labels, 500 are enough"),
        (None, {}, "it has no version yet"),
        (28, {"drift": "PSI 0.4"}, "trained 28 days ago, every 28 days; drift: PSI 0.4"),
    ],
)
def test_each_reason_suffices(days: int | None, known: dict[str, Any], reason: str) -> None:
    assert said(days, **known) == ("train", reason)


def test_what_the_policy_does_not_ask_for_is_no_reason() -> None:
    only = Retrain(every=timedelta(days=28))
    assert said(27, only, drift="PSI 0.4", decay="auc fell", new_labels=10_000)[0] == "wait"


def test_a_reason_that_comes_again_too_soon_waits() -> None:
    assert said(6, drift="PSI 0.4") == (
        "wait",
        "drift: PSI 0.4; but it was trained 6 days ago, never sooner than 7 days",
    )
    assert said(7, drift="PSI 0.4")[0] == "train"


def test_failed_gates_and_labels_out_of_limits_refuse_what_there_was_a_reason_for() -> None:
    verdict, reason = said(28, failed=("silver.sales of 2026-03-20",), label_rate=0.2)
    assert (verdict, reason.partition("; ")[2]) == ("refuse", "but failed or overridden: silver.sales of 2026-03-20")
    for rate, expected in ((0.05, "refuse"), (0.1, "train"), (0.3, "train"), (0.31, "refuse"), (None, "train")):
        assert said(28, label_rate=rate)[0] == expected
    assert "the new labels' mean is 0.05, expected 0.1 to 0.3" in said(28, label_rate=0.05)[1]
    assert said(20, failed=("silver.sales of 2026-03-20",))[0] == "wait"


def test_a_policy_needs_a_reason() -> None:
    with pytest.raises(ValidationError, match="expected a reason"):
        Retrain(label_rate=Bounds(min=0.1))
