"""Source rows that Python workers read from Parquet files themselves.

Handing 2 M rows of 12 columns from the JVM to Python costs 2.5 CPU seconds, more than the rest of a join; Arrow reads
them from their file in 0.2. Files of another scheme than `file:` are left to Spark, which knows how to reach them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from scorelake.features import wire
from scorelake.features.clock import micros, quoted
from scorelake.features.shares import share_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_ROWS_AT_ONCE = 131_072
EVERYWHERE_BYTES = 256 << 20
"""Tables up to this size are read by every task that needs some of their rows: a shuffle would cost more."""
_LEAST_BYTES, _MOST_BYTES = 32 << 20, 128 << 20
"""Of a task: fewer would not pay its start, more could not be spread over the workers."""

Piece = tuple[str, int, int]
"""A file and the byte range in which its row groups begin."""


@dataclass(frozen=True)
class Bound:
    """Rows of interest: `column` is not null and, if it is a timestamp, within [least, greatest] microseconds."""

    column: str
    least: int | None = None
    greatest: int | None = None

    def expression(self) -> Column:
        column = F.col(quoted(self.column))
        conditions = [column.isNotNull()]
        if self.least is not None:
            conditions.append(column >= F.timestamp_micros(F.lit(self.least)))
        if self.greatest is not None:
            conditions.append(column <= F.timestamp_micros(F.lit(self.greatest)))
        return reduce(lambda one, other: one & other, conditions)

    def mask(self, column: pa.Array) -> pa.Array | None:
        """True at rows of interest; None where all are."""
        if self.least is None and self.greatest is None:
            return column.is_valid() if column.null_count else None
        at = column.cast(pa.int64())
        conditions = []
        if self.least is not None:
            conditions.append(pc.greater_equal(at, self.least))
        if self.greatest is not None:
            conditions.append(pc.less_equal(at, self.greatest))
        return pc.fill_null(reduce(pc.and_, conditions), False)

    def excludes(self, statistics: Any) -> bool:
        """Whether no row of a row group can be of interest."""
        if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, datetime):
            return False
        least, greatest = (micros(_aware(end)) for end in (statistics.min, statistics.max))
        too_late = self.greatest is not None and least > self.greatest
        return too_late or (self.least is not None and greatest < self.least)


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def local_paths(rows: DataFrame, columns: Iterable[str]) -> tuple[str, ...] | None:
    """The files of a frame that is a plain scan; None where workers cannot read `columns` from them by path."""
    paths = [urlsplit(path) for path in rows.inputFiles()]
    if any(path.scheme != "file" or path.netloc for path in paths):
        return None
    local = tuple(unquote(path.path) for path in paths)
    if not all(Path(path).is_file() for path in local):  # Spark leaves some odd characters in its URIs as they are
        return None
    folders = {name for path in local for name in Path(path).parts[:-1] if "=" in name}
    partitioned_by = {name.partition("=")[0] for name in folders}
    if any("." in name or name in partitioned_by for name in columns):
        return None
    return local


@dataclass(frozen=True)
class Table:
    """The files of one table. `columns` are those of the member, by the names in the files; `size` is in bytes."""

    paths: Sequence[str]
    size: int
    columns: Mapping[str, str]
    types: pa.Schema
    schema: pa.Schema
    bounds: Sequence[Bound]

    def of_shares(self, shares: Sequence[int], keys: int, buckets: int) -> pa.Table:
        """All rows of some shares of the entities."""
        is_wanted = np.zeros(buckets, dtype=bool)
        is_wanted[shares] = True
        found = []
        for piece in pieces(self.paths):
            for rows in self.read(piece):
                mine = is_wanted[share_of(rows.columns[:keys], rows.column(keys), buckets)]
                found.append(rows if mine.all() else rows.filter(pa.array(mine)))
        return pa.Table.from_batches(found, self.schema)

    def read(self, piece: Piece) -> Iterator[pa.RecordBatch]:
        from pyarrow import parquet

        path, begin, end = piece
        with parquet.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
            groups = [group for group in self._groups(file.metadata) if begin <= group.begin < end]
            spelled = self._spelled(file.schema_arrow.names)
            names = list(spelled.values())
            wanted = [group.number for group in groups if not group.is_excluded]
            for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=wanted, columns=names, use_threads=False):
                yield self._member(batch, spelled)

    def _spelled(self, names: Sequence[str]) -> dict[str, str]:
        """Column -> its name in a file, which may differ in case, as it may for Spark; without those it lacks."""
        by_lower = {name.lower(): name for name in names}
        found = {name: name if name in names else by_lower.get(name.lower()) for name in self.types.names}
        return {name: there for name, there in found.items() if there is not None}

    def _groups(self, metadata: Any) -> Iterator[_Group]:
        position = {metadata.schema.column(number).path: number for number in range(metadata.num_columns)}
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            known = [bound for bound in self.bounds if bound.column in position]
            excluded = any(bound.excludes(group.column(position[bound.column]).statistics) for bound in known)
            yield _Group(number, group.column(0).data_page_offset, excluded)

    def _member(self, batch: pa.RecordBatch, spelled: Mapping[str, str]) -> pa.RecordBatch:
        """A column that the file does not have was added to the table later: null."""
        found = {
            field.name: batch.column(spelled[field.name]).cast(field.type)
            if field.name in spelled
            else pa.nulls(batch.num_rows, field.type)
            for field in self.types
        }
        arrays = [found[self.columns[field.name]].cast(field.type) for field in self.schema]
        rows = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        masks = [mask for bound in self.bounds if (mask := bound.mask(found[bound.column])) is not None]
        return rows.filter(reduce(pc.and_, masks)) if masks else rows


@dataclass(frozen=True)
class _Group:
    number: int
    begin: int
    is_excluded: bool


@dataclass(frozen=True)
class Scan:
    """Reads a table's files and packs their rows, a share of them a task. Runs in Python workers."""

    table: Table
    tasks: Sequence[Sequence[Piece]]
    pack: wire.Pack

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tasks = [task for batch in batches for task in batch.column(0).to_pylist()]
        yield from self.pack(rows for task in tasks for piece in self.tasks[task] for rows in self.table.read(piece))


def pieces(paths: Sequence[str], size: int = 1 << 62) -> Iterator[Piece]:
    """Every file, cut where it is longer than `size` bytes."""
    for path in paths:
        length = Path(path).stat().st_size
        for begin in range(0, max(length, 1), size):
            yield path, begin, min(begin + size, max(length, 1))


def packed(session: SparkSession, table: Table, pack: wire.Pack, tasks: int) -> DataFrame:
    """The rows of a table on the wire, read by about `tasks` tasks of moderate size."""
    share = min(max(table.size // tasks + 1, _LEAST_BYTES), _MOST_BYTES)
    found: list[list[Piece]] = []
    filled = share
    for path, begin, end in pieces(table.paths, share):
        if filled + end - begin > share:
            found.append([])
            filled = 0
        found[-1].append((path, begin, end))
        filled += end - begin
    return session.range(0, len(found), 1, max(len(found), 1)).mapInArrow(Scan(table, found, pack), wire.SCHEMA)
