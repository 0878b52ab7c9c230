"""What follows from measured nights, on rows written by hand."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from scorelake.scoring import summary

DUE = date(2024, 2, 1)


def night(day: int) -> date:
    return date(2024, 1, day)


def row(day: int = 1, role: str = "served", version: str = "3", **more: Any) -> dict[str, Any]:
    place = {"run_date": DUE, "score_date": night(day), "role": role, "model_version": version, "segment": "all"}
    return place | {"kind": "metric", "metric": "auc", "value": 0.8, "low": 0.7, "high": 0.9, "rows": 90} | more


def test_scores_are_immature_until_their_label_can_be_known() -> None:
    nights = {night(10): 5, night(11): 7, night(20): 11}
    # A label of night 10 is known at 11 January + 10 days = 21 January 00:00: on run date 20, not on 19.
    found = list(summary.immature([night(19), night(20), night(31)], nights, wait=timedelta(days=10)))
    assert [(told["value"], told["score_date"]) for told in found] == [
        (12.0, night(10)),
        (18.0, night(11)),
        (0.0, None),
    ]


def test_coverage_is_the_share_of_what_was_served() -> None:
    rows = [row(), row(role="champion", rows=80), row(segment="town=Ulm", rows=10)]
    [told] = summary.coverage(rows, {night(1): 100})
    assert (told["value"], told["rows"], told["metric"]) == (0.9, 90, "labelled_share")


def test_what_was_served_is_held_against_the_champion_of_its_night() -> None:
    rows = [row(version="3,4"), row(role="champion"), row(role="challenger", version="4"), row(kind="gain")]
    told = summary.with_references(rows, {"3": {"auc": 0.85}, "4": {"auc": 0.95}})
    assert [one.get("reference") for one in told] == [0.85, 0.85, 0.95, None]
    [headline] = summary.headlines(told, model="churn", metric="auc")
    assert (headline.subject, headline.trained, headline.estimate.rows) == ("churn/3", 0.85, 90)


def test_a_trend_looks_back_on_the_newest_nights_and_never_ahead() -> None:
    rows = [row(day, value=0.1 * day, run_date=night(day + 10)) for day in (4, 5)]
    earlier: dict[date, float | None] = {night(1): 9.0, night(2): 0.2, night(3): None}
    days = [night(14), night(15)]
    found = list(summary.trends(rows, earlier, days, metric="auc", nights=3))
    assert [(told["run_date"], told["rows"]) for told in found] == [(night(14), 3), (night(15), 3)]
    assert found[1]["value"] == pytest.approx(0.1)


def test_contributions_stand_beside_their_rank_at_training() -> None:
    rows = [row(kind="contribution", metric="age", rank=1), row(kind="contribution", metric="new", rank=2), row()]
    told = summary.with_ranks(rows, {"3": {"town": 0.4, "age": 0.1}})
    assert [one.get("rank_reference") for one in told] == [2, None, None]
