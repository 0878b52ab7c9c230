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
from scorelake.features.bucket import OUTSIDE, Part, SourcePlan, SourceRows, entity_codes, in_slices
from scorelake.features.clock import aware, micros, micros_column, quoted, reach
from scorelake.features.reigns import reigns
from scorelake.features.timeline import FOREVER

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from scorelake.features.views import View

OWN = VALID_FROM, VALID_TO, EVENT_TIME = "valid_from", "valid_to", "source_event_time"


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
        *(StructField(name, TimestampType()) for name in OWN),
        *(StructField(name, source_schema[column].dataType) for name, column in view.lookups.items()),
    ]
    taken = {*keys, *OWN} & set(view.lookups)
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
    between: asof.Between | None = None,
    questions: DataFrame | None = None,
) -> DataFrame:
    """The same answer as `as_of(spine, [view])`, read from `stored`, the view's interval table.

    keys       columns of the spine -> those of `stored`, where the table was made for a spine that calls them otherwise
    between    as for `as_of`: intervals that no such t meets are not read
    questions  a frame with the keys and instants of the spine, known to be few and the same when they are computed
               once more: they are sent to where the table is, which is then not shuffled
    """
    answers.require_distinct_names(spine, [view], audit=audit)
    at = _within(micros_column(spine, timestamp, "spine"), between)
    own = {name: wire.value_column(number) for number, name in enumerate(spine.columns)}
    asked = spine.select(*(F.col(quoted(name)).alias(new) for name, new in own.items()), at.alias("#asked"))
    theirs = {name: f"#stored{number}" for number, name in enumerate(stored.columns)}
    kept = stored.where(_meets(between)).select(*(F.col(quoted(name)).alias(new) for name, new in theirs.items()))
    key_pairs = {own[key]: theirs[(keys or {}).get(key, key)] for key in view.join_keys}
    if questions is None:
        joined = _joined(asked, kept, key_pairs, theirs)
    else:
        at = micros_column(questions, timestamp, "questions")
        sent = questions.select(*(F.col(quoted(key)).alias(own[key]) for key in view.join_keys), at.alias("#asked"))
        joined = _joined_by_question(asked, sent, kept, key_pairs, theirs)
    from_event = F.col("#asked") - F.unix_micros(theirs[EVENT_TIME])
    is_fresh = from_event <= F.lit(reach(view.ttl)) if view.ttl else F.lit(True)
    features = [F.when(is_fresh, F.col(theirs[name])).alias(view.prefix + name) for name in view.lookups]
    if audit:
        event_name, age_name = answers.audit_names(view)
        features.append(F.when(is_fresh, F.col(theirs[EVENT_TIME])).alias(event_name))
        features.append(F.when(is_fresh, from_event / F.lit(1_000_000.0)).alias(age_name))
    return joined.select(*(F.col(new).alias(name) for name, new in own.items()), *features)


def _joined(asked: DataFrame, kept: DataFrame, keys: Mapping[str, str], theirs: Mapping[str, str]) -> DataFrame:
    """Every row of `asked` with the interval that it meets; both are shuffled by their keys."""
    is_same = [F.col(mine) == F.col(other) for mine, other in keys.items()]
    return asked.hint("shuffle_hash").join(kept, on=_all([*is_same, _wins("#asked", theirs)]), how="left")


def _joined_by_question(
    asked: DataFrame, sent: DataFrame, kept: DataFrame, keys: Mapping[str, str], theirs: Mapping[str, str]
) -> DataFrame:
    """The same: each (keys, t) is sent to where the intervals are, and what it meets back to the rows that ask it."""
    question = {name: f"{name}?" for name in (*keys, "#asked")}
    once = sent.select(*(F.col(name).alias(new) for name, new in question.items())).distinct()
    is_same = [F.col(question[mine]) == F.col(other) for mine, other in keys.items()]
    found = kept.join(F.broadcast(once), on=_all([*is_same, _wins(question["#asked"], theirs)]))
    return asked.join(found, on=_all(F.col(name) == F.col(new) for name, new in question.items()), how="left")


def _wins(at: str, theirs: Mapping[str, str]) -> Column:
    """Whether t, in microseconds, lies in the interval."""
    from_, to = (F.unix_micros(theirs[name]) for name in (VALID_FROM, VALID_TO))
    return (F.col(at) >= from_) & (to.isNull() | (F.col(at) < to))


def _meets(between: asof.Between | None) -> Column:
    """Whether some t of `between` lies in the interval; of columns as they are stored, so that files are left out."""
    if between is None:
        return F.lit(True)
    first, last = map(aware, between)
    return (F.col(VALID_FROM) <= F.lit(last)) & (F.col(VALID_TO).isNull() | (F.col(VALID_TO) > F.lit(first)))


def _within(at: Column, between: asof.Between | None) -> Column:
    """`at`, failing the job where the caller's promise does not hold."""
    if between is None:
        return at
    first, last = (F.lit(micros(aware(instant))) for instant in between)
    return F.when((at < first) | (at > last), F.raise_error(F.lit(OUTSIDE))).otherwise(at)


def _all(conditions: Iterable[Column]) -> Column:
    return reduce(lambda one, other: one & other, conditions)
