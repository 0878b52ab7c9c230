"""Feast's Redis online store, taught which value is newer.

    online_store:
        type: scorelake.feature_store.online_redis.LakeRedisOnlineStore
        connection_string: ${SCORELAKE_ONLINE_STORE}

A row is compared and set inside the server, in one script, so that no writer can pass another. Reads are Feast's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from scorelake.feature_store.freshness import NEVER, Stamp, stamp

if TYPE_CHECKING:
    from feast.feature_view import FeatureView
    from feast.repo_config import RepoConfig

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWER_WINS = """
local key, ts_field, stamp_field, stamp, ts = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local never = ARGV[5]
-- Without the view's own timestamp its values are gone, and an old stamp means nothing.
if redis.call('HEXISTS', key, ts_field) == 1 then
    local old = redis.call('HGET', key, stamp_field)
    if old then
        local width = #never
        local new_as_of, old_as_of = string.sub(stamp, -width), string.sub(old, -width)
        if new_as_of ~= never and old_as_of ~= never then
            if new_as_of < old_as_of then return 0 end
        elseif string.sub(stamp, 1, 2 * width) < string.sub(old, 1, 2 * width) then
            return 0
        end
    end
end
redis.call('HSET', key, ts_field, ts, stamp_field, stamp, unpack(ARGV, 7))
if ARGV[6] ~= '0' then redis.call('EXPIRE', key, ARGV[6]) end
return 1
"""
"""`Stamp.supersedes`, in Lua. Numbers are text of equal width: Lua's own lose microseconds beyond 2^53."""


class LakeRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    type: str = "scorelake.feature_store.online_redis.LakeRedisOnlineStore"  # type: ignore[assignment]


class LakeRedisOnlineStore(RedisOnlineStore):
    """Older values never overwrite newer ones; corrections with equal stamps arrive, where Feast's store skips them."""

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[Any], progress: Callable[[int], Any] | None
    ) -> None:
        """Pushed rows: kept where they are not older than what is there."""
        self._run(config, _scripts(config, table, data, [stamp(event, created) for _, _, event, created in data]))
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: list[Any], progress: Callable[[int], Any] | None
    ) -> None:
        """As `online_write_batch`, for a feature server."""
        client = await self._get_client_async(config.online_store)
        async with client.pipeline(transaction=False) as pipeline:
            for arguments in _scripts(config, table, data, [stamp(event, created) for _, _, event, created in data]):
                pipeline.eval(_NEWER_WINS, 1, *arguments)
            await pipeline.execute()
        if progress:
            progress(len(data))

    def write_as_of(self, config: RepoConfig, view: FeatureView, rows: Sequence[Any], as_of: datetime) -> None:
        """Rows of a materialization as of an instant."""
        self._run(config, _scripts(config, view, rows, [stamp(event, known, as_of) for _, _, event, known in rows]))

    def _run(self, config: RepoConfig, scripts: Iterator[tuple[Any, ...]]) -> None:
        with self._get_client(config.online_store).pipeline(transaction=False) as pipeline:
            for arguments in scripts:
                pipeline.eval(_NEWER_WINS, 1, *arguments)
            pipeline.execute()


def _scripts(
    config: RepoConfig, view: FeatureView, rows: Sequence[Any], stamps: Sequence[Stamp]
) -> Iterator[tuple[Any, ...]]:
    """Key and arguments of the script, one a row."""
    name = compute_versioned_name(view, config.registry.enable_online_feature_view_versioning)
    expiry = getattr(config.online_store, "key_ttl_seconds", None) or 0
    version = config.entity_key_serialization_version
    for (entity_key, values, event, _), found in zip(rows, stamps, strict=True):
        key = _redis_key(config.project, entity_key, entity_key_serialization_version=version)
        fields = [
            part
            for feature, value in values.items()
            for part in (_mmh3(f"{name}:{feature}"), value.SerializeToString())
        ]
        yield key, f"_ts:{name}", f"_stamp:{name}", _text(found), _timestamp(event), _digits(NEVER), expiry, *fields


def _text(found: Stamp) -> str:
    return _digits(found.event) + _digits(found.available) + _digits(found.as_of)


def _digits(microseconds: int) -> str:
    """Fixed-width text that orders as the number does."""
    return f"{microseconds - NEVER:020d}"


def _timestamp(event: datetime | None) -> bytes:
    proto = Timestamp()
    proto.FromDatetime(event or _EPOCH)
    return bytes(proto.SerializeToString())
