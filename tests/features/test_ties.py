"""Rows that a declared order leaves equal: the other columns decide, and what is left is the same either way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from scorelake.features import history, oracle
from scorelake.features.asof import as_of
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NOON, DAY = datetime(2024, 3, 10, 12), timedelta(days=1)
ROWS = "k int, r int, e timestamp, a timestamp, n int, x double, m map<string,int>, v int, dead boolean"
VARIANTS = [  # k, r, n, x, m, v, dead: all of one instant and one availability
    (1, 1, 5, 0.0, {"p": 1, "q": 2}, 1, False),
    (1, 1, 5, -0.0, {"p": 1, "q": 3}, 1, False),
    (1, 2, 5, float("nan"), {"p": 9}, 2, False),
    (1, 2, 5, float("nan"), {"q": 1}, 2, True),
    (2, 2, 5, float("nan"), {"q": 1}, 2, False),
    (1, 3, 5, None, None, 3, None),
    (1, 3, 5, None, None, 4, None),
    (2, 4, None, 1.0, {"q": 1, "p": 1}, 5, False),
    (2, 4, None, 1.0, {"p": 1, "q": 1}, 5, True),
]


VERSIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "moving": {"row_keys": ("r",), "deleted": "dead"},
    "staying": {"row_keys": ("k", "r")},
}


def _views(rows: DataFrame) -> list[View]:
    views = []
    for name, version in VERSIONS.items():
        shared: dict[str, Any] = {"event_time": "e", "available_at": "a", "order": ("n",), **version}
        windows = (Window("first", "first", "v"), Window("last", "last", "v"), Window("count", "count", "v"))
        views += [
            View(f"{name}_narrow", rows, {"k": "k"}, **shared, lookups={"v": "v"}, prefix=f"{name}_n_"),
            View(f"{name}_wide", rows, {"k": "k"}, **shared, lookups={"x": "x", "m": "m"}, prefix=f"{name}_w_"),
            View(f"{name}_windows", rows, {"k": "k"}, **shared, windows=windows, prefix=f"{name}_s_"),
        ]
    return views


def test_a_partial_order_leaves_nothing_to_chance(spark: SparkSession) -> None:
    made = [(k, r, NOON, NOON, *rest) for k, r, *rest in VARIANTS]
    spine = spark.createDataFrame([(k, NOON + DAY) for k in (1, 2)], "k int, event_timestamp timestamp")
    found = set()
    for partitions, order in ((1, made), (2, made[::-1]), (7, made[3:] + made[:3])):
        views = _views(spark.createDataFrame(order, ROWS).repartition(partitions))
        together = sorted(as_of(spine, views, partitions=partitions).collect(), key=lambda row: row["k"])
        found.add(repr(together))
    assert len(found) == 1
    source = [dict(zip(("k", "r", "e", "a", "n", "x", "m", "v", "dead"), row, strict=True)) for row in made]
    for view in views:
        for row in together:
            truth = oracle.answers(oracle.Rules.of(view), row.asDict(), source)
            assert {name: row[name] for name, true in truth.items() if not true.agrees(row[name])} == {}
    for view in views[3:5]:  # whatever else is asked in the same call, and by way of intervals
        stored = history.as_of_intervals(spine, view, history.intervals(view, partitions=2))
        for some in (as_of(spine, [view], partitions=2), stored):
            expected = {repr([row[name] for name in ("k", *view.features)]) for row in together}
            assert {repr(list(row)) for row in some.drop("event_timestamp").collect()} == expected


def test_of_equal_versions_the_one_that_deletes_counts(spark: SparkSession) -> None:
    spine = spark.createDataFrame([(1, NOON)], "k int, event_timestamp timestamp")
    for order in ((True, False), (False, True), (None, True)):
        rows = spark.createDataFrame(
            [(1, dead, NOON, NOON, 7) for dead in order], "k int, dead boolean, e timestamp, a timestamp, v int"
        ).coalesce(1)
        versions: dict[str, Any] = {"row_keys": ("k",), "order": ("v",), "deleted": "dead"}
        view = View("v", rows, {"k": "k"}, "e", "a", **versions, lookups={"v": "v"})
        assert [row["v"] for row in as_of(spine, [view]).collect()] == [None]
