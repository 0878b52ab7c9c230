"""Cuts against brute force, what they cost, and how they travel with a trained model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scorelake.errors import UnfitTrainingSet
from scorelake.models import Costs, CutBy
from scorelake.training import card, train
from scorelake.training.deciding import NOBODY, choose, decisions
from scorelake.training.gate import Contender, Contest, judge
from tests.training.made_up import dataset, model
from tests.training.test_gate import FAIR, GOOD, LABEL, RUN_DATE

COSTS = Costs(false_positive=2, false_negative=7, true_positive=1, true_negative=0.5)


def by_hand(costs: Costs, label: np.ndarray, score: np.ndarray, cut: float) -> float:
    total = 0.0
    for truth, value in zip(label, score, strict=True):
        if value >= cut:
            total += -costs.true_positive if truth else costs.false_positive
        else:
            total += costs.false_negative if truth else -costs.true_negative
    return total


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_by_costs_is_the_cheapest_of_all_cuts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    score = np.round(draw.random(80), 2)
    label = (draw.random(80) < score).astype(np.float64)
    cuts = [*np.unique(score), NOBODY]
    spent = {cut: by_hand(COSTS, label, score, cut) for cut in cuts}
    cheapest = min(spent.values())
    found = choose(CutBy(costs=COSTS), label, score)
    assert found.value == max(cut for cut in cuts if spent[cut] == pytest.approx(cheapest))
    told = decisions(label, score, found.value, COSTS)
    assert told["expected_cost"] == pytest.approx(cheapest / 80)
    assert told["selection_rate"] == pytest.approx(found.chosen)


def test_of_equally_cheap_cuts_that_which_chooses_fewest() -> None:
    costs = Costs(false_positive=1, false_negative=1)
    assert choose(CutBy(costs=costs), np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.7])).value == 0.9


def test_costs_that_no_row_is_worth_choose_nobody() -> None:
    costs = Costs(false_positive=1000, false_negative=1)
    found = choose(CutBy(costs=costs), np.zeros(10), np.linspace(0, 1, 10))
    assert (found.value, found.chosen) == (NOBODY, 0)
    assert decisions(np.zeros(10), np.linspace(0, 1, 10), NOBODY, None) == {
        "selection_rate": 0,
        "precision": None,
        "recall": None,
    }


@pytest.mark.parametrize(
    ("cut_by", "population", "value"),
    [
        ({"share": "50%"}, None, 0.6),
        ({"share": "49%"}, None, 0.7),  # never more than there is room for
        ({"share": "29%"}, None, 0.9),  # both rows of 0.8 would be three
        ({"share": "9%"}, None, NOBODY),
        ({"capacity": 500}, 1000, 0.6),
        ({"capacity": 5000}, 1000, 0.1),
    ],
)
def test_a_cut_by_room_never_chooses_more(cut_by: dict[str, Any], population: float | None, value: float) -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.9])
    found = choose(CutBy.model_validate(cut_by), np.zeros(10), score, population=population)
    assert found.value == value


def test_calibration_and_cut_are_fixed_on_validation_and_judged_on_test() -> None:
    spec = model(calibration="sigmoid", scoring={"cut_by": {"share": "25%"}})
    fitted = train.fit(spec, dataset())
    deciding = fitted.deciding
    assert deciding.calibrator is not None
    assert deciding.cut is not None
    assert deciding.cut.chosen == pytest.approx(0.25, abs=0.03)
    validation, test = fitted.scored["validation"], fitted.scored["test"]
    assert (validation.score >= deciding.cut.value).mean() == deciding.cut.chosen
    assert fitted.values["test_decision.selection_rate"] == (test.score >= deciding.cut.value).mean()
    assert fitted.values["test_calibrated.auc"] == pytest.approx(fitted.values["test.auc"])
    text = card.markdown(card.card(spec, fitted, facts={}))
    assert "A sigmoid, fitted on validation" in text
    assert "at most 25.0000% of the rows" in text
    assert card.html(card.card(spec, fitted, facts={})).count("<polyline") == 4
    assert "cut" not in train.fit(model(), dataset()).values


def test_validation_of_one_class_cannot_calibrate() -> None:
    data = dataset()
    one_class = replace(data.validation, label=np.zeros(len(data.validation)))
    data = replace(data, parts={**data.parts, "validation": one_class})
    with pytest.raises(UnfitTrainingSet, match="calibration: isotonic needs both classes in validation"):
        train.fit(model(calibration="isotonic"), data)


def test_expected_cost_and_calibrated_error_are_gates() -> None:
    spec = model(
        scoring={"cut_by": {"costs": {"false_positive": 1, "false_negative": 1}}},
        promotion={"max_cost": 0.2, "require": {"calibration_error": {"max": 0.05}}},
    )
    challenger = Contender("4", GOOD, calibrated=LABEL, cut=0.5)
    found = {d.metric: d for d in judge(spec, Contest(LABEL, challenger, Contender("3", FAIR)), RUN_DATE)}
    assert found["calibration_error max"].value == 0
    cost = found["expected cost a row"]
    assert cost.value == pytest.approx(((GOOD >= 0.5) != LABEL).mean())
    assert cost.verdict == "pass"
    assert f"choosing nobody costs {LABEL.mean():.6g}" in cost.reason
    for raw, verdict in ((Contender("4", GOOD), "fail"), (Contender("4", GOOD, cut=NOBODY), "fail")):
        found = {d.metric: d for d in judge(spec, Contest(LABEL, raw, Contender("3", FAIR)), RUN_DATE)}
        assert found["expected cost a row"].verdict == verdict
        assert found["calibration_error max"].value != 0
        assert found["verdict"].verdict == "keep"
