"""Feast's SQLite online store, taught which value is newer.

    online_store:
        type: scorelake.feature_store.online_sqlite.LakeSqliteOnlineStore
        path: ${SCORELAKE_ONLINE_STORE}

Beside the features of an entity stands one more, `__stamp`: what it was written from. It lies in Feast's own table,
so it goes when the view goes, and Feast never returns what nobody asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.Value_pb2 import Int64List, Value

from scorelake.feature_store.freshness import Stamp, stamp

if TYPE_CHECKING:
    from feast.feature_view import FeatureView
    from feast.repo_config import RepoConfig

STAMP = "__stamp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARAMETERS = 500
"""Keys in one query; SQLite builds allow as few as 999."""


class LakeSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    type: str = "scorelake.feature_store.online_sqlite.LakeSqliteOnlineStore"  # type: ignore[assignment]


class LakeSqliteOnlineStore(SqliteOnlineStore):
    """One batch is one transaction, locked before it looks: two writers cannot pass each other."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Any],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Pushed rows: kept where they are not older than what is there."""
        stamps = [stamp(event, created) for _, _, event, created in data]
        self._write_newer(config, table, data, stamps, progress)

    def write_as_of(self, config: RepoConfig, view: FeatureView, rows: Sequence[Any], as_of: datetime) -> None:
        """Rows of a materialization as of an instant."""
        stamps = [stamp(event, available, as_of) for _, _, event, available in rows]
        self._write_newer(config, view, rows, stamps, None)

    def _write_newer(
        self,
        config: RepoConfig,
        table: FeatureView,
        rows: Sequence[Any],
        stamps: Sequence[Stamp],
        progress: Callable[[int], Any] | None,
    ) -> None:
        connection = self._get_conn(config)
        keys = [_key(row[0], config) for row in rows]
        connection.execute("BEGIN IMMEDIATE")
        try:
            newest = _stored_stamps(connection, _table(config, table), keys)
            kept = []
            for key, row, found in zip(keys, rows, stamps, strict=True):
                if found.supersedes(newest.get(key)):
                    newest[key] = found
                    kept.append(_stamped(row, found))
            super().online_write_batch(config, table, kept, progress)  # commits
        except BaseException:
            connection.rollback()
            raise

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        if not self._conn:
            Path(self._get_db_path(config)).parent.mkdir(parents=True, exist_ok=True)
        connection: sqlite3.Connection = super()._get_conn(config)
        connection.execute("PRAGMA busy_timeout = 60000")
        return connection


def _table(config: RepoConfig, view: FeatureView) -> str:
    versioned = config.registry.enable_online_feature_view_versioning
    name = str(compute_table_id(config.project, view, versioned))
    return '"' + name.replace('"', '""') + '"'


def _key(entity_key: Any, config: RepoConfig) -> bytes:
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity_key, entity_key_serialization_version=version))


def _stored_stamps(connection: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> dict[bytes, Stamp]:
    stored: dict[bytes, Stamp] = {}
    for start in range(0, len(keys), _PARAMETERS):
        some = keys[start : start + _PARAMETERS]
        marks = ",".join("?" * len(some))
        query = f"SELECT entity_key, value FROM {table} WHERE feature_name = ? AND entity_key IN ({marks})"
        for key, blob in connection.execute(query, (STAMP, *some)):
            stored[key] = Stamp(*Value.FromString(blob).int64_list_val.val)
    return stored


def _stamped(row: Any, found: Stamp) -> Any:
    """The row with its stamp beside its features; Feast's own column of event times may not be null."""
    entity_key, values, event, available = row
    numbers = Value(int64_list_val=Int64List(val=[found.event, found.available, found.as_of]))
    return entity_key, {**values, STAMP: numbers}, event or _EPOCH, available
