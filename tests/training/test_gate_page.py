"""Gates of running the challenger, and the page that shows all gates."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake.models import Promotion, Task
from scorelake.training import gate_page
from scorelake.training.gate import Contender, Contest, judge
from scorelake.training.operation import Tried, gates
from tests.training.made_up import model
from tests.training.test_gate import FAIR, GOOD, LABEL, RUN_DATE

LIMITS = Promotion(smoke_rows=100, max_microseconds=10, max_score_psi=0.2, max_bytes=1000)
NIGHT = date(2026, 2, 28)
FINE: dict[str, Any] = {
    "size": 1000,
    "day": NIGHT,
    "rows": 100,
    "failures": 0,
    "microseconds": 10,
    "psi": 0.2,
    "has_champion": True,
}


def verdicts(limits: Promotion = LIMITS, **tried: Any) -> dict[str, str]:
    return {metric: verdict for metric, _, _, verdict, _ in gates(limits, Tried(**{**FINE, **tried}))}


def test_limits_of_running_it_are_inclusive_and_each_is_a_gate() -> None:
    assert verdicts() == {
        "bytes": "pass",
        "smoke failures": "pass",
        "cpu microseconds a row": "pass",
        "psi of scores against the champion's": "pass",
    }
    for beyond, metric in (
        ({"size": 1001}, "bytes"),
        ({"failures": 1}, "smoke failures"),
        ({"microseconds": 10.1}, "cpu microseconds a row"),
        ({"psi": 0.21}, "psi of scores against the champion's"),
        ({"psi": None}, "psi of scores against the champion's"),
        ({"psi": float("nan")}, "psi of scores against the champion's"),
        ({"microseconds": float("nan")}, "cpu microseconds a row"),
    ):
        assert [name for name, verdict in verdicts(**beyond).items() if verdict == "fail"] == [metric]


def test_without_features_nothing_is_passed_and_without_a_champion_there_is_nothing_to_drift_from() -> None:
    found = verdicts(day=None, rows=0, microseconds=None, psi=None)
    assert (found["smoke failures"], found["cpu microseconds a row"]) == ("fail", "fail")
    assert verdicts(has_champion=False, psi=None)["psi of scores against the champion's"] == "pass"
    assert verdicts(Promotion()) == {}
    with pytest.raises(ValidationError, match="set smoke_rows"):
        Promotion(max_score_psi=0.2)


def test_a_model_that_cannot_score_real_features_is_kept_out() -> None:
    tried = Tried(10, NIGHT, 100, 100, "ValueError", has_champion=True)
    contest = Contest(LABEL, Contender("4", GOOD), Contender("3", FAIR), tried=tried)
    found = {d.metric: d for d in judge(model(promotion={"smoke_rows": 100}), contest, RUN_DATE)}
    assert found["smoke failures"].reason.startswith("100 of 100 rows of the features of 2026-02-28 got no score (Val")
    assert (found["verdict"].verdict, found["verdict"].reason) == ("keep", "failed: smoke failures")


def page(task: Task = "binary", *, champion: bool = True) -> str:
    groups = {"region": np.array(["<i>north</i>", "south"] * 300, np.object_)}
    spec = model(task, subgroups={"by": ["region"]}, description="Who leaves & why", promotion={"smoke_rows": 5})
    wide = {"multiclass": lambda s: np.column_stack([1 - s, s]), "regression": lambda s: s, "binary": lambda s: s}[task]
    rival = Contender("3", wide(FAIR)) if champion else None
    tried = Tried(10, NIGHT, 5, has_champion=champion)
    contest = Contest(LABEL, Contender("4", wide(GOOD)), rival, np.arange(600) // 2, groups, tried)
    return gate_page.html(spec, contest, judge(spec, contest, RUN_DATE))


def test_page_shows_the_verdict_every_gate_and_both_side_by_side() -> None:
    text = page()
    HTMLParser().feed(text)
    assert "churn: version 4 against champion 3" in text
    assert "<strong>promote</strong>: passed 3 gates" in text
    assert "auc gain over champion 3" in text
    assert re.search(r"<td>auc</td><td class=\"number\">0\.9\d+ \(0\.\d+ to 0\.\d+\)</td>\n<td class", text)
    assert text.count("<polyline") == 6
    assert "region=&lt;i&gt;north&lt;/i&gt;" in text
    assert "Who leaves &amp; why" in text
    assert not re.search(r"(src|href)=", text), "the page must open without a network"


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_page_of_other_tasks_and_without_a_champion(task: Task) -> None:
    assert "log_loss" in page(task) or "rmse" in page(task)
    text = page(champion=False)
    assert "nobody is champion yet" in text
    assert text.count("<polyline") == 3
