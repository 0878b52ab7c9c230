"""The same lookups through Feast's own Spark offline store, both clocks on, in the session of the benchmark."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.benchmarks import history

if TYPE_CHECKING:
    from pathlib import Path

    from feast import FeatureStore
    from pyspark.sql import DataFrame, SparkSession

    from tests.benchmarks.history import Tables


def store(folder: Path, tables: Tables) -> FeatureStore:
    """A feature store with one view over the events, its registry in `folder`."""
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.types import Float64, Int64
    from feast.value_type import ValueType

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "spark"},
        online_store=None,
        entity_key_serialization_version=3,
    )
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    types = {name: Int64 if name in history.VALUES[4:6] else Float64 for name in history.VALUES}
    view = FeatureView(
        name="events",
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=kind) for name, kind in types.items()],
        source=SparkSource(
            name="events",
            path=str(tables.events),
            file_format="parquet",
            timestamp_field="event_time",
            created_timestamp_column="available_at",
        ),
    )
    found = FeatureStore(config=config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.apply([entity, view])
    return found


def lookup(feast: FeatureStore, spark: SparkSession, tables: Tables) -> DataFrame:
    """Feast's answer: the labels' columns, then the values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = feast.get_historical_features(
            entity_df=spark.read.parquet(str(tables.labels)),
            features=[f"events:{name}" for name in history.VALUES],
            filter_by_created_timestamp=True,
        )
        answer: DataFrame = job.to_spark_df()
    return answer.select("label_id", "entity", "event_timestamp", *history.VALUES)
