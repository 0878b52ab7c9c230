"""The interval table of a view: when each source row is the answer, so that an as-of read is one join.

A row of it is a maximal interval [valid_from, valid_to) of t in which one source row wins by the rules of lookups,
without ttl; valid_to is null while nothing ends it. A source row may own several. ttl is applied on reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, TimestampType

from scorelake.errors import UsageError
from scorelake.features import answers, asof, ordering, sources, wire
from scorelake.features.bucket import Part, SourcePlan, SourceRows, entity_codes, in_slices
from scorelake.features.clock import micros_column, quoted, reach
from scorelake.features.reigns import reigns
from scorelake.features.timeline import FOREVER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.features.views import View

VALID_FROM, VALID_TO, EVENT_TIME = "valid_from", "valid_to", "source_event_time"


def intervals(view: View, *, partitions: int | None = None) -> DataFrame:
    """Columns: join keys by the spine's names, valid_from, valid_to, source_event_time, then the features unprefixed.

    One row for each maximal interval in which one source row wins; intervals of an entity never overlap. A function of
    the source table alone: ttl and prefix of the view play no part. Raises UsageError for a view of windows, and where
    a feature has the name of another column of the table.
    """
    if not view.lookups:
        raise UsageError(f"view {view.name}: windows have no intervals; only lookups do")
    keys = tuple(sorted(view.join_keys))
    table = sources.Source((view,), tuple(view.join_keys[key] for key in keys))
    frame = table.frame(None, copies=1)
    source_schema = view.rows.schema
    fields = [
        *(StructField(key, source_schema[view.join_keys[key]].dataType) for key in keys),
        *(StructField(name, TimestampType()) for name in (VALID_FROM, VALID_TO, EVENT_TIME)),
        *(StructField(name, source_schema[column].dataType) for name, column in view.lookups.items()),
    ]
    taken = {*keys, VALID_FROM, VALID_TO, EVENT_TIME} & set(view.lookups)
    if taken:
        raise UsageError(f"view {view.name}: its interval table already has a column {', '.join(sorted(taken))}")
    work = _Intervals(
        keys=max(len(keys), 1),
        shown=len(keys),
        rows=to_arrow_schema(frame.schema),
        plan=table.plan(answers.fields([view], audit=False), audit=False),
        schema=to_arrow_schema(wire.by_position(fields)),
    )
    pack = wire.Pack(0, max(len(keys), 1), asof.buckets(frame, partitions))
    packed = asof.packed(frame, table.in_files(None), pack, partitions)
    found = asof.shuffled([packed], partitions).mapInArrow(work, wire.by_position(fields))
    return found.toDF(*(field.name for field in fields))


@dataclass(frozen=True)
class _Intervals:
    """The intervals of the rows of one partition. Runs in Python workers."""

    keys: int
    shown: int
    rows: pa.Schema
    plan: SourcePlan
    schema: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, tables in wire.unpack(batches, {0: self.rows}):
            yield from in_slices(self._answer(Part.of(tables[0], self.keys)))

    def _answer(self, part: Part) -> pa.RecordBatch:
        codes, count = entity_codes({0: part})
        source = SourceRows(self.plan, part, codes[0], count)
        found = reigns(source.line)
        rows = pa.array(source.line.rows[found.position])
        stamp = pa.timestamp("us", "UTC")
        columns = [
            *(key.take(rows) for key in part.keys[: self.shown]),
            ordering.from_integers(found.begin, stamp),
            ordering.from_integers(found.end, stamp, found.end != FOREVER),
            ordering.from_integers(source.line.at[found.position], stamp),
            *(source.columns[name].take(rows) for name in self.plan.views[0].lookups),
        ]
        arrays = [column.cast(field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def as_of_intervals(
    spine: DataFrame,
    view: View,
    stored: DataFrame,
    *,
    timestamp: str = "event_timestamp",
    audit: bool = False,
    keys: Mapping[str, str] | None = None,
) -> DataFrame:
    """The same answer as `as_of(spine, [view])`, read from `stored`, the view's interval table.

    keys  columns of the spine -> those of `stored`, where the table was made for a spine that calls them otherwise
    """
    answers.require_distinct_names(spine, [view], audit=audit)
    at = micros_column(spine, timestamp, "spine")
    own = {name: wire.value_column(number) for number, name in enumerate(spine.columns)}
    asked = spine.select(*(F.col(quoted(name)).alias(new) for name, new in own.items()), at.alias("#asked"))
    theirs = {name: f"#stored{number}" for number, name in enumerate(stored.columns)}
    kept = stored.select(*(F.col(quoted(name)).alias(new) for name, new in theirs.items()))
    is_same = [F.col(own[key]) == F.col(theirs[(keys or {}).get(key, key)]) for key in view.join_keys]
    from_, to, event = (F.unix_micros(theirs[name]) for name in (VALID_FROM, VALID_TO, EVENT_TIME))
    wins = (F.col("#asked") >= from_) & (to.isNull() | (F.col("#asked") < to))
    joined = asked.hint("shuffle_hash").join(
        kept, on=reduce(lambda one, other: one & other, [*is_same, wins]), how="left"
    )
    age = F.col("#asked") - event
    is_fresh = age <= F.lit(reach(view.ttl)) if view.ttl else F.lit(True)
    features = [F.when(is_fresh, F.col(theirs[name])).alias(view.prefix + name) for name in view.lookups]
    if audit:
        event_name, age_name = answers.audit_names(view)
        features.append(F.when(is_fresh, F.col(theirs[EVENT_TIME])).alias(event_name))
        features.append(F.when(is_fresh, age / F.lit(1_000_000.0)).alias(age_name))
    return joined.select(*(F.col(new).alias(name) for name, new in own.items()), *features)
