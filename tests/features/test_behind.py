"""The rows behind an entity's features are those that the engine counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from scorelake.features.asof import as_of
from scorelake.features.behind import COUNTS_FOR, behind
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = datetime(2024, 3, 11)
DAY = timedelta(days=1)
ROWS = [
    # who, id, event time, available, value, deleted
    ("anna", 1, T - 10 * DAY, T - 9 * DAY, 1.0, False),  # at the very edge of ten days: in
    ("anna", 2, T - 10 * DAY - timedelta(microseconds=1), T - 9 * DAY, 2.0, False),
    ("anna", 3, T, T, 3.0, False),  # at t: on the label's side of a window, but a lookup sees it
    ("anna", 4, T - 3 * DAY, T - 2 * DAY, 4.0, False),
    ("bert", 4, T - 3 * DAY, T - DAY, 4.5, False),  # moved to bert before t
    ("anna", 5, T - 2 * DAY, T - DAY, 5.0, False),
    ("anna", 5, T - 2 * DAY, T + DAY, 50.0, False),  # corrected too late
    ("anna", 6, T - 2 * DAY, T - DAY, 6.0, False),
    ("anna", 6, T - 2 * DAY, T, 6.0, True),
    ("anna", None, T - DAY, T, 7.0, False),
    ("anna", None, T - DAY, T, 7.0, False),  # without an identity, every row is its own
    ("anna", 8, None, T - DAY, 8.0, False),
]


def views(spark: SparkSession) -> tuple[View, View]:
    rows = spark.createDataFrame(ROWS, "who string, id int, at timestamp, known timestamp, v double, gone boolean")
    rows = rows.withColumn("more", F.expr("map('id', id)"))  # maps have no order of their own
    ten, ever = Window("ten", "count", length=10 * DAY), Window("ever", "count")
    of_windows = View(
        "w", rows, {"person": "who"}, "at", "known", row_keys=("id",), deleted="gone", windows=(ten, ever)
    )
    of_lookups = View(
        "l", rows, {"person": "who"}, "at", "known", row_keys=("id",), deleted="gone", lookups={"last": "v"}
    )
    return of_windows, of_lookups


def test_rows_behind_windows_are_as_many_as_the_engine_counts(spark: SparkSession) -> None:
    of_windows, _ = views(spark)
    spine = spark.createDataFrame([("anna", T)], "person string, event_timestamp timestamp")
    answer = as_of(spine, [of_windows]).collect()[0]
    shown = behind(of_windows, {"person": "anna"}, T).select("v", COUNTS_FOR).collect()
    assert [(row["v"], row[COUNTS_FOR]) for row in shown] == [
        (7.0, ["ten", "ever"]),
        (7.0, ["ten", "ever"]),
        (5.0, ["ten", "ever"]),
        (1.0, ["ten", "ever"]),
        (2.0, ["ever"]),
    ]
    assert (answer["ten"], answer["ever"]) == (4, 5)


def test_one_row_is_behind_a_lookup_and_has_its_value(spark: SparkSession) -> None:
    _, of_lookups = views(spark)
    spine = spark.createDataFrame([("anna", T)], "person string, event_timestamp timestamp")
    [row] = behind(of_lookups, {"person": "anna"}, T).collect()
    assert (row["v"], row[COUNTS_FOR]) == (as_of(spine, [of_lookups]).collect()[0]["last"], ["last"]) == (3.0, ["last"])
    assert behind(of_lookups, {"person": "nobody"}, T).where(F.lit(True)).isEmpty()
