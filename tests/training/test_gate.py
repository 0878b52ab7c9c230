"""The promotion gate: every reason on record, ties keep the champion, what cannot be told fails."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from scorelake.decisions import Decision
from scorelake.training.gate import Contender, Contest, is_promoted, judge
from tests.training.made_up import model

RUN_DATE = date(2026, 3, 1)
GENERATOR = np.random.default_rng(11)
LABEL = GENERATOR.integers(0, 2, 600).astype(np.float64)
GOOD = np.clip(0.25 + 0.5 * LABEL + GENERATOR.normal(size=600) * 0.25, 0.01, 0.99)
FAIR = np.clip(0.4 + 0.2 * LABEL + GENERATOR.normal(size=600) * 0.25, 0.01, 0.99)


def judged(
    challenger: np.ndarray, champion: np.ndarray | None = None, label: np.ndarray = LABEL, **promotion: Any
) -> dict[str, Decision]:
    rival = None if champion is None else Contender("3", champion)
    contest = Contest(label, Contender("4", challenger), rival)
    decisions = judge(model(promotion=promotion), contest, RUN_DATE)
    assert is_promoted(decisions) == (decisions[-1].verdict == "promote")
    return {decision.metric: decision for decision in decisions}


def test_better_challenger_within_its_limits_is_promoted() -> None:
    found = judged(GOOD, FAIR, require={"auc": {"min": 0.75, "max": 0.99}, "brier": {"max": 0.2}})
    assert [(metric, decision.verdict) for metric, decision in found.items()] == [
        ("auc min", "pass"),
        ("auc max", "pass"),
        ("brier max", "pass"),
        ("auc gain over a constant", "pass"),
        ("auc gain over champion 3", "pass"),
        ("verdict", "promote"),
    ]
    assert {(d.gate, d.subject, d.run_date) for d in found.values()} == {("promotion", "churn/4", RUN_DATE)}


def test_gate_that_asks_for_a_human_promotes_nobody() -> None:
    assert judged(GOOD, FAIR, approval=True)["verdict"].verdict == "await approval"
    assert judged(GOOD, GOOD, approval=True)["verdict"].verdict == "keep"


def test_tie_keeps_the_champion() -> None:
    found = judged(GOOD, GOOD)
    assert found["auc gain over champion 3"].verdict == "fail"
    assert found["auc gain over champion 3"].value == 0
    assert found["verdict"].verdict == "keep"


def test_gain_must_exceed_min_gain_with_its_whole_interval() -> None:
    assert judged(GOOD, FAIR)["verdict"].verdict == "promote"
    gain = judged(GOOD, FAIR)["auc gain over champion 3"].value
    assert gain is not None
    assert judged(GOOD, FAIR, min_gain=gain - 1e-6)["verdict"].verdict == "keep"


def test_auc_above_its_ceiling_is_called_a_leak() -> None:
    found = judged(LABEL * 0.8 + 0.1, require={"auc": {"max": 0.95}})
    assert found["auc max"].verdict == "fail"
    assert "knows the label" in found["auc max"].reason
    assert found["verdict"].verdict == "refuse"


def test_metric_that_cannot_be_told_fails() -> None:
    found = judged(FAIR, label=np.zeros(600), require={"auc": {"min": 0.0}})
    assert (found["auc min"].value, found["auc min"].verdict) == (None, "fail")
    assert "cannot be told from 600 rows" in found["auc min"].reason
    assert found["verdict"].verdict == "refuse"
    assert judged(np.empty(0), label=np.empty(0))["verdict"].verdict == "refuse"


def test_constant_model_on_rare_positives_is_not_promoted() -> None:
    label = np.r_[np.ones(10), np.zeros(9990)]
    found = judged(np.full(10_000, 0.001), label=label)
    assert found["auc gain over a constant"].verdict == "fail"
    assert found["verdict"].verdict == "refuse"


@pytest.mark.parametrize(("rule", "verdict"), [("promote", "promote"), ("refuse", "refuse")])
def test_first_version_follows_the_declared_rule(rule: str, verdict: str) -> None:
    assert judged(GOOD, no_champion=rule)["verdict"].verdict == verdict


def test_champion_is_not_judged_against_itself() -> None:
    contest = Contest(LABEL, Contender("3", GOOD), Contender("3", GOOD))
    (decision,) = judge(model(), contest, RUN_DATE)
    assert (decision.verdict, decision.reason) == ("keep", "it is the champion already")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_must_beat_their_constant(task: Any) -> None:
    label = LABEL if task == "regression" else LABEL + (np.arange(600) % 3 == 0)
    good = label + GENERATOR.normal(size=600) * 0.1
    score = good if task == "regression" else np.eye(3)[label.astype(int)] * 0.7 + 0.1
    spec = model(task)
    assert is_promoted(judge(spec, Contest(label, Contender("1", score)), RUN_DATE))
    constant = np.full_like(score, 1 / 3)
    assert not is_promoted(judge(spec, Contest(label, Contender("1", constant)), RUN_DATE))
