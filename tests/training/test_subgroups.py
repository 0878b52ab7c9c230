"""Groups judged apart: sizes and intervals always there, limits in each, too few rows never pass silently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake import metrics
from scorelake.decisions import Decision
from scorelake.training import card, subgroups, train
from scorelake.training.gate import Contender, Contest, judge
from scorelake.training.subgroups import NULL, OTHERS
from tests.training.made_up import dataset, model
from tests.training.test_gate import GOOD, LABEL, RUN_DATE

REGIONS = np.array(["north", "south", None] * 200, np.object_)
REGIONS[:5] = "west"
ENTITY = np.arange(600) // 2


def gates(floors: dict[str, Any], score: np.ndarray = GOOD, **more: Any) -> dict[str, Decision]:
    spec = model(subgroups={"by": ["region"], "require": floors, **more}, scoring={"cut": 0.4})
    contest = Contest(LABEL, Contender("4", score), entity=ENTITY, groups={"region": REGIONS})
    return {d.metric: d for d in judge(spec, contest, RUN_DATE)}


def test_each_value_is_judged_on_its_own_rows_with_entities_drawn_whole() -> None:
    spec = model(scoring={"cut": 0.4})
    found = subgroups.judged(spec, LABEL, GOOD, ENTITY, {"region": REGIONS}, cut=0.4)
    assert {group.value: group.rows for group in found} == {"north": 198, "south": 198, "west": 5, NULL: 199}
    [south] = [group for group in found if group.value == "south"]
    rows = REGIONS == "south"
    expected = metrics.intervals("binary", LABEL[rows], GOOD[rows], seed=7, rounds=100, groups=ENTITY[rows])
    assert south.estimates["auc"] == expected["auc"]
    chosen, positive = GOOD[rows] >= 0.4, LABEL[rows] == 1
    for name, value in (
        ("selection_rate", chosen.mean()),
        ("false_positive_rate", chosen[~positive].mean()),
        ("false_negative_rate", 1 - chosen[positive].mean()),
    ):
        estimate = south.estimates[name]
        assert estimate.value == pytest.approx(value)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= value <= estimate.high


def test_rates_of_one_class_alone_cannot_be_told() -> None:
    found = metrics.rates(np.zeros(4), np.array([True, False, False, False]), seed=1)
    assert found["false_negative_rate"].value is None
    assert (found["false_positive_rate"].value, found["selection_rate"].value) == (0.25, 0.25)
    assert metrics.rates(np.zeros(0), np.zeros(0, bool), seed=1)["selection_rate"].value is None


def test_rare_values_of_a_wide_column_are_judged_together() -> None:
    values = np.array([f"v{n % 30:02}" for n in range(600)], np.object_)
    found = subgroups.judged(model(), LABEL, GOOD, ENTITY, {"town": values})
    assert len(found) == subgroups.MOST_GROUPS + 1
    assert (found[-1].value, sum(group.rows for group in found)) == (OTHERS, 600)


def test_floor_in_every_group_is_a_gate() -> None:
    found = gates({"auc": {"min": 0.6}, "false_negative_rate": {"max": 0.5}}, min_rows=5, too_few="tell")
    assert found["region=south: auc min"].verdict == "pass"
    assert "on 198 rows (" in found["region=south: auc min"].reason
    upside_down = np.where(REGIONS == "south", 1 - GOOD, GOOD)
    found = gates({"auc": {"min": 0.6}}, upside_down, min_rows=50, too_few="tell")
    assert found["region=north: auc min"].verdict == "pass"
    assert found["region=south: auc min"].verdict == "fail"
    assert found["verdict"].reason == "failed: region=south: auc min"


def test_too_few_rows_are_insufficient_and_keep_from_promotion_unless_only_told() -> None:
    found = gates({"auc": {"min": 0.1}})
    assert found["region=west: auc min"].verdict == "insufficient"
    assert found["region=west: auc min"].reason == "5 rows, 100 are needed; not promoted for it"
    assert (found["verdict"].verdict, found["verdict"].reason) == ("refuse", "failed: region=west: auc min")
    found = gates({"auc": {"min": 0.1}}, too_few="tell")
    assert found["region=west: auc min"].reason == "5 rows, 100 are needed; told, not held against it"
    assert found["verdict"].verdict == "promote"


def test_group_that_cannot_tell_its_metric_is_insufficient() -> None:
    spec = model(subgroups={"by": ["label"], "require": {"auc": {"min": 0.1}}})
    values = np.where(LABEL == 1, "yes", "no").astype(np.object_)
    contest = Contest(LABEL, Contender("4", GOOD), entity=ENTITY, groups={"label": values})
    found = {d.metric: d for d in judge(spec, contest, RUN_DATE)}
    assert found["label=no: auc min"].verdict == "insufficient"
    assert found["label=no: auc min"].reason.startswith("cannot be told from")
    assert found["verdict"].verdict == "refuse"


def test_card_shows_sizes_and_marks_small_groups() -> None:
    spec = model(subgroups={"by": ["region"], "min_rows": 150})
    fitted = train.fit(spec, dataset(text=False))
    test = fitted.scored["test"]
    values = np.array(["<b>"] * 300 + ["b"] * 100, np.object_)
    fitted = replace(fitted, subgroups=subgroups.judged(spec, test.label, test.score, test.entity, {"region": values}))
    text = card.markdown(card.card(spec, fitted, facts={}))
    assert "| region | b | 100 INSUFFICIENT |" in text
    assert "<b>" not in card.html(card.card(spec, fitted, facts={}))


def test_unknown_metric_of_a_subgroup_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"subgroups.require: no metric f1; there are: auc.*false_negative_rate"):
        model(subgroups={"by": ["region"], "require": {"f1": {"min": 0.1}}})
    with pytest.raises(ValidationError, match="no metric selection_rate"):
        model("regression", subgroups={"by": ["region"], "require": {"selection_rate": {"min": 0.1}}})
