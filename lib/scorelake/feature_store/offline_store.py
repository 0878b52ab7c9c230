"""Feast's offline store over the lake: historical features through the engine, kept in Spark to the end.

offline_store:
    type: scorelake.feature_store.offline_store.LakeOfflineStore
    conf_dir: ${SCORELAKE_CONF_DIR}
    lake_root: ${SCORELAKE_LAKE_ROOT}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import FeastConfigBaseModel

from scorelake.errors import UsageError
from scorelake.feature_store import entity_frames, histories
from scorelake.feature_store.on_demand import OnDemand
from scorelake.feature_store.retrieval_job import LakeRetrievalJob
from scorelake.feature_store.retrieve import EVENT_TIMESTAMP, Request, features
from scorelake.feature_store.selection import Selection, alias_of
from scorelake.feature_store.sessions import spark_session
from scorelake.settings import LakeSettings
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.data_source import DataSource
    from feast.feature_view import FeatureView
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.repo_config import RepoConfig
    from pyspark.sql import DataFrame

    from scorelake.stores.lake import Lake


class LakeOfflineStoreConfig(FeastConfigBaseModel):
    """Where contracts and tables are. `audit` adds event time and age of each view's source row to every answer."""

    type: str = "scorelake.feature_store.offline_store.LakeOfflineStore"
    conf_dir: str | None = None
    lake_root: str = ""
    lake_catalog: str | None = None
    read_root: str | None = None
    read_catalog: str | None = None
    audit: bool = False


class LakeOfflineStore(OfflineStore):
    """Answers are exact by the semantics of point-in-time lookups and windows; the second clock is always on.

    Switching it off is a decision about one source (`LakeSource(available_at=False)`), not about one call.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | DataFrame | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> LakeRetrievalJob:
        """A job over every row of `entity_df` (pandas, SQL or a Spark frame) and the features as of its timestamp.

        Without `entity_df`: every entity with a row in [start_date, end_date), as of end_date. Inputs of on-demand
        views that Feast adds to `feature_refs` are part of the answer, as in its other stores.
        """
        from feast.on_demand_feature_view import OnDemandFeatureView

        spark, options = spark_session(), _options(config)
        on_demand_views = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        request = _request(feature_refs, feature_views, on_demand_views)
        lake = lake_of(config)
        if entity_df is None:
            spine = entity_frames.of_period(
                request, lake, kwargs.get("start_date"), kwargs.get("end_date"), conf_dir=options.conf_dir
            )
        else:
            spine = entity_frames.of_frame(spark, entity_df, request)
        timestamp = entity_frames.timestamp_of(spine)
        answer = features(
            spine,
            request,
            tables=lake,
            timestamp=timestamp,
            full_feature_names=full_feature_names,
            audit=options.audit,
            rows=entity_frames.rows_of(entity_df),
            conf_dir=options.conf_dir,
            stored=histories.reader(lake, options.conf_dir),
        )
        keys = [column for column in spine.columns if column != timestamp]
        return LakeRetrievalJob(
            answer, spine=spine, timestamp=timestamp, features=feature_refs, keys=keys, full_names=full_feature_names
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> LakeRetrievalJob:
        """Rows as they are stored, with `timestamp_field` in [start_date, end_date]: saved datasets, logs."""
        from pyspark.sql import functions as F

        rows = spark_session().table(data_source.get_table_query_string())
        at = F.col(quoted(timestamp_field))
        if start_date is not None:
            rows = rows.where(at >= F.lit(start_date.astimezone(UTC)))
        if end_date is not None:
            rows = rows.where(at <= F.lit(end_date.astimezone(UTC)))
        wanted = dict.fromkeys([*join_key_columns, *feature_name_columns, timestamp_field])
        found = rows.select(*(quoted(name) for name in wanted if name in rows.columns))
        return LakeRetrievalJob(
            found, spine=found, timestamp=timestamp_field, features=feature_name_columns, keys=join_key_columns
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Refused: rows enter the lake through bronze, where they get their provenance and their second clock."""
        raise UsageError(
            f"feature view {feature_view.name}: a push goes to the online store only (to=PushMode.ONLINE); "
            "land the rows as a drop of their bronze table, and the next night has them"
        )


def lake_of(config: RepoConfig) -> Lake:
    """The lake that the offline store's settings address."""
    from scorelake.stores.lake import Lake

    options = _options(config)
    settings = LakeSettings(
        root=options.lake_root,
        catalog=options.lake_catalog or None,
        read_root=options.read_root or "",
        read_catalog=options.read_catalog or None,
    )
    return Lake(spark_session(), settings)


def _options(config: RepoConfig) -> LakeOfflineStoreConfig:
    options = config.offline_store
    if not isinstance(options, LakeOfflineStoreConfig):
        raise UsageError(f"offline_store of feature_store.yaml is {type(options).__name__}, expected LakeOfflineStore")
    return options


def _request(refs: Iterable[str], views: Iterable[FeatureView], on_demand: Iterable[OnDemandFeatureView]) -> Request:
    """Feast's references `<view>:<feature>` as a request; views are known by the name their projection uses."""
    asked = [(alias, name) for alias, _, name in (ref.partition(":") for ref in dict.fromkeys(refs))]
    by_alias: dict[str, list[str]] = {}
    for alias, name in asked:
        by_alias.setdefault(alias, []).append(name)
    aliased = [(alias_of(view.projection), view) for view in views]
    selections = [
        Selection(view, alias, tuple(by_alias[alias]), dict(view.projection.join_key_map))
        for alias, view in aliased
        if alias in by_alias
    ]
    wanted = [
        OnDemand(view, name, tuple(by_alias[name]))
        for view in on_demand
        if (name := alias_of(view.projection)) in by_alias
    ]
    return Request(tuple(asked), tuple(selections), tuple(wanted))


__all__ = ["EVENT_TIMESTAMP", "LakeOfflineStore", "LakeOfflineStoreConfig", "lake_of"]
