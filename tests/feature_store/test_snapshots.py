"""A key that a later snapshot lacks is deleted from then on, in features as in gold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.feature_store.selection import Selection, engine_view
from scorelake.features.asof import as_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

BRONZE = """
description: Members, the whole table every day.
source: {{kind: csv, path: "{{run_date}}.csv", delivery: {delivery}, starts: 2024-01-01, delivers: daily}}
columns: [member STRING, level STRING]
"""
SILVER = "description: Members.\ncolumns: [member STRING, level INT]\nkeys: {keys}\n"


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 1, day, hour, tzinfo=UTC)


# b is missing on the 2nd and back on the 3rd, c is gone from the 3rd on, nobody is there on the 4th, a is on the 5th
SNAPSHOTS = {1: {"a": 1, "b": 1, "c": 1}, 2: {"a": 2, "c": 2}, 3: {"a": 3, "b": 3}, 4: {}, 5: {"a": 5}}


@dataclass(frozen=True)
class Stored:
    rows: DataFrame

    def read(self, _: str) -> DataFrame:
        return self.rows

    def slices(self, _: str) -> set[date]:
        return {date(2024, 1, day) for day in SNAPSHOTS}


def levels(
    spark: SparkSession, conf: Path, delivery: str, keys: str = "[member]", **windows: Any
) -> dict[tuple[str, int], Any]:
    """(member, day) -> the answer at the end of that day."""
    from feast import Entity, FeatureView, Field, ValueType
    from feast.aggregation import Aggregation
    from feast.types import Int32, Int64, String

    from scorelake.feature_store.source import LakeSource

    for layer, text in (("bronze", BRONZE.format(delivery=delivery)), ("silver", SILVER.format(keys=keys))):
        (conf / "tables" / layer).mkdir(parents=True, exist_ok=True)
        (conf / "tables" / layer / "members.yaml").write_text(text)
    (conf / "tables/silver/members.sql").write_text("SELECT member, level FROM bronze.members")
    stored = [(k, v, at(d + 1), at(d).date()) for d, rows in SNAPSHOTS.items() for k, v in rows.items()]
    silver = spark.createDataFrame(stored, "member STRING, level INT, available_at TIMESTAMP, run_date DATE")
    silver.write.parquet(str(conf / "silver"))
    aggregations = [Aggregation(**windows, name="level")] if windows else []
    view = FeatureView(
        name="members",
        entities=[Entity(name="member", join_keys=["member"], value_type=ValueType.STRING)],
        schema=[Field(name="member", dtype=String), Field(name="level", dtype=Int64 if windows else Int32)],
        source=LakeSource(name="members", table="silver.members", aggregations=aggregations),
    )
    asked = engine_view(
        Selection(view, "members", ("level",)), Stored(spark.read.parquet(str(conf / "silver"))), conf_dir=str(conf)
    )
    spine = spark.createDataFrame(
        [(member, day, at(day + 1, 1)) for member in "abc" for day in SNAPSHOTS],
        "member STRING, day INT, event_timestamp TIMESTAMP",
    )
    return {(row[0], row[1]): row[-1] for row in as_of(spine, [asked]).collect()}


def test_a_key_that_is_missing_has_no_features_until_it_is_back(spark: SparkSession, tmp_path: Path) -> None:
    found = levels(spark, tmp_path, "snapshot")
    expected = {(member, day): SNAPSHOTS[day].get(member) for member in "abc" for day in SNAPSHOTS}
    assert found == expected


def test_a_key_that_is_missing_is_in_no_window(spark: SparkSession, tmp_path: Path) -> None:
    found = levels(spark, tmp_path, "snapshot", column="level", function="count", time_window=timedelta(days=9))
    assert found == {(member, day): int(member in SNAPSHOTS[day]) for member in "abc" for day in SNAPSHOTS}


@pytest.mark.parametrize("keys", ["[level]", "[]"], ids=["null keys", "no keys"])
def test_a_row_without_identity_counts_until_the_next_snapshot(
    spark: SparkSession, tmp_path: Path, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {day: dict.fromkeys(rows) for day, rows in SNAPSHOTS.items()}
    monkeypatch.setattr(f"{__name__}.SNAPSHOTS", unknown)
    found = levels(spark, tmp_path, "snapshot", keys, column="*", function="count", time_window=timedelta(days=9))
    assert found == {(member, day): int(member in unknown[day]) for member in "abc" for day in unknown}


@pytest.mark.parametrize("delivery", ["events", "changes"])
def test_elsewhere_a_key_that_is_not_delivered_again_stays(spark: SparkSession, tmp_path: Path, delivery: str) -> None:
    assert levels(spark, tmp_path, delivery)["c", 3] == 2
