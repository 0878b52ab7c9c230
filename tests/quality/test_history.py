"""A slice is judged against the slices before it, as they stood when it was made."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from scorelake.quality import history
from scorelake.quality.verdicts import Verdict
from scorelake.tables import Freshness, Volume

FIRST = date(2024, 1, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def volume(**more: object) -> Volume:
    return Volume.model_validate({"action": "fail", **more})


def judged(limits: Volume, rows: int, *earlier: int) -> tuple[bool, str]:
    known = {day(number): count for number, count in enumerate(earlier)}
    result = history.volume_result(limits, day(len(earlier)), rows, known)
    return result.success, result.reason


@pytest.mark.parametrize(("rows", "is_usual"), [(49, False), (50, True), (200, True), (201, False)])
def test_rows_are_a_multiple_of_the_median_and_bounds_are_in(rows: int, is_usual: bool) -> None:
    success, reason = judged(volume(), rows, 10, 100, 5000)
    assert success is is_usual
    assert reason == f"{rows} rows, {rows / 100:.2f} of the median 100 of 3 earlier slices; expected 0.5 to 2.0"


def test_too_few_earlier_slices_are_told_and_not_judged() -> None:
    assert judged(volume(), 1, 100, 100) == (True, "1 rows; not judged: 2 earlier slices, 3 needed")


def test_only_the_newest_slices_and_the_same_weekday_are_looked_at() -> None:
    assert judged(volume(slices=3), 10, 1000, 10, 10, 10)[0]
    weekly = [7 if number % 7 == 0 else 700 for number in range(28)]
    assert not judged(volume(), 7, *weekly)[0]
    assert judged(volume(same_weekday=True), 7, *weekly)[0]


def test_rows_after_empty_slices_are_too_many_and_none_are_as_usual() -> None:
    assert not judged(volume(), 1, 0, 0, 0)[0]
    assert judged(volume(), 0, 0, 0, 0)[0]


def test_a_range_says_what_single_nights_would_have_said() -> None:
    rows = [100, 100, 100, 10, 100, 30]
    verdicts = [Verdict("silver.t", day(number), count, 0, ()) for number, count in enumerate(rows)]
    due = [day(number) for number in range(6) if number != 4]
    whole = history.with_volume(reversed(verdicts), volume(), {}, due)
    known: dict[date, int] = {}
    for verdict in verdicts:
        [single] = history.with_volume([verdict], volume(), known, due)
        assert single == whole[verdicts.index(verdict)]
        if verdict.run_date in due and not single.refused:
            known[verdict.run_date] = verdict.accepted
    assert [verdict.refused for verdict in whole] == [False, False, False, True, False, True]


def test_a_decision_names_gate_value_and_threshold() -> None:
    known = {day(number): 100 for number in range(3)}
    [verdict] = history.with_volume([Verdict("silver.t", day(3), 10, 0, ())], volume(), known, [day(3)])
    decision = verdict.decisions()[0]
    assert (decision.gate, decision.value, decision.threshold, decision.verdict) == ("volume", 0.1, 0.5, "fail")


@pytest.mark.parametrize(
    ("newest", "success"),
    [(datetime(2024, 1, 1), True), (datetime(2023, 12, 31, 23, 59, 59, 999999), False), (None, False)],
)
def test_the_newest_row_may_be_as_old_as_the_limit_and_no_older(newest: datetime | None, success: bool) -> None:
    freshness = Freshness.model_validate({"within": "1 day", "action": "warn"})
    verdict = Verdict("silver.t", FIRST, 5, 0, ())
    found = history.with_freshness(verdict, freshness, {} if newest is None else {FIRST: newest})
    [result] = found.results
    assert result.success is success
    assert result.gate == "freshness"
    assert not found.refused
