"""Source tables and the spine as frames of keys, an instant and the columns that features or ties need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema, to_arrow_type
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    MapType,
    StructField,
    StructType,
    TimestampType,
)

from scorelake.errors import UsageError
from scorelake.features import answers, files, wire
from scorelake.features.bucket import DELETED, SINCE, UNTIL, SourcePlan, ViewPlan
from scorelake.features.clock import micros_column, quoted, reach
from scorelake.features.views import ROWS, View
from scorelake.features.windows import Ask

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_COPIES = 32
"""Of a table without an entity: one for each share of the spine, so that no single partition takes all."""
_ORDERED = frozenset({"first", "last"})
_WORDS = ("#word0", "#word1")


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
        names = self._view.tie_break()
        known = {
            self._view.event_time,
            self._view.available_at,
            self._view.until,
            *(() if self._may_move else self.keys),
        }
        return tuple(name for name in names if name not in known)

    @property
    def _columns(self) -> tuple[str, ...]:
        values = [name for view in self.views for name in view.values()]
        return tuple(dict.fromkeys((*values, *self._tie_break, *self._identity)))

    @property
    def _wired(self) -> dict[str, str]:
        """Column of the table -> its name in `frame`."""
        return {name: wire.value_column(number) for number, name in enumerate(self._columns)}

    @property
    def _may_move(self) -> bool:
        """Whether a version may belong to another entity than the one before."""
        return bool(self._view.row_keys) and not set(self.keys) <= set(self._view.row_keys)

    @property
    def _identity(self) -> tuple[str, ...]:
        """Columns that tell the rows of an entity apart, across their versions."""
        return tuple(name for name in self._view.row_keys if self._may_move or name not in self.keys)

    def in_files(self, between: tuple[int, int] | None) -> files.Table | None:
        """The files that workers may read instead of `frame`; None where there are none."""
        view = self._view
        rows = view.rows
        clocks = [name for name in (view.event_time, view.available_at, view.until) if name is not None]
        are_instants = all(isinstance(rows.schema[name].dataType, TimestampType) for name in clocks)
        if not view.is_scan or self._may_move or not self.keys or not are_instants:
            return None
        columns = self._as_they_are
        bounds = self._bounds(between)
        names = list(dict.fromkeys([*columns.values(), *(bound.column for bound in bounds)]))
        paths = files.local_paths(rows.where(_all_of(bounds)), names)
        if paths is None:
            return None
        return files.Table(
            paths=paths,
            size=sum(Path(path).stat().st_size for path in paths),
            columns=columns,
            types=to_arrow_schema(StructType([rows.schema[name] for name in names])),
            schema=to_arrow_schema(self.frame(between).schema),
            bounds=bounds,
        )

    @property
    def _as_they_are(self) -> dict[str, str]:
        """The columns of `frame` that are columns of the table, but for their type."""
        view = self._view
        columns = {wire.key_column(i): name for i, name in enumerate(self.keys)} | {wire.AT: view.event_time}
        if view.available_at is not None:
            columns[SINCE] = view.available_at
        if view.until is not None:
            columns[UNTIL] = view.until
        if view.deleted is not None:
            columns[DELETED] = view.deleted
        return columns | {wired: name for name, wired in self._wired.items()}

    def frame(self, between: tuple[int, int] | None, *, copies: int = _COPIES) -> DataFrame:
        """Keys, instant, own and used columns of every row that some t can see, or that hides one it could see."""
        view = self._view
        rows = view.rows
        columns = {name: F.col(quoted(source)) for name, source in self._as_they_are.items()}
        columns |= {wire.key_column(i): _key(rows, name) for i, name in enumerate(self.keys)}
        if not self.keys:
            columns = {wire.key_column(0): F.explode(F.expr(f"sequence(0L, {copies - 1}L)"))} | columns
        columns[wire.AT] = micros_column(rows, view.event_time, f"view {view.name}")
        if view.available_at is not None:
            columns[SINCE] = micros_column(rows, view.available_at, f"view {view.name}")
        if view.until is not None:
            columns[UNTIL] = micros_column(rows, view.until, f"view {view.name}")
        if self._may_move and view.deleted is None:
            columns[DELETED] = F.lit(False)
        visible = rows.where(_all_of(self._bounds(between)))
        selected = visible.select(*(column.alias(name) for name, column in columns.items()))
        return self._with_ghosts(selected) if self._may_move else selected

    def _bounds(self, between: tuple[int, int] | None) -> list[files.Bound]:
        """Which rows some t can see; versions are kept whatever their event time, since they hide earlier ones."""
        view = self._view
        first, last = between or (None, None)
        bounds = [] if self._may_move else [files.Bound(name) for name in self.keys]
        if view.available_at is not None:
            bounds.append(files.Bound(view.available_at, greatest=last if view.is_clocked else None))
        if not view.row_keys:
            reach = self._reach
            least = None if first is None or reach is None else first - reach
            bounds.append(files.Bound(view.event_time, least, last))
        return bounds

    @property
    def _reach(self) -> int | None:
        """How long before t a row can still count, in microseconds; None: for ever."""
        longest = 0
        for view in self.views:
            lengths = [view.ttl or None] if view.lookups else [window.length for window in view.windows]
            for length in lengths:
                if length is None:
                    return None
                longest = max(longest, reach(length))
        return longest

    def _with_ghosts(self, selected: DataFrame) -> DataFrame:
        """A version that moves its row to another entity goes to the old one as well, as a delete.

        Only rows with versions of several entities are concerned, which one narrow aggregation finds.
        """
        words = self._words(selected)
        selected = selected.withColumns(words)
        entity = [F.col(wire.key_column(i)) for i in range(len(self.keys))]
        hashes = [
            F.coalesce(one, F.lit(0)).cast("bigint") if _is_long(selected, one) else F.xxhash64(one) for one in entity
        ]
        seen = [F.xxhash64(*(one.isNull() for one in entity)), *hashes, F.xxhash64(F.lit(1), *entity)]
        differs = reduce(lambda one, other: one | other, (F.min(one) != F.max(one) for one in seen))
        versions = selected.where(reduce(lambda one, other: one & other, (F.col(word).isNotNull() for word in words)))
        moved = versions.groupBy(*words).agg(differs.alias("#moved")).where(F.col("#moved")).drop("#moved")
        of_moved = versions.join(moved, on=list(words), how="left_semi")
        elsewhere = {wire.key_column(i): f"#elsewhere{i}" for i in range(len(self.keys))}
        entities = of_moved.select(*words, *(F.col(k).alias(e) for k, e in elsewhere.items())).distinct()
        is_same = reduce(lambda one, other: one & other, (F.col(k).eqNullSafe(F.col(e)) for k, e in elsewhere.items()))
        ghosts = of_moved.join(entities, on=list(words), how="inner").where(~is_same)
        ghosts = ghosts.withColumns({k: F.col(e) for k, e in elsewhere.items()} | {DELETED: F.lit(True)})
        is_complete = reduce(lambda one, other: one & other, (one.isNotNull() for one in entity))
        return selected.unionByName(ghosts.select(*selected.columns)).where(is_complete).drop(*words)

    def _words(self, frame: DataFrame) -> dict[str, Column]:
        """The identity of a row: its keys if they are few integers, else two 64-bit hashes; null if any key is."""
        identity = [self._wired[name] for name in self._identity]
        columns = [F.col(name) for name in identity]
        kinds = [frame.schema[name].dataType for name in identity]
        if all(isinstance(kind, IntegralType) for kind in kinds) and len(columns) <= len(_WORDS):
            words = [column.cast("bigint") for column in columns]
        else:
            words = [F.xxhash64(*columns), F.xxhash64(F.lit(len(columns)), *reversed(columns))]
        complete = reduce(lambda one, other: one & other, (column.isNotNull() for column in columns))
        return {word: F.when(complete, value) for word, value in zip(_WORDS, words, strict=False)}

    def plan(self, fields: Sequence[StructField], *, audit: bool) -> SourcePlan:
        """What a worker needs to know; `fields` are all columns of the output, in order."""
        place = {field.name: number for number, field in enumerate(fields)}
        kind = {field.name: field.dataType for field in fields}
        wired = self._wired
        return SourcePlan(
            is_clocked=self._view.is_clocked,
            is_ordered=self._reads_order,
            tie_break=[wired[name] for name in self._tie_break],
            identity=[wired[name] for name in self._identity] if self._view.row_keys else None,
            views=[_view_plan(view, place, kind, wired, audit=audit) for view in self.views],
        )


def _view_plan(
    view: View, place: Mapping[str, int], kind: Mapping[str, DataType], wired: Mapping[str, str], *, audit: bool
) -> ViewPlan:
    places = [place[name] for name in view.features]
    if view.lookups:
        audited = [place[name] for name in answers.audit_names(view)] if audit else []
        lookups = [wired[column] for column in view.lookups.values()]
        return ViewPlan(places=places, lookups=lookups, ttl=reach(view.ttl) if view.ttl else None, audit=audited)
    asks = [
        Ask(
            name=name,
            function=window.function,
            column="" if window.column == ROWS or window.function == "age" else wired[window.column],
            length=None if window.length is None else reach(window.length),
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
        clocks = view.event_time, view.available_at, view.until, view.is_clocked
        return keys, clocks, view.row_keys, view.order, view.deleted

    return seen(one) == seen(other) and (one.rows is other.rows or one.rows.sameSemantics(other.rows))


def _require_comparable(view: View, spine: DataFrame, timestamp: str) -> None:
    for name in (*view.join_keys, timestamp):
        if name not in spine.columns:
            raise UsageError(f"view {view.name}: the spine has no column {name}; it has {spine.columns}")
    for ours, theirs in view.join_keys.items():
        one, other = spine.schema[ours].dataType, view.rows.schema[theirs].dataType
        if _holds_inexact(one):
            raise UsageError(f"view {view.name}: key {ours} is {one.simpleString()}, which cannot be compared exactly")
        if _comparable(one) != _comparable(other):
            raise UsageError(
                f"view {view.name}: key {ours} is {one.simpleString()} in the spine and {other.simpleString()} "
                "in the source; cast one of them"
            )


def _holds_inexact(data_type: DataType) -> bool:
    if isinstance(data_type, ArrayType):
        return _holds_inexact(data_type.elementType)
    if isinstance(data_type, StructType):
        return any(_holds_inexact(field.dataType) for field in data_type.fields)
    return isinstance(data_type, DoubleType | FloatType | MapType)


def _comparable(data_type: DataType) -> str:
    return "bigint" if isinstance(data_type, IntegralType) else data_type.simpleString()


def _is_long(frame: DataFrame, column: Column) -> bool:
    return isinstance(frame.select(column).schema[0].dataType, LongType)


def _key(frame: DataFrame, name: str) -> Column:
    column = F.col(quoted(name))
    return column.cast("bigint") if isinstance(frame.schema[name].dataType, IntegralType) else column


def _all_of(bounds: Sequence[files.Bound]) -> Column:
    return reduce(lambda one, other: one & other, (bound.expression() for bound in bounds), F.lit(True))


def spine(frame: DataFrame, keys: tuple[str, ...], timestamp: str) -> DataFrame:
    """Keys, instant and all columns of the spine."""
    at = micros_column(frame, timestamp, "spine")
    columns = [_key(frame, name).alias(wire.key_column(i)) for i, name in enumerate(keys)]
    if not keys:
        columns = [F.pmod(F.xxhash64(at), F.lit(_COPIES)).cast("bigint").alias(wire.key_column(0))]
    own = [F.col(quoted(name)).alias(wire.value_column(number)) for number, name in enumerate(frame.columns)]
    return frame.select(*columns, at.alias(wire.AT), *own)
