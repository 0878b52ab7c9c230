from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.errors import UsageError
from scorelake.features import history
from scorelake.features.asof import as_of
from scorelake.features.views import View, Window
from tests.features import worlds

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOON, DAY, MICRO = datetime(2024, 3, 10, 12), timedelta(days=1), timedelta(microseconds=1)


def test_a_row_owns_the_interval_in_which_it_wins(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON + DAY, "late"), (1, NOON - DAY, NOON - DAY, "old"), (1, NOON + DAY, NOON + DAY, "new")],
        "k int, e timestamp, a timestamp, v string",
    )
    view = View("v", rows, {"key": "k"}, "e", "a", lookups={"v": "v"}, ttl=DAY)
    stored = history.intervals(view)
    assert stored.columns == ["key", "valid_from", "valid_to", "source_event_time", "v"]
    assert sorted(tuple(row) for row in stored.drop("source_event_time").collect()) == [
        (1, NOON - DAY, NOON + DAY, "old"),
        (1, NOON + DAY, None, "new"),
    ]


def test_a_row_may_win_again_after_a_delete(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, 10, NOON, NOON, False), (1, 20, NOON + DAY, NOON + DAY, False), (1, 20, NOON + DAY, NOON + 2 * DAY, True)],
        "k int, r int, e timestamp, a timestamp, dead boolean",
    )
    view = View("v", rows, {"k": "k"}, "e", "a", row_keys=("k", "r"), deleted="dead", lookups={"r": "r"})
    found = sorted((row.valid_from, row.valid_to, row.r) for row in history.intervals(view).collect())[:3]
    assert [(begin, row) for begin, _, row in found] == [(NOON, 10), (NOON + DAY, 20), (NOON + 2 * DAY, 10)]


def test_reading_intervals_equals_the_answer_on_the_fly(spark: SparkSession) -> None:
    rows, spine = worlds.frames(spark, worlds.build(3, 200))
    keys = {"world": "world", "k": "k"}
    clocks: dict[str, Any] = {"event_time": "e", "available_at": "a", "row_keys": ("world", "rid"), "deleted": "dead"}
    for ttl, join_keys in ((None, keys), (worlds.TTL, keys), (worlds.TTL, {})):
        view = View("v", rows, join_keys, **clocks, ttl=ttl, lookups={"x": "x", "st": "st"}, prefix="p_")
        table = history.intervals(view).persist()
        direct = as_of(spine, [view], audit=True)
        expected = sorted(map(repr, direct.collect()))
        for questions in (None, spine):
            stored = history.as_of_intervals(spine, view, table, audit=True, questions=questions)
            assert stored.columns == direct.columns
            assert stored.dtypes == direct.dtypes
            assert sorted(map(repr, stored.collect())) == expected
        table.unpersist()


@pytest.mark.parametrize("is_few", [False, True])
def test_intervals_that_no_instant_meets_are_left_out(spark: SparkSession, is_few: bool) -> None:
    days = [NOON + n * DAY for n in range(5)]
    rows = spark.createDataFrame(
        [(1, at, at, n) for n, at in enumerate(days)], "k int, e timestamp, a timestamp, v int"
    )
    view = View("v", rows, {"k": "k"}, "e", "a", lookups={"v": "v"})
    table = history.intervals(view)
    asked = [days[1] - MICRO, days[1], days[3] - MICRO, days[3], None]
    spine = spark.createDataFrame([(1, at) for at in asked], "k int, event_timestamp timestamp")
    questions = spine if is_few else None
    between = (days[1] - MICRO, days[3])
    found = history.as_of_intervals(spine, view, table, between=between, questions=questions)
    assert sorted(found.select("v").collect(), key=repr) == [(0,), (1,), (2,), (3,), (None,)]
    for first, last in ((days[1], days[3]), (days[1] - MICRO, days[3] - MICRO)):
        with pytest.raises(Exception, match="outside `between`"):
            history.as_of_intervals(spine, view, table, between=(first, last), questions=questions).collect()


def test_windows_have_no_intervals(spark: SparkSession) -> None:
    rows = spark.createDataFrame([], "k int, e timestamp, a timestamp")
    with pytest.raises(UsageError, match="windows have no intervals"):
        history.intervals(View("v", rows, {"k": "k"}, "e", "a", windows=(Window("n", "count"),)))
