"""The brute force itself, against answers written by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from scorelake.features.oracle import Answer, Rules, answers

NOON, DAY = datetime(2024, 3, 10, 12), timedelta(days=1)


def _row(
    e: datetime | None, a: datetime | None, v: Any, r: int = 0, k: str = "x", tie: int | None = 0
) -> dict[str, Any]:
    return {"k": k, "e": e, "a": a, "v": v, "r": r, "tie": tie}


def _lookup(rows: list[dict[str, Any]], t: datetime, **changes: Any) -> Any:
    rules = Rules({"k": "k"}, "e", "a", **{"order": ("tie",), "lookups": {"v": "v"}, **changes})
    return answers(rules, {"k": "x", "event_timestamp": t}, rows)["v"].value


def _window(rows: list[dict[str, Any]], function: str, t: datetime = NOON, length: timedelta | None = None) -> Any:
    rules = Rules({"k": "k"}, "e", "a", order=("tie",), windows=[("f", function, "v", length)])
    return answers(rules, {"k": "x", "event_timestamp": t}, rows)["f"].value


def test_the_latest_visible_event_wins() -> None:
    rows = [_row(NOON - DAY, NOON - DAY, "old"), _row(NOON, NOON + DAY, "late")]
    assert [_lookup(rows, t) for t in (NOON - 2 * DAY, NOON, NOON + DAY)] == [None, "old", "late"]


def test_a_version_hides_the_one_before_even_when_it_moves_away() -> None:
    rows = [_row(NOON, NOON, "first", r=1), _row(NOON, NOON + DAY, "moved", r=1, k="y")]
    assert [_lookup(rows, t, row_keys=("r",)) for t in (NOON, NOON + DAY)] == ["first", None]


def test_a_null_in_the_row_keys_makes_a_row_its_own() -> None:
    rows = [{**_row(NOON, NOON, "one"), "r": None}, {**_row(NOON - DAY, NOON + DAY, "two"), "r": None}]
    assert _lookup(rows, NOON + DAY, row_keys=("r",)) == "one"


def test_ties_go_by_availability_and_then_by_the_declared_column() -> None:
    rows = [_row(NOON, NOON, "b", tie=2), _row(NOON, NOON + DAY, "a", tie=None), _row(NOON, NOON, "c", tie=1)]
    assert [_lookup(rows, t) for t in (NOON, NOON + DAY)] == ["b", "a"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("sum", 6),
        ("mean", 2.0),
        ("count", 3),
        ("min", 1),
        ("max", 3),
        ("first", 3),
        ("last", 1),
        ("count_distinct", 3),
        ("variance", 1.0),
        ("age", 3600.0),
    ],
)
def test_functions_of_a_window(function: str, expected: Any) -> None:
    hour = timedelta(hours=1)
    rows = [_row(NOON - i * hour, NOON - i * hour, v) for i, v in ((0, 9), (1, 1), (2, 2), (3, None), (24, 3), (25, 7))]
    assert _window(rows, function, length=DAY) == expected


def test_a_mean_of_decimals_is_rounded_once_half_up() -> None:
    rows = [_row(NOON - DAY, NOON - DAY, Decimal(v)) for v in ("0.01", "0.02", "0.02")]
    assert _window(rows, "mean") == Decimal("0.016667")


def test_an_answer_agrees_within_its_tolerance_and_only_with_its_own_type() -> None:
    assert Answer(1.0, tolerance=1e-9).agrees(1.0 + 1e-10)
    assert not Answer(1.0, tolerance=1e-9).agrees(1.0 + 1e-8)
    assert not Answer(1).agrees(1.0)
    assert not Answer(None).agrees(0)
