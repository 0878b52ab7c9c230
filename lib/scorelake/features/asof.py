"""Feature values as they were known at each row's own instant: lookups and trailing windows of many views at once.

One shuffle for each set of join keys brings the spine rows and all source rows of an entity into one partition; there
`bucket` sorts and matches them. Nothing runs until the caller acts on the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from scorelake.features import answers, sources, wire
from scorelake.features.bucket import Bucket
from scorelake.features.clock import micros

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
    return frame.select(*spine.columns, *(name for view in views for name in answers.names(view, audit=audit)))


def buckets(frame: DataFrame, partitions: int | None) -> int:
    """How many shares to cut the entities into."""
    session = frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or 200
    return _BUCKETS_A_PARTITION * (partitions or int(session))


def _instants(between: Between | None) -> tuple[int, int] | None:
    if between is None:
        return None
    first, last = (instant if instant.tzinfo else instant.replace(tzinfo=UTC) for instant in between)
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
    members = [sources.spine(frame, keys, timestamp), *(table.frame(between) for table in tables)]
    fields = answers.fields(views, audit=audit)
    schema = StructType([*frame.schema.fields, *fields])
    bucket = Bucket(
        keys=max(len(keys), 1),
        members={number: to_arrow_schema(member.schema) for number, member in enumerate(members)},
        sources=[table.plan(len(frame.columns), fields, audit=audit) for table in tables],
        schema=to_arrow_schema(schema),
        between=between,
    )
    return shuffled(members, max(len(keys), 1), buckets(frame, partitions), partitions).mapInArrow(bucket, schema)


def shuffled(members: Sequence[DataFrame], keys: int, shares: int, partitions: int | None) -> DataFrame:
    """All rows of an entity in one partition; spine rows with a null key, which match nothing, anywhere."""
    columns = [F.col(wire.key_column(number)) for number in range(keys)]
    matches_nothing = reduce(lambda one, other: one | other, (column.isNull() for column in columns))
    hashed = F.xxhash64(*columns, F.when(matches_nothing, F.col(wire.AT)))
    bucket = F.pmod(hashed, F.lit(shares)).cast("int").alias(wire.BUCKET)
    packed = [wire.packed(member.select(bucket, "*"), number, shares) for number, member in enumerate(members)]
    merged = reduce(lambda one, other: one.unionAll(other), packed)
    return merged.repartition(F.col(wire.BUCKET)) if partitions is None else merged.repartition(partitions, wire.BUCKET)
