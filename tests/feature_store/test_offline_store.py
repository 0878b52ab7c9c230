"""Feast's own calls, answered by the engine: real FeatureStore, file registry, Delta tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.feature_store.conftest import at

if TYPE_CHECKING:
    from feast import FeatureStore
    from pyspark.sql import DataFrame, SparkSession

METER = ["meter_state:meter_kind", "meter_state:capacity", "meter_use:litres_7d", "meter_use:readings_7d"]


def spine(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    return spark.createDataFrame(list(rows), "site STRING, meter STRING, event_timestamp TIMESTAMP")


def rows_of(frame: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in frame.orderBy("site", "meter", "event_timestamp").select(*columns).collect()]


def test_composite_keys_are_compared_column_by_column(spark: SparkSession, store: FeatureStore) -> None:
    entities = spine(spark, ("a", "b|c", at("07")), ("a|b", "c", at("07")), ("a", "c", at("07")))
    answer = store.get_historical_features(entities, METER).to_spark_df()
    assert rows_of(answer, "site", "meter", "meter_kind", "litres_7d") == [
        ("a", "b|c", "piston", 35),
        ("a", "c", None, None),
        ("a|b", "c", "turbine", 2**53 + 1),
    ]
