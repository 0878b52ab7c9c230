"""A proof looks at rare rows first: corrections, ties, instants at an edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobs._pit_sample import sampled
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = datetime(2024, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_half_of_a_sample_is_rare(spark: SparkSession) -> None:
    happened = [(who, who, T - 3.5 * DAY, T - 3 * DAY) for who in range(100)]
    happened += [
        (7, 7, T - 3.5 * DAY, T - 2 * DAY),  # row 7 again, corrected
        (501, 8, T - 3.5 * DAY, T - 3 * DAY),  # another of entity 8 at the same instant
        (502, 9, T - 2 * DAY, T - DAY),  # leaves the window of two days at t
        (503, 10, T, T),  # at t
        (504, 11, T - 2 * DAY - timedelta(microseconds=1), T - DAY),  # a microsecond beyond the edge
    ]
    schema = "id INT, `whó.` INT, at TIMESTAMP, available_at TIMESTAMP"
    view = View(
        name="v",
        rows=spark.createDataFrame(happened, schema),
        join_keys={"entity": "whó."},
        event_time="at",
        available_at="available_at",
        row_keys=("id",),
        windows=(Window("n", "count", length=2 * DAY),),
    )
    spine = spark.createDataFrame([(who, T) for who in range(100)], "entity INT, event_timestamp TIMESTAMP")
    rare = {7, 8, 9, 10}
    assert rare == {row["entity"] for row in sampled(spine, [view], ["entity"], 8)} & {*rare, 11}
    assert len(sampled(spine, [view], ["entity"], 8)) == 8
    assert len(sampled(spine, [view], ["entity"], 500)) == 100
