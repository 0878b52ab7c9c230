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
from scorelake.features.windows import MICROS, Ask, Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

SINCE, DELETED, WORDS = "#since", "#deleted", ("#word0", "#word1")
"""Names of the engine's own columns among a source's; no column of a table begins with #."""
ROWS_AT_ONCE = 65_536


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
    """One table: its columns in the order in which they arrive, its clocks, its ties, and the views over it."""

    columns: Sequence[str]
    is_clocked: bool
    is_ordered: bool
    tie_break: Sequence[str]
    views: Sequence[ViewPlan]


@dataclass(frozen=True)
class Bucket:
    """The whole plan of one shuffle; called with the batches of a partition.

    Columns arrive as tag, keys, instant, slots; `members` names those of the spine (0) and of each source (1, 2, ...).
    """

    keys: int
    members: Mapping[int, Sequence[str]]
    sources: Sequence[SourcePlan]
    schema: pa.Schema
    between: tuple[int, int] | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = wire.split(batches, self.members)
        if not tables or not len(tables[0][0]):
            return
        answer = self._answer({tag: _part(columns, self.keys) for tag, columns in tables.items()})
        for start in range(0, answer.num_rows, ROWS_AT_ONCE):
            yield answer.slice(start, ROWS_AT_ONCE)

    def _answer(self, parts: Mapping[int, _Part]) -> pa.RecordBatch:
        spine = parts[0]
        self._require_in_reach(spine)
        codes, count = _codes(parts)
        asks = np.flatnonzero(_all_valid(*spine.keys, spine.at))
        asked = Instants(codes[0][asks], ordering.integers(spine.at)[asks])
        columns = [*spine.columns, *([None] * (len(self.schema) - len(spine.columns)))]
        for tag, plan in enumerate(self.sources, start=1):
            source = _Source(plan, parts[tag], codes[tag], count)
            for view in plan.views:
                for place, values in _features(view, source, asked, self.schema):
                    columns[place] = _spread(values, asks, len(spine.at))
        arrays = [column.cast(field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _require_in_reach(self, spine: _Part) -> None:
        if self.between is None or not len(spine.at):
            return
        first, last = (pc.min_max(spine.at)[end].as_py() for end in ("min", "max"))
        if first is not None and not self.between[0] <= first <= last <= self.between[1]:
            raise UsageError("the spine holds an instant outside `between`; widen it, or leave it out")


@dataclass(frozen=True)
class _Part:
    """The rows of one member: key columns, instants, other columns."""

    keys: Sequence[pa.Array]
    at: pa.Array
    columns: Sequence[pa.Array]


def _part(columns: Sequence[pa.Array], keys: int) -> _Part:
    return _Part(columns[:keys], columns[keys], columns[keys + 1 :])


class _Source:
    """One table's rows, resolved to versions and sorted."""

    def __init__(self, plan: SourcePlan, part: _Part, code: NDArray[np.int64], codes: int) -> None:
        self.columns = dict(zip(plan.columns, part.columns, strict=True))
        since = ordering.integers(self.columns[SINCE]) if SINCE in self.columns else versions.without_clock(len(code))
        at = ordering.integers(part.at)
        ties = [ordering.comparison(self.columns[name]) for name in plan.tie_break]
        until, stays = None, np.ones(len(code), dtype=bool)
        if WORDS[0] in self.columns:
            until = self._until(code, since, [ordering.comparison(part.at), *ties])
            if not plan.is_clocked:
                stays, until = versions.latest_only(until, len(code)), None
        stays &= _all_valid(part.at)
        if DELETED in self.columns:
            stays &= ~np.asarray(pc.fill_null(self.columns[DELETED], False).to_numpy(zero_copy_only=False), dtype=bool)
        rows = np.arange(len(code)) if stays.all() else np.flatnonzero(stays)
        later = [ordering.numbers(since), *ties] if plan.is_ordered else []
        order = rows[ordering.sort(Scale(codes, at[rows]).pack(code[rows], at[rows]), _through(rows, later))]
        self.line = Timeline(codes, code[order], at[order], order)
        if plan.is_clocked:
            self.line = replace(self.line, since=since[order], until=None if until is None else until[order])

    def _until(
        self, code: NDArray[np.int64], since: NDArray[np.int64], later: Sequence[ordering.Compare]
    ) -> NDArray[np.int64] | None:
        """Each entity holds all versions of its rows, those that moved elsewhere as deletes: so it resolves its own."""
        words = [self.columns[name] for name in WORDS if name in self.columns]
        has_identity = ordering.validity(words[0])
        identity = np.stack([*map(ordering.integers, words), code], axis=1)
        return versions.in_force_until(identity, has_identity, since, later)


def _through(rows: NDArray[np.int64], compares: Sequence[ordering.Compare]) -> list[ordering.Compare]:
    """Comparisons of rows by their place among `rows`."""
    return [lambda few, compare=compare: compare(rows[few]) for compare in compares]  # type: ignore[misc]


def _features(view: ViewPlan, source: _Source, asked: Instants, schema: pa.Schema) -> Iterator[tuple[int, pa.Array]]:
    """(place in the output, values by question) for each feature and audit column of a view."""
    if view.lookups:
        yield from _lookups(view, source, asked, schema)
        return
    shared: dict[str, Windows] = {}
    for place, ask in zip(view.places, view.windows, strict=True):
        if ask.column not in shared:
            column = source.columns[ask.column] if ask.column else None
            shared[ask.column] = Windows(source.line, asked, column)
        yield place, shared[ask.column].answer(ask)


def _lookups(view: ViewPlan, source: _Source, asked: Instants, schema: pa.Schema) -> Iterator[tuple[int, pa.Array]]:
    line = source.line
    found = line.last_visible(line.axis.starts(asked), line.axis.earlier(asked.back(-1)), asked.at)
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


def _codes(parts: Mapping[int, _Part]) -> tuple[dict[int, NDArray[np.int64]], int]:
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
    if len(asks) == count:
        return values
    index = np.zeros(count, dtype=np.int64)
    index[asks] = np.arange(len(asks))
    silent = np.ones(count, dtype=bool)
    silent[asks] = False
    return values.take(pa.array(index, mask=silent))
