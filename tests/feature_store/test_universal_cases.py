"""Cases of Feast's own tests of offline stores, where its semantics and ours agree; README names the differences.

Written anew over plain tables, from what sdk/python/tests/integration/offline_store of feast-dev/feast asks of a store.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.feature_store import retrieve
from scorelake.feature_store.selection import Selection
from tests.feature_store.conftest import at

if TYPE_CHECKING:
    from pathlib import Path

    from feast import FeatureView
    from pyspark.sql import SparkSession

STATS = "driver_id BIGINT, event_timestamp TIMESTAMP, created TIMESTAMP, trips BIGINT, rating DOUBLE"
ROWS = [
    (1, at("01 10:00"), at("01 11:00"), 10, 0.1),
    (1, at("02 10:00"), at("02 11:00"), 20, 0.2),
    (1, at("02 10:00"), at("02 12:00"), 21, 0.3),  # a backfill of the same event
    (2, at("01 10:00"), at("01 10:00"), 7, None),
]


@pytest.fixture(scope="module")
def path(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("universal") / "stats"
    spark.createDataFrame(ROWS, STATS).write.parquet(str(path))
    return path


def stats(path: Path, **changes: Any) -> FeatureView:
    from feast import Entity, FeatureView, Field, ValueType
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.types import Float64, Int64

    clocks = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created"}
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    given: dict[str, Any] = {
        "name": "stats",
        "entities": [driver],
        "schema": [
            Field(name="trips", dtype=Int64),
            Field(name="rating", dtype=Float64),
            Field(name="driver_id", dtype=Int64),
        ],
        "source": SparkSource(name="stats", path=str(path), file_format="parquet", **clocks),
    }
    return FeatureView(**{**given, **changes})


def answered(spark: SparkSession, selections: list[Selection], spine: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Answers in the order of the spine's rows."""
    rows = [(number, *row) for number, row in enumerate(spine)]
    frame = spark.createDataFrame(rows, "n INT, driver_id BIGINT, event_timestamp TIMESTAMP")
    asked = tuple((selection.alias, name) for selection in selections for name in selection.features)
    found = retrieve.features(frame, retrieve.Request(asked, tuple(selections)), tables=None, full_feature_names=True)
    return [tuple(row)[3:] for row in found.orderBy("n").collect()]


def test_without_a_ttl_the_oldest_row_still_counts(spark: SparkSession, path: Path) -> None:
    spine = [(1, at("31 23:59")), (2, at("31 23:59"))]
    for ttl in (None, timedelta(0)):
        found = answered(spark, [Selection(stats(path, ttl=ttl), "stats", ("trips",))], spine)
        assert found == [(21,), (7,)]


def test_of_backfilled_rows_the_one_created_last_wins(spark: SparkSession, path: Path) -> None:
    selection = Selection(stats(path), "stats", ("trips", "rating"))
    assert answered(spark, [selection], [(1, at("02 13:00"))]) == [(21, 0.3)]


def test_a_row_that_is_created_after_the_instant_is_unseen(spark: SparkSession, path: Path) -> None:
    selection = Selection(stats(path), "stats", ("trips",))
    instants = [at("02 10:59"), at("02 11:00"), at("02 11:59"), at("02 12:00")]
    assert answered(spark, [selection], [(1, t) for t in instants]) == [(10,), (20,), (20,), (21,)]


def test_an_entity_that_nobody_knows_has_nulls(spark: SparkSession, path: Path) -> None:
    selection = Selection(stats(path), "stats", ("trips", "rating"))
    assert answered(spark, [selection], [(99, at("05")), (1, at("05"))]) == [(None, None), (21, 0.3)]


def test_views_may_share_a_source_with_features_and_ttls_of_their_own(spark: SparkSession, path: Path) -> None:
    short = stats(path, name="fresh", ttl=timedelta(days=1))
    selections = [
        Selection(stats(path), "stats", ("trips",)),
        Selection(short, "fresh", ("rating", "trips")),
    ]
    found = answered(spark, selections, [(1, at("03 10:00")), (1, at("03 10:00:00.000001"))])
    assert found == [(21, 0.3, 21), (21, None, None)]


def test_rows_of_the_entity_frame_may_repeat_and_come_in_any_order(spark: SparkSession, path: Path) -> None:
    selection = Selection(stats(path), "stats", ("trips",))
    spine = [(2, at("05")), (1, at("02 11:30")), (2, at("05")), (1, at("01 10:30")), (1, at("02 11:30"))]
    assert answered(spark, [selection], spine) == [(7,), (20,), (7,), (None,), (20,)]


def test_one_view_may_be_asked_twice_by_other_keys(spark: SparkSession, path: Path) -> None:
    rows = [(1, 2, at("05")), (2, 1, at("05")), (1, None, at("05"))]
    frame = spark.createDataFrame(rows, "origin BIGINT, target BIGINT, event_timestamp TIMESTAMP")
    selections = tuple(Selection(stats(path), name, ("trips",), {"driver_id": name}) for name in ("origin", "target"))
    request = retrieve.Request((("origin", "trips"), ("target", "trips")), selections)
    found = retrieve.features(frame, request, tables=None, full_feature_names=True)
    answers = {(row["origin"], row["target"]): (row["origin__trips"], row["target__trips"]) for row in found.collect()}
    assert answers == {(1, 2): (21, 7), (2, 1): (7, 21), (1, None): (21, None)}
