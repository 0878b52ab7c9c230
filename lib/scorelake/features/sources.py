"""Source tables and the spine as frames of keys, an instant and the columns that features or ties need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import (
    DataType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    MapType,
    StructField,
)

from scorelake.errors import UsageError
from scorelake.features import answers, wire
from scorelake.features.bucket import DELETED, SINCE, WORDS, SourcePlan, ViewPlan
from scorelake.features.clock import micros, micros_column, quoted
from scorelake.features.views import ROWS, View
from scorelake.features.windows import Ask

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_COPIES = 32
"""Of a table without an entity: one for each share of the spine, so that no single partition takes all."""
_ORDERED = frozenset({"first", "last"})


@dataclass(frozen=True)
class Source:
    """A table as views with equal keys, clocks and versions see it; `keys` are its columns, in the spine's order."""

    views: tuple[View, ...]
    keys: tuple[str, ...]

    @property
    def _view(self) -> View:
        return self.views[0]

    @property
    def _reads_order(self) -> bool:
        return any(view.lookups or any(w.function in _ORDERED for w in view.windows) for view in self.views)

    @property
    def _tie_break(self) -> tuple[str, ...]:
        if not (self._reads_order or self._view.row_keys):
            return ()
        names = dict.fromkeys(name for view in self.views for name in view.tie_break())
        known = {self._view.event_time, self._view.available_at, *(() if self._may_move else self.keys)}
        schema = self._view.rows.schema
        return tuple(n for n in names if n not in known and not isinstance(schema[n].dataType, MapType))

    @property
    def _columns(self) -> tuple[str, ...]:
        values = [name for view in self.views for name in view.values()]
        return tuple(dict.fromkeys((*values, *self._tie_break)))

    @property
    def _may_move(self) -> bool:
        """Whether a version may belong to another entity than the one before."""
        return bool(self._view.row_keys) and not set(self.keys) <= set(self._view.row_keys)

    @property
    def _words(self) -> dict[str, Column]:
        """The identity of a row within its entity: its keys if they are few integers, else two 64-bit hashes.

        Null if any key is: such a row has no other versions.
        """
        schema = self._view.rows.schema
        names = [name for name in self._view.row_keys if self._may_move or name not in self.keys]
        columns = [F.col(quoted(name)) for name in names]
        if all(isinstance(schema[name].dataType, IntegralType) for name in names) and len(names) <= len(WORDS):
            words = [column.cast("bigint") for column in columns] or [F.lit(0).cast("bigint")]
        else:
            words = [F.xxhash64(*columns), F.xxhash64(F.lit(len(names)), *reversed(columns))]
        complete = reduce(lambda one, other: one & other, (column.isNotNull() for column in columns), F.lit(True))
        return {word: F.when(complete, value) for word, value in zip(WORDS, words, strict=False)}

    def frame(self, between: tuple[int, int] | None, *, copies: int = _COPIES) -> DataFrame:
        """Keys, instant, own and used columns of every row that some t can see, or that hides one it could see."""
        view = self._view
        rows = view.rows
        columns = {wire.key_column(i): _key(rows, name) for i, name in enumerate(self.keys)}
        if not self.keys:
            columns[wire.key_column(0)] = F.explode(F.expr(f"sequence(0L, {copies - 1}L)"))
        columns[wire.AT] = micros_column(rows, view.event_time, f"view {view.name}")
        if view.available_at is not None:
            columns[SINCE] = micros_column(rows, view.available_at, f"view {view.name}")
        if view.row_keys:
            columns |= self._words
        if view.deleted is not None or self._may_move:
            columns[DELETED] = F.lit(False) if view.deleted is None else F.col(quoted(view.deleted))
        columns |= {name: F.col(quoted(name)) for name in self._columns}
        selected = self._visible(between).select(*(column.alias(name) for name, column in columns.items()))
        return self._with_ghosts(selected) if self._may_move else selected.where(self._is_complete())

    def _is_complete(self) -> Column:
        keys = (F.col(wire.key_column(i)).isNotNull() for i in range(max(len(self.keys), 1)))
        return reduce(lambda one, other: one & other, keys)

    def _visible(self, between: tuple[int, int] | None) -> DataFrame:
        """Without rows that no t can see; versions are kept whatever their event time, since they hide earlier ones."""
        view = self._view
        rows = view.rows
        if view.available_at is not None:
            rows = rows.where(F.col(quoted(view.available_at)).isNotNull())
        if not view.row_keys:
            rows = rows.where(F.col(quoted(view.event_time)).isNotNull())
        if between is None:
            return rows
        first, last = between
        if view.is_clocked and view.available_at is not None:
            rows = rows.where(F.col(quoted(view.available_at)) <= _instant(last))
        if not view.row_keys:
            rows = rows.where(F.col(quoted(view.event_time)) <= _instant(last))
            if (reach := self._reach) is not None:
                rows = rows.where(F.col(quoted(view.event_time)) >= _instant(first - reach))
        return rows

    @property
    def _reach(self) -> int | None:
        """How long before t a row can still count, in microseconds; None: for ever."""
        longest = 0
        for view in self.views:
            lengths = [view.ttl or None] if view.lookups else [window.length for window in view.windows]
            for length in lengths:
                if length is None:
                    return None
                longest = max(longest, micros(length))
        return longest

    def _with_ghosts(self, selected: DataFrame) -> DataFrame:
        """A version that moves its row to another entity goes to the old one as well, as a delete.

        Only rows with versions of several entities are concerned, which one narrow aggregation finds.
        """
        words = list(self._words)
        entity = [F.col(wire.key_column(i)) for i in range(len(self.keys))]
        hashes = [
            F.coalesce(one, F.lit(0)).cast("bigint") if _is_long(selected, one) else F.xxhash64(one) for one in entity
        ]
        seen = [F.xxhash64(*(one.isNull() for one in entity)), *hashes, F.xxhash64(F.lit(1), *entity)]
        differs = reduce(lambda one, other: one | other, (F.min(one) != F.max(one) for one in seen))
        versions = selected.where(F.col(words[0]).isNotNull())
        moved = versions.groupBy(*words).agg(differs.alias("#moved")).where(F.col("#moved")).drop("#moved")
        of_moved = versions.join(moved, on=words, how="left_semi")
        elsewhere = {wire.key_column(i): f"#elsewhere{i}" for i in range(len(self.keys))}
        entities = of_moved.select(*words, *(F.col(k).alias(e) for k, e in elsewhere.items())).distinct()
        is_same = reduce(lambda one, other: one & other, (F.col(k).eqNullSafe(F.col(e)) for k, e in elsewhere.items()))
        ghosts = of_moved.join(entities, on=words, how="inner").where(~is_same)
        ghosts = ghosts.withColumns({k: F.col(e) for k, e in elsewhere.items()} | {DELETED: F.lit(True)})
        return selected.unionByName(ghosts.select(*selected.columns)).where(self._is_complete())

    def plan(self, offset: int, fields: Sequence[StructField], *, audit: bool) -> SourcePlan:
        """What a worker needs to know; places count from the spine's `offset` columns on, in the order of `fields`."""
        place = {field.name: offset + number for number, field in enumerate(fields)}
        kind = {field.name: field.dataType for field in fields}
        mine = [_view_plan(view, place, kind, audit=audit) for view in self.views]
        return SourcePlan(
            is_clocked=self._view.is_clocked,
            is_ordered=self._reads_order,
            tie_break=self._tie_break,
            views=mine,
        )


def _view_plan(view: View, place: Mapping[str, int], kind: Mapping[str, DataType], *, audit: bool) -> ViewPlan:
    places = [place[name] for name in view.features]
    if view.lookups:
        audited = [place[name] for name in answers.audit_names(view)] if audit else []
        ttl = micros(view.ttl) if view.ttl else None
        return ViewPlan(places=places, lookups=list(view.lookups.values()), ttl=ttl, audit=audited)
    asks = [
        Ask(
            name=name,
            function=window.function,
            column="" if window.column == ROWS or window.function == "age" else window.column,
            length=None if window.length is None else micros(window.length),
            kind=to_arrow_type(kind[name]),
        )
        for name, window in zip(view.features, view.windows, strict=True)
    ]
    return ViewPlan(places=places, windows=asks)


def of(views: Sequence[View], keys: tuple[str, ...], spine: DataFrame, timestamp: str) -> list[Source]:
    """The tables of views with equal join keys, each once; raises UsageError where keys do not compare."""
    found: list[list[View]] = []
    for view in views:
        _require_comparable(view, spine, timestamp)
        same = next((some for some in found if _is_same_source(some[0], view)), None)
        if same is None:
            found.append([view])
        else:
            same.append(view)
    return [Source(tuple(some), tuple(some[0].join_keys[key] for key in keys)) for some in found]


def _is_same_source(one: View, other: View) -> bool:
    def seen(view: View) -> tuple[object, ...]:
        keys = tuple(sorted(view.join_keys.items()))
        return keys, view.event_time, view.available_at, view.is_clocked, view.row_keys, view.order, view.deleted

    return seen(one) == seen(other) and (one.rows is other.rows or one.rows.sameSemantics(other.rows))


def _require_comparable(view: View, spine: DataFrame, timestamp: str) -> None:
    for name in (*view.join_keys, timestamp):
        if name not in spine.columns:
            raise UsageError(f"view {view.name}: the spine has no column {name}; it has {spine.columns}")
    for ours, theirs in view.join_keys.items():
        one, other = spine.schema[ours].dataType, view.rows.schema[theirs].dataType
        if isinstance(one, DoubleType | FloatType | MapType):
            raise UsageError(f"view {view.name}: key {ours} is {one.simpleString()}, which cannot be compared exactly")
        if _comparable(one) != _comparable(other):
            raise UsageError(
                f"view {view.name}: key {ours} is {one.simpleString()} in the spine and {other.simpleString()} "
                "in the source; cast one of them"
            )


def _comparable(data_type: DataType) -> str:
    return "bigint" if isinstance(data_type, IntegralType) else data_type.simpleString()


def _is_long(frame: DataFrame, column: Column) -> bool:
    return isinstance(frame.select(column).schema[0].dataType, LongType)


def _key(frame: DataFrame, name: str) -> Column:
    column = F.col(quoted(name))
    return column.cast("bigint") if isinstance(frame.schema[name].dataType, IntegralType) else column


def _instant(at: int) -> Column:
    return F.timestamp_micros(F.lit(at))


def spine(frame: DataFrame, keys: tuple[str, ...], timestamp: str) -> DataFrame:
    """Keys, instant and all columns of the spine."""
    at = micros_column(frame, timestamp, "spine")
    columns = [_key(frame, name).alias(wire.key_column(i)) for i, name in enumerate(keys)]
    if not keys:
        columns = [F.pmod(F.xxhash64(at), F.lit(_COPIES)).cast("bigint").alias(wire.key_column(0))]
    own = [F.col(quoted(name)) for name in frame.columns]
    return frame.select(*columns, at.alias(wire.AT), *own)
