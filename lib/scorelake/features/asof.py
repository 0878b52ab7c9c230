"""Feature values as they were known at each row's own instant: lookups and trailing windows of many views at once.

One shuffle for each set of join keys brings the spine rows and all source rows of an entity into one partition; there
`bucket` sorts and matches them. Small tables in local files are not shuffled: each partition reads what it needs.
Nothing runs until the caller acts on the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from scorelake.features import answers, files, sources, wire
from scorelake.features.bucket import Bucket
from scorelake.features.clock import aware, micros, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.features.views import View

Between = tuple[datetime, datetime]
_BUCKETS_A_PARTITION = 4
"""Buckets fall on partitions by their hash; several each even that out."""


def as_of(
    spine: DataFrame,
    views: Sequence[View],
    *,
    timestamp: str = "event_timestamp",
    audit: bool = False,
    between: Between | None = None,
    partitions: int | None = None,
) -> DataFrame:
    """Every spine row once, its columns first, then the features of each view in order; types unchanged.

    For each row t is its `timestamp`: lookups see rows with event time <= t, windows those in [t - length, t), both
    only what was available at t. Null key or null t: every feature null. Other spine columns pass through.

    audit       adds <prefix><view>__event_time and <prefix><view>__age (seconds) for each view of lookups
    between     what the caller knows about the spine: no t lies outside. Source rows that no such t can see are then
                not read; a spine row outside fails the job. Naive instants are UTC
    partitions  of the shuffle, each of which must fit a worker's memory; by default what the session says

    Raises UsageError for views that cannot be joined to this spine.
    """
    answers.require_distinct_names(spine, views, audit=audit)
    frame = spine
    grouped: dict[tuple[str, ...], list[View]] = {}
    for view in views:
        grouped.setdefault(tuple(sorted(view.join_keys)), []).append(view)
    for keys, some in grouped.items():
        frame = _join(frame, keys, some, timestamp, audit=audit, between=_instants(between), partitions=partitions)
    names = (*spine.columns, *(name for view in views for name in answers.names(view, audit=audit)))
    return frame.select(*map(quoted, names))


def buckets(frame: DataFrame, partitions: int | None) -> int:
    """How many shares to cut the entities into."""
    return _BUCKETS_A_PARTITION * (partitions or _session_partitions(frame))


def _session_partitions(frame: DataFrame) -> int:
    return int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or 200)


def _instants(between: Between | None) -> tuple[int, int] | None:
    if between is None:
        return None
    first, last = map(aware, between)
    return micros(first), micros(last)


def _join(
    frame: DataFrame,
    keys: tuple[str, ...],
    views: Sequence[View],
    timestamp: str,
    *,
    audit: bool,
    between: tuple[int, int] | None,
    partitions: int | None,
) -> DataFrame:
    """The frame with the features of views that share their join keys."""
    tables = sources.of(views, keys, frame, timestamp)
    found = [table.in_files(between) for table in tables]
    is_small = sum(one.size if one else files.EVERYWHERE_BYTES for one in found) < files.EVERYWHERE_BYTES
    members = [sources.spine(frame, keys, timestamp), *(table.frame(between) for table in tables)]
    fields = [*frame.schema.fields, *answers.fields(views, audit=audit)]
    schema = wire.by_position(fields)
    width, shares = max(len(keys), 1), buckets(frame, partitions)
    bucket = Bucket(
        keys=width,
        members={number: to_arrow_schema(member.schema) for number, member in enumerate(members)},
        sources=[table.plan(fields, audit=audit) for table in tables],
        schema=to_arrow_schema(schema),
        between=between,
        shares=shares,
        files={number: one for number, one in enumerate(found, start=1) if one and is_small},
    )
    wired = [
        packed(member, found[number - 1] if number else None, wire.Pack(number, width, shares), partitions)
        for number, member in enumerate(members)
        if number not in bucket.files
    ]
    return shuffled(wired, partitions).mapInArrow(bucket, schema).toDF(*(field.name for field in fields))


def packed(member: DataFrame, table: files.Table | None, pack: wire.Pack, partitions: int | None) -> DataFrame:
    """The rows of a member on the wire, read from its files where it has any."""
    if table is None:
        return wire.packed(member, pack)
    return files.packed(member.sparkSession, table, pack, partitions or _session_partitions(member))


def shuffled(packed: Sequence[DataFrame], partitions: int | None) -> DataFrame:
    """All rows of an entity in one partition, from members on the wire."""
    merged = reduce(lambda one, other: one.unionAll(other), packed)
    return merged.repartition(F.col(wire.BUCKET)) if partitions is None else merged.repartition(partitions, wire.BUCKET)
