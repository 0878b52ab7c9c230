"""What is asked of one feature view, and the engine's view that answers it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from scorelake.errors import ConfigError
from scorelake.feature_store import aggregations
from scorelake.feature_store.contracts import AVAILABLE_AT, repeats_snapshots
from scorelake.tables import DELETED, Silver, quoted

if TYPE_CHECKING:
    from datetime import date

    from feast.data_source import DataSource
    from feast.feature_view import FeatureView
    from pyspark.sql import DataFrame

    from scorelake.features.views import View


class Tables(Protocol):
    """Tables of a lake, by name; a Lake is one."""

    def read(self, name: str, /) -> DataFrame:
        """All rows, every column."""

    def slices(self, name: str, /) -> Collection[date]:
        """Run dates of every slice, those without rows included."""


@dataclass(frozen=True)
class Selection:
    """Features of one feature view, as one request uses it.

    `alias` is the name the request knows the view by; `join_key_map` renames its join keys to columns of the spine.
    """

    view: FeatureView
    alias: str
    features: tuple[str, ...]
    join_key_map: Mapping[str, str] = field(default_factory=dict)

    @property
    def join_keys(self) -> dict[str, str]:
        """Spine column -> source column; empty for a view without an entity."""
        from feast.feature_view import DUMMY_ENTITY_ID

        keys = [key for key in self.view.join_keys if key != DUMMY_ENTITY_ID]
        return {self.join_key_map.get(key, key): key for key in keys}

    @property
    def prefix(self) -> str:
        """Put before feature names where names of several views must not meet."""
        return f"{self.alias}__"


def alias_of(projection: Any) -> str:
    """The name by which a request knows the view of a Feast projection."""
    return str(projection.name_to_use())


def engine_views(selections: Iterable[Selection], tables: Tables, *, conf_dir: str | None = None) -> list[View]:
    """One engine view a selection, its features prefixed by `<alias>__`."""
    return [engine_view(selection, tables, conf_dir=conf_dir) for selection in selections]


def engine_view(selection: Selection, tables: Tables, *, conf_dir: str | None = None) -> View:
    """The engine's view of a selection. ConfigError when its source has no meaning here."""
    from scorelake.feature_store.source import LakeSource

    source = selection.view.batch_source
    _require_plain(selection.view)
    try:
        if isinstance(source, LakeSource):
            return _of_lake(selection, source, tables, conf_dir)
        return _of_query(selection, source)
    except ConfigError as error:
        raise ConfigError(f"feature view {selection.view.name}: {error}") from error


def table_of(selection: Selection) -> str | None:
    """The lake table that a selection reads; None for a source outside the lake."""
    return getattr(selection.view.batch_source, "table", None)


def _of_lake(selection: Selection, source: Any, tables: Tables, conf_dir: str | None) -> View:
    from scorelake.feature_store.snapshots import UNTIL, with_ends
    from scorelake.features.views import View

    contract, rows = source.contract(conf_dir), tables.read(source.table)
    is_snapshot = repeats_snapshots(contract, conf_dir)
    if is_snapshot:
        rows = with_ends(rows, tables.slices(source.table), available_at=AVAILABLE_AT)
    has_deletes = not is_snapshot and isinstance(contract, Silver) and contract.delete_when is not None
    known = {*contract.column_names, AVAILABLE_AT, *([UNTIL] if is_snapshot else [DELETED] if has_deletes else [])}
    rows = rows.select(*(quoted(name) for name in rows.columns if name in known))  # provenance decides nothing
    renamed = rows.withColumnsRenamed(source.field_mapping) if source.field_mapping else rows

    def mapped(column: str) -> str:
        return str(source.field_mapping.get(column, column))

    return View(
        name=selection.alias,
        rows=renamed,
        join_keys=selection.join_keys,
        event_time=mapped(source.timestamp_field_in(contract)),
        available_at=AVAILABLE_AT,
        row_keys=() if is_snapshot else tuple(map(mapped, contract.keys)),
        order=tuple(map(mapped, contract.total_order)),
        deleted=DELETED if has_deletes else None,
        until=UNTIL if is_snapshot else None,
        ttl=selection.view.ttl or None,
        second_clock=source.available_at,
        prefix=selection.prefix,
        is_scan=not source.field_mapping and not is_snapshot,
        **_features(selection, source),
    )


def _features(selection: Selection, source: Any) -> dict[str, Any]:
    if not source.aggregations:
        return {"lookups": {name: name for name in selection.features}}
    declared = {aggregations.name_of(aggregation): aggregation for aggregation in source.aggregations}
    unknown = [name for name in selection.features if name not in declared]
    if unknown:
        raise ConfigError(f"no aggregation of source {source.name} is called {', '.join(unknown)}")
    return {"windows": tuple(aggregations.window_of(declared[name]) for name in selection.features)}


def _of_query(selection: Selection, source: DataSource | None) -> View:
    """Over Feast's own SparkSource: a table, a query or files without a contract, so every row is its own event."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    from scorelake.features.views import View

    if type(source).__name__ != "SparkSource" or source is None:
        raise ConfigError(f"expected a LakeSource or a SparkSource, found {type(source).__name__}")
    spark = SparkSession.active()
    rows = spark.sql(f"SELECT * FROM {source.get_table_query_string()}").withColumnsRenamed(source.field_mapping)
    clocks = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    event_time, *created = [source.field_mapping.get(name, name) for name in clocks]
    return View(
        name=selection.alias,
        # Feast's sources may hold dates or timestamps without a zone; the process is on UTC.
        rows=rows.withColumns({name: F.col(quoted(name)).cast("timestamp") for name in (event_time, *created)}),
        join_keys=selection.join_keys,
        event_time=event_time,
        available_at=created[0] if created else None,
        ttl=selection.view.ttl or None,
        lookups={name: name for name in selection.features},
        prefix=selection.prefix,
    )


def _require_plain(view: FeatureView) -> None:
    """Transformations inside feature views run nowhere here, and must not be ignored silently."""
    if getattr(view, "feature_transformation", None) is not None or getattr(view, "aggregations", None):
        raise ConfigError(
            f"feature view {view.name}: transformations and aggregations of the view itself are not run; put SQL into "
            "a silver or gold table, aggregations on its LakeSource, row-wise code into an on-demand feature view"
        )


def sources_of(selection: Selection) -> dict[str, list[tuple[str, str]]]:
    """Of each feature the table and column whose values enter it: none where whole rows are counted. Empty for a
    source outside the lake.
    """
    table, source = table_of(selection), selection.view.batch_source
    if table is None or source is None:
        return {}
    columns = {new: old for old, new in source.field_mapping.items()}
    declared = {aggregations.name_of(a): a.column for a in getattr(source, "aggregations", ())}
    found = {name: declared.get(name, columns.get(name, name)) for name in selection.features}
    return {name: [] if column in aggregations.ROWS_ALONE else [(table, column)] for name, column in found.items()}
