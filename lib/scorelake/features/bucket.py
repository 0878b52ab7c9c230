"""The features of the spine rows of one partition, from all source rows of the same entities. Runs in Python workers.

Both sides arrive as Arrow batches, are sorted once with numpy and matched by binary search; nothing loops over keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorelake.errors import UsageError
from scorelake.features import ordering, versions, wire
from scorelake.features.timeline import Instants, Scale, Timeline
from scorelake.features.windows import MICROS, Ask, Questions, Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scorelake.features.files import Table

SINCE, UNTIL, DELETED = "#since", "#until", "#deleted"
"""Names of the engine's own columns among a source's; those of the table itself are numbered."""
ROWS_AT_ONCE = 65_536
OUTSIDE = "the spine holds an instant outside `between`; widen it, or leave it out"


@dataclass(frozen=True)
class ViewPlan:
    """What one view wants: positions of its features in the output, and what they are made of."""

    places: Sequence[int]
    lookups: Sequence[str] = ()
    windows: Sequence[Ask] = ()
    ttl: int | None = None
    audit: Sequence[int] = ()


@dataclass(frozen=True)
class SourcePlan:
    """One table: its clocks, its ties, its views.

    `identity` are the columns that tell the rows of an entity apart across their versions; None: no row has any.
    """

    is_clocked: bool
    is_ordered: bool
    tie_break: Sequence[str]
    identity: Sequence[str] | None
    views: Sequence[ViewPlan]


@dataclass(frozen=True)
class Bucket:
    """The whole plan of one shuffle; called with what arrived in a partition.

    `members` are the schemas of the spine (0) and of each source (1, 2, ...): keys, instant, other columns. `files` are
    sources that do not arrive but are read here; entities fall into `shares`.
    """

    keys: int
    members: Mapping[int, pa.Schema]
    sources: Sequence[SourcePlan]
    schema: pa.Schema
    shares: int
    files: Mapping[int, Table]
    between: tuple[int, int] | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for shares, tables in wire.unpack(batches, self.members):
            tables |= {member: file.of_shares(shares, self.keys, self.shares) for member, file in self.files.items()}
            parts = {member: Part.of(table, self.keys) for member, table in tables.items()}
            if len(parts[0].at):
                yield from in_slices(self._answer(parts))

    def _answer(self, parts: Mapping[int, Part]) -> pa.RecordBatch:
        spine = parts[0]
        self._require_in_reach(spine)
        codes, count = entity_codes(parts)
        asks = np.flatnonzero(_all_valid(*spine.keys, spine.at))
        at = ordering.integers(spine.at)
        asks = asks[np.lexsort((at[asks], codes[0][asks]))]  # in order, binary searches stay in the cache
        asked = Instants(codes[0][asks], at[asks])
        columns = [*spine.columns.values(), *([None] * (len(self.schema) - len(spine.columns)))]
        for tag, plan in enumerate(self.sources, start=1):
            answers = _answers(plan.views, SourceRows(plan, parts[tag], codes[tag], count), asked, self.schema)
            for place, values in answers:
                columns[place] = _spread(values, asks, len(spine.at))
        arrays = [column.cast(field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _require_in_reach(self, spine: Part) -> None:
        if self.between is None or not len(spine.at):
            return
        first, last = (pc.min_max(spine.at)[end].as_py() for end in ("min", "max"))
        if first is not None and not self.between[0] <= first <= last <= self.between[1]:
            raise UsageError(OUTSIDE)


@dataclass(frozen=True)
class Part:
    """The rows of one member: key columns, instants, other columns by name."""

    keys: Sequence[pa.Array]
    at: pa.Array
    columns: Mapping[str, pa.Array]

    @classmethod
    def of(cls, table: pa.Table, keys: int) -> Part:
        whole = [_whole(column) for column in table.columns]
        return cls(whole[:keys], whole[keys], dict(zip(table.column_names[keys + 1 :], whole[keys + 1 :], strict=True)))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def in_slices(answer: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A long batch in pieces that Spark holds easily."""
    for start in range(0, answer.num_rows, ROWS_AT_ONCE):
        yield answer.slice(start, ROWS_AT_ONCE)


class SourceRows:
    """One table's rows, resolved to versions and sorted."""

    def __init__(self, plan: SourcePlan, part: Part, code: NDArray[np.int64], codes: int) -> None:
        self.columns = part.columns
        since = ordering.integers(self.columns[SINCE]) if SINCE in self.columns else versions.without_clock(len(code))
        at = ordering.integers(part.at)
        deciding = [self.columns[name] for name in plan.tie_break]
        ties = [*map(ordering.comparison, deciding), *ordering.signs(deciding)]
        until = None
        if UNTIL in self.columns:
            until = versions.declared_until(self.columns[UNTIL])
        elif plan.identity is not None:
            until = self._until(plan.identity, code, since, [ordering.comparison(part.at), *ties])
        stays = _all_valid(part.at)
        if not plan.is_clocked:
            stays &= versions.latest_only(until, len(code))
        if DELETED in self.columns:
            stays &= ~np.asarray(pc.fill_null(self.columns[DELETED], False).to_numpy(zero_copy_only=False), dtype=bool)
        rows = np.arange(len(code)) if stays.all() else np.flatnonzero(stays)
        later = [ordering.numbers(since), *ties] if plan.is_ordered else []
        order = rows[ordering.sort(Scale(codes, at[rows]).pack(code[rows], at[rows]), _through(rows, later))]
        self.line = Timeline(codes, code[order], at[order], order)
        if plan.is_clocked:
            self.line = replace(self.line, since=since[order], until=None if until is None else until[order])

    def _until(
        self,
        identity: Sequence[str],
        code: NDArray[np.int64],
        since: NDArray[np.int64],
        later: Sequence[ordering.Compare],
    ) -> NDArray[np.int64] | None:
        """Each entity holds all versions of its rows, those that moved elsewhere as deletes: so it resolves its own."""
        columns = [self.columns[name] for name in identity]
        complete = _all_valid(*columns) if columns else np.ones(len(code), dtype=bool)
        words = np.stack([*map(ordering.identities, columns), code], axis=1)
        return versions.in_force_until(words, None if complete.all() else complete, since, later)


def _through(rows: NDArray[np.int64], compares: Sequence[ordering.Compare]) -> list[ordering.Compare]:
    """Comparisons of rows by their place among `rows`."""
    return [lambda few, compare=compare: compare(rows[few]) for compare in compares]  # type: ignore[misc]


def _answers(
    views: Sequence[ViewPlan], source: SourceRows, asked: Instants, schema: pa.Schema
) -> Iterator[tuple[int, pa.Array]]:
    """(place in the output, values by question) for each feature and audit column of a table's views."""
    questions = Questions(source.line, asked)
    by_column: dict[str, Windows] = {}
    for view in views:
        if view.lookups:
            yield from _lookups(view, source, questions, schema)
        for place, ask in zip(view.places if view.windows else (), view.windows, strict=True):
            if ask.column not in by_column:
                by_column[ask.column] = Windows(questions, source.columns[ask.column] if ask.column else None)
            yield place, by_column[ask.column].answer(ask)


def _lookups(
    view: ViewPlan, source: SourceRows, questions: Questions, schema: pa.Schema
) -> Iterator[tuple[int, pa.Array]]:
    line, asked = source.line, questions.asked
    found = questions.as_of
    event = line.at[found] if len(line) else np.zeros(len(asked), dtype=np.int64)
    if view.ttl is not None:
        found = np.where(asked.at - event <= view.ttl, found, -1)
    missing = found < 0
    rows = line.rows[found] if len(line) else found
    index = pa.array(rows, mask=missing)
    for place, name in zip(view.places, view.lookups, strict=True):
        yield place, source.columns[name].take(index)
    if view.audit:
        place_event, place_age = view.audit
        yield place_event, ordering.from_integers(event, schema.field(place_event).type, ~missing)
        yield place_age, pa.array((asked.at - event) / MICROS, mask=missing)


def entity_codes(parts: Mapping[int, Part]) -> tuple[dict[int, NDArray[np.int64]], int]:
    """Entities as small integers, the same in every member; how many there are."""
    sizes = [len(part.at) for part in parts.values()]
    codes = np.zeros(sum(sizes), dtype=np.int64)
    count = 1
    for columns in zip(*(part.keys for part in parts.values()), strict=True):
        distinct, code = ordering.dictionary(pa.concat_arrays(columns))
        codes = codes * max(len(distinct), 1) + code
        count *= max(len(distinct), 1)
        if count > len(codes):
            dense, codes = np.unique(codes, return_inverse=True)
            count = len(dense)
    ends = np.cumsum(sizes)
    return {tag: codes[end - size : end] for tag, end, size in zip(parts, ends, sizes, strict=True)}, max(count, 1)


def _all_valid(*columns: pa.Array) -> NDArray[np.bool_]:
    valid = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        if (mask := ordering.validity(column)) is not None:
            valid &= mask
    return valid


def _spread(values: pa.Array, asks: NDArray[np.int64], count: int) -> pa.Array:
    """Answers at the rows that asked, null at all others."""
    index = np.zeros(count, dtype=np.int64)
    index[asks] = np.arange(len(asks))
    silent = np.ones(count, dtype=bool)
    silent[asks] = False
    return values.take(pa.array(index, mask=silent))
