"""Which of two values of one entity is the newer knowledge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from scorelake.feature_store.freshness import NEVER, Stamp, microseconds, stamp

EARLY, LATE = 1, 2


@pytest.mark.parametrize(
    ("new", "old", "wins"),
    [
        (Stamp(EARLY, EARLY, LATE), Stamp(LATE, LATE, EARLY), True),  # a correction may move a row back
        (Stamp(NEVER, NEVER, LATE), Stamp(LATE, LATE, EARLY), True),  # or delete it
        (Stamp(LATE, LATE, EARLY), Stamp(EARLY, EARLY, LATE), False),  # a backfill
        (Stamp(EARLY, EARLY, EARLY), Stamp(LATE, LATE, EARLY), True),  # the same instant again
        (Stamp(LATE, EARLY, NEVER), Stamp(EARLY, LATE, LATE), True),  # a push of a later row
        (Stamp(EARLY, LATE, NEVER), Stamp(LATE, EARLY, EARLY), False),  # a push of an older row
        (Stamp(EARLY, EARLY, LATE), Stamp(LATE, EARLY, NEVER), False),  # the drop does not hold the pushed row yet
        (Stamp(LATE, LATE, LATE), Stamp(LATE, EARLY, NEVER), True),  # now it does
        (Stamp(LATE, EARLY, NEVER), Stamp(LATE, EARLY, NEVER), True),  # a corrected push with equal stamps
        (Stamp(LATE, EARLY, NEVER), Stamp(LATE, LATE, NEVER), False),
        (Stamp(LATE, EARLY, NEVER), None, True),
    ],
)
def test_later_knowledge_wins_and_equals_replace(new: Stamp, old: Stamp | None, wins: bool) -> None:
    assert new.supersedes(old) is wins


def test_stamps_hold_microseconds_in_any_zone() -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))
    instant = datetime(2024, 3, 1, 5, 30, 0, 1, tzinfo=kolkata)
    assert microseconds(instant) == microseconds(datetime(2024, 3, 1, 0, 0, 0, 1))
    assert microseconds(instant + timedelta(microseconds=1)) == microseconds(instant) + 1
    assert microseconds(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == 253402300799999999
    assert stamp(None, None) == Stamp(NEVER, NEVER, NEVER)
