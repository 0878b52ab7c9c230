"""Brute force finds every kind of wrong feature, and nothing wrong in right ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs import _pit_sample
from jobs.verify_pit import _differences, _source_rows
from scorelake.features.asof import as_of
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = datetime(2024, 5, 1, tzinfo=UTC)
DAY, MICRO = timedelta(days=1), timedelta(microseconds=1)
SCHEMA = "id INT, `the.key` STRING, at TIMESTAMP, known TIMESTAMP, tie INT, v INT, gone BOOLEAN"
ROWS = [
    (1, "tied", T - DAY, T, 2, 20, False),
    (2, "tied", T - DAY, T, 1, 30, False),
    (3, "later", T - DAY, T, 1, 10, False),
    (4, "later", T - MICRO, T + MICRO, 1, 40, False),  # not known at t
    (5, "later", T + MICRO, T, 1, 50, False),  # has not happened at t
    (6, "mended", T - DAY, T - DAY, 1, 10, False),
    (6, "mended", T - DAY, T, 1, 60, False),
    (6, "mended", T - DAY, T + DAY, 1, 70, False),
    (7, "old", T - 3 * DAY - MICRO, T - DAY, 1, 10, False),  # beyond ttl and window
    (8, "moved", T - DAY, T - DAY, 1, 80, False),
    (8, "elsewhere", T - DAY, T, 1, 80, False),
    (9, "deleted", T - DAY, T - DAY, 1, 90, False),
    (9, "deleted", T - DAY, T, 1, 90, True),
    (10, "edges", T - 3 * DAY, T - DAY, 1, 5, False),  # the first instant of the window
    (11, "edges", T, T, 1, 7, False),  # at its end: in no window, but the latest value
]
WRONG = {
    "the value itself": ("tied", "v", 21),
    "another row of equal stamps": ("tied", "v", 30),
    "a row that was not yet known": ("later", "v", 40),
    "a row that had not yet happened": ("later", "v", 50),
    "an earlier version": ("mended", "v", 10),
    "a later version": ("mended", "v", 70),
    "a row older than the ttl": ("old", "v", 10),
    "a row that has moved away": ("moved", "v", 80),
    "a row that was deleted": ("deleted", "v", 90),
    "no row where there is one": ("edges", "v", None),
    "a row in reach counted twice": ("tied", "n", 3),
    "a row at the first instant of the window left out": ("edges", "n", 0),
    "a row at the end of the window counted": ("edges", "n", 2),
    "a row before the window counted": ("old", "n", 1),
    "every version counted": ("mended", "n", 2),
    "nothing instead of no row": ("old", "n", None),
    "a total of what was not yet known": ("later", "s", 50),
    "null for a total": ("edges", "s", None),
    "a total with a wrong addend": ("tied", "s", 49),
}


def test_every_kind_of_fault_is_found_and_no_other(spark: SparkSession) -> None:
    rows = spark.createDataFrame(ROWS, SCHEMA)
    shared: dict[str, Any] = {
        "rows": rows,
        "join_keys": {"key": "the.key"},
        "event_time": "at",
        "available_at": "known",
        "row_keys": ("id",),
        "order": ("tie",),
        "deleted": "gone",
    }
    total = (Window("n", "count", length=3 * DAY), Window("s", "sum", "v", 3 * DAY))
    views = [
        View("value", **shared, ttl=3 * DAY, lookups={"v": "v"}),
        View("window", **shared, windows=total),
    ]
    spine = spark.createDataFrame([(key, T) for key in sorted({row[1] for row in ROWS})], "key STRING, t TIMESTAMP")
    answers = as_of(spine.withColumnRenamed("t", "event_timestamp"), views)
    right = [row.asDict() for row in answers.collect()]
    sources = {view.name: _source_rows(view, answers) for view in views}

    def found(row: dict[str, Any]) -> list[str]:
        return [
            message
            for view in views
            for message in _differences(view, row, sources[view.name], {n: n for n in view.features}, frozenset())
        ]

    assert [message for row in right for message in found(row)] == []
    for fault, (key, name, value) in WRONG.items():
        (row,) = (row for row in right if row["key"] == key)
        assert row[name] != value, fault
        (message,) = found(row | {name: value})
        assert f".{name} of ('{key}',)" in message, fault


def test_keys_may_be_arrays_and_structs(spark: SparkSession) -> None:
    rows = [([1, 2], {"n": 1}, T - DAY, T - DAY, 5), ([1, 2], {"n": 1}, T - DAY, T, 6), ([3], {"n": 2}, T, T, 7)]
    view = View(
        "value",
        rows=spark.createDataFrame(rows, "who ARRAY<INT>, id STRUCT<n: INT>, at TIMESTAMP, known TIMESTAMP, v INT"),
        join_keys={"who": "who"},
        event_time="at",
        available_at="known",
        row_keys=("id",),
        lookups={"v": "v"},
    )
    spine = spark.createDataFrame([([1, 2], T), ([3], T)], "who ARRAY<INT>, event_timestamp TIMESTAMP")
    answers = as_of(spine, [view])
    chosen = _pit_sample.sampled(answers, [view], ["who"], 2)
    sources = _source_rows(view, answers)
    assert len(chosen) == 2
    for row in chosen:
        assert row["v"] == (6 if row["who"] == [1, 2] else 7)
        assert not list(_differences(view, row.asDict(), sources, {"v": "v"}, frozenset()))
        assert list(_differences(view, row.asDict() | {"v": 5}, sources, {"v": "v"}, frozenset()))
