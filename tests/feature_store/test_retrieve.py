"""The path that jobs take gives what Feast's own call gives, and nothing that was not asked for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake.errors import ConfigError
from scorelake.feature_store import retrieve
from scorelake.feature_store.definitions import FeatureRepo
from scorelake.feature_store.engine import answers_as_of
from scorelake.feature_store.selection import Selection, engine_view
from scorelake.stores.lake import Lake
from tests.feature_store.conftest import at

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView
    from pyspark.sql import SparkSession


def test_jobs_and_feast_give_the_same_answer(
    spark: SparkSession, lake: Lake, store: FeatureStore, repo: FeatureRepo
) -> None:
    rows = [("a", "b|c", at("07")), ("a|b", "c", at("09")), ("a", "b|c", at("07")), (None, "c", at("09"))]
    spine = spark.createDataFrame(rows, "site STRING, meter STRING, event_timestamp TIMESTAMP")
    ours = retrieve.features(
        spine, repo.request("meters"), tables=lake, between=(at("07"), at("09")), audit=True
    ).toArrow()
    feasts = store.get_historical_features(spine, store.get_feature_service("meters")).to_arrow()
    asked = [name for _, name in repo.request("meters").asked]
    audits = ["meter_state__event_time", "meter_state__age", "tariff__event_time", "tariff__age"]
    assert ours.column_names == [*spine.columns, *asked, *audits]

    by = [("site", "ascending"), ("event_timestamp", "ascending")]
    assert (
        ours.select(feasts.column_names[: 3 + len(asked)])
        .sort_by(by)
        .equals(feasts.select(feasts.column_names[: 3 + len(asked)]).sort_by(by))
    )
    known = ours.filter([site == "a" for site in ours["site"].to_pylist()]).to_pylist()[0]
    assert (known["meter_state__event_time"], known["meter_state__age"]) == (at("05"), 2 * 86400.0)


def spark_source_view(path: Path, **changes: object) -> FeatureView:
    from feast import Entity, FeatureView, Field, ValueType
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.types import Float64, Int64

    source = SparkSource(
        name="stats",
        path=str(path),
        file_format="parquet",
        timestamp_field="happened",
        created_timestamp_column="created",
        field_mapping={"trips": "trip_count"},
    )
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    schema = [
        Field(name="trip_count", dtype=Int64),
        Field(name="rating", dtype=Float64),
        Field(name="driver_id", dtype=Int64),
    ]
    given = {"name": "stats", "entities": [driver], "ttl": timedelta(days=2), "schema": schema, "source": source}
    return FeatureView(**{**given, **changes})


def test_a_plain_spark_source_works_unchanged_and_late_rows_do_not_leak(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "stats"
    rows = [
        (1, at("01"), at("01"), 1, 0.5),
        (1, at("02"), at("02"), 2, None),
        (1, at("02"), at("05"), 3, 0.7),  # known on the 5th only
    ]
    spark.createDataFrame(
        rows, "driver_id BIGINT, happened TIMESTAMP, created TIMESTAMP, trips BIGINT, rating DOUBLE"
    ).write.parquet(str(path))
    view = spark_source_view(path)
    request = retrieve.Request(
        (("stats", "trip_count"), ("stats", "rating")), (Selection(view, "stats", ("trip_count", "rating")),)
    )
    instants = [at("01"), at("02"), at("04"), at("04 00:00:00.000001")]
    spine = spark.createDataFrame([(1, t) for t in instants], "driver_id INT, event_timestamp TIMESTAMP")
    found = retrieve.features(spine, request, tables=None)
    answers = [tuple(row) for row in found.orderBy("event_timestamp").select("trip_count", "rating").collect()]
    assert answers == [(1, 0.5), (2, None), (2, None), (None, None)]


def test_clocks_of_a_plain_source_may_have_any_name(spark: SparkSession, tmp_path: Path) -> None:
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    schema = "driver_id BIGINT, `it.happened` TIMESTAMP, `known, at last` TIMESTAMP, rating DOUBLE"
    rows = [(1, at("01"), at("02"), 0.5), (1, at("02"), at("05"), 0.7), (2, at("04"), at("05"), 0.9)]
    spark.createDataFrame(rows, schema).createOrReplaceTempView("oddly_named")
    clocks = {"timestamp_field": "it.happened", "created_timestamp_column": "known, at last"}
    view = spark_source_view(tmp_path, source=SparkSource(name="stats", table="oddly_named", **clocks), ttl=None)
    view.features = [feature for feature in view.features if feature.name == "rating"]
    engine = engine_view(Selection(view, "stats", ("rating",)), None)
    found = answers_as_of(engine, view, at("04")).select("driver_id", "rating").collect()
    assert [tuple(row) for row in found] == [(1, 0.5)]


def test_a_view_that_transforms_is_refused(lake: Lake, tmp_path: Path) -> None:
    view = spark_source_view(tmp_path)
    view.feature_transformation = object()
    with pytest.raises(ConfigError, match="feature view stats: transformations and aggregations of the view itself"):
        engine_view(Selection(view, "stats", ("rating",)), lake)


def test_another_kind_of_source_is_named(lake: Lake, tmp_path: Path) -> None:
    from feast import FileSource

    view = spark_source_view(tmp_path, source=FileSource(path="x.parquet", timestamp_field="happened"))
    with pytest.raises(ConfigError, match="stats: expected a LakeSource or a SparkSource, found FileSource"):
        engine_view(Selection(view, "stats", ("rating",)), lake)


def test_the_second_clock_can_be_switched_off_for_one_source(
    spark: SparkSession, lake: Lake, repo: FeatureRepo
) -> None:
    from feast import FeatureView

    from scorelake.feature_store.source import LakeSource

    known = repo.views["meter_state"]
    source = LakeSource(name="early", table="silver.water_meters", available_at=False)
    view = FeatureView(name="early", source=source, schema=[known.features[0]])
    view.entity_columns = known.entity_columns
    selection = Selection(view, "early", ("deposit",))
    rows = [("a", "b|c", at("05"))]
    spine = spark.createDataFrame(rows, "site STRING, meter STRING, event_timestamp TIMESTAMP")
    request = retrieve.Request((("early", "deposit"),), (selection,))
    found = retrieve.features(spine, request, tables=lake, conf_dir=str(repo.conf_dir))
    assert found.collect()[0]["deposit"] == Decimal("0.01")
