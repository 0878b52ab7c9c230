"""In a catalog the current night of a model has a name of its own."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from scorelake.settings import LakeSettings
from scorelake.stores import score_view
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODEL = "viewed"


def test_the_current_view_shows_what_is_served_on_the_newest_night(spark: SparkSession) -> None:
    lake = Lake(spark, LakeSettings(catalog="spark_catalog"))
    first, second = date(2024, 1, 1), date(2024, 1, 2)
    for night in (first, second):
        rows = [("a", night, "champion", True), ("a", night, "challenger", False), ("b", night, "champion", True)]
        frame = spark.createDataFrame(rows, "k string, score_date date, role string, served boolean")
        lake.create(f"scores.{MODEL}", columns_of(frame), partitioned_by=["score_date"])
        lake.replace_slices(frame, f"scores.{MODEL}", Mark("run", "score_batch", (night,)), column="score_date")
        score_view.refresh(lake, MODEL)
        found = spark.sql(f"SELECT * FROM scores.{MODEL}_current").collect()
        assert sorted((row["k"], row["score_date"], row["role"]) for row in found) == [
            ("a", night, "champion"),
            ("b", night, "champion"),
        ]
