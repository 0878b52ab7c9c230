"""Run dates, instants and delivery schedules."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from scorelake.dates import RunDates, as_of, check_delivers, data_start, due_dates, parse_duration, render_duration
from scorelake.errors import UsageError

FRIDAY = date(2024, 3, 1)


def test_a_run_date_is_known_at_its_end() -> None:
    assert data_start(FRIDAY) == datetime(2024, 3, 1)
    assert as_of(FRIDAY) == datetime(2024, 3, 2)


def test_a_range_holds_both_ends() -> None:
    dates = RunDates(date(2024, 2, 28), FRIDAY)
    assert list(dates) == [date(2024, 2, 28), date(2024, 2, 29), FRIDAY]
    assert FRIDAY in dates
    assert date(2024, 3, 2) not in dates


def test_chunks_cover_a_range_in_order_without_overlap() -> None:
    dates = RunDates(date(2024, 1, 1), date(2024, 1, 5))
    assert [str(chunk) for chunk in dates.chunks(2)] == [
        "2024-01-01..2024-01-02",
        "2024-01-03..2024-01-04",
        "2024-01-05",
    ]
    assert list(dates.chunks(99)) == [dates]


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(UsageError, match="ends before it starts"):
        RunDates(FRIDAY, date(2024, 2, 1))


@pytest.mark.parametrize(
    ("delivers", "due"),
    [
        ("daily", [1, 2, 3, 4]),
        ("weekdays", [1, 4]),
        ("once", [1]),
        ("0 6 * * 1", [4]),
        ("0 0 * * 2", []),
        ("0 0 2 * *", [2]),
    ],
)
def test_a_drop_is_due_when_its_interval_holds_an_instant_of_the_schedule(delivers: str, due: list[int]) -> None:
    dates = RunDates(date(2024, 2, 28), date(2024, 3, 4))
    assert due_dates(dates, starts=FRIDAY, delivers=delivers) == [date(2024, 3, day) for day in due]


def test_a_schedule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="cron expression, found 'hourly'"):
        check_delivers("hourly")


@pytest.mark.parametrize("text", ["28 days", "1 day", "12 hours", "90 seconds", "5 minutes", "1 week", "0 days"])
def test_durations_survive_a_round_trip(text: str) -> None:
    length = parse_duration(text)
    assert parse_duration(render_duration(length)) == length


@pytest.mark.parametrize("text", ["1 month", "28", "-1 day", "1.5 days", ""])
def test_calendar_months_and_bare_numbers_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration such as"):
        parse_duration(text)


def test_a_duration_may_be_given_as_such() -> None:
    assert parse_duration(timedelta(hours=3)) == timedelta(hours=3)
