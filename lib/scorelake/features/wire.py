"""How rows travel to their entity's partition: as Arrow batches packed by bucket, a few large binary values.

Spark shuffles row by row otherwise, which costs more than everything else together. A bucket is a share of all
entities; a member is the spine (0) or one of the source tables (1, 2, ...).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql.types import StructField, StructType

from scorelake.features.shares import share_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MEMBER, BUCKET, ROWS, AT = "#member", "#bucket", "#rows", "#at"
SCHEMA = f"`{MEMBER}` tinyint, `{BUCKET}` int, `{ROWS}` binary"
_ROWS_A_BUCKET = 4_096
_LEAST_ROWS = 131_072
_MOST_BYTES = 128 << 20
_TOGETHER_BYTES = 256 << 20

Members = dict[int, pa.Table]


def key_column(number: int) -> str:
    return f"#key{number}"


def value_column(number: int) -> str:
    """Tables may call their columns anything, but Spark hands Python none whose name has a dot or a backtick."""
    return f"#value{number}"


def by_position(fields: Sequence[StructField]) -> StructType:
    """The same fields under names that travel."""
    numbered = enumerate(fields)
    return StructType([StructField(value_column(i), f.dataType, f.nullable, f.metadata) for i, f in numbered])


@dataclass(frozen=True)
class Pack:
    """Packs the rows of one member, `keys` first, then their instant, by bucket. Runs in Python workers."""

    member: int
    keys: int
    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in batches:
            held.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= max(_LEAST_ROWS, _ROWS_A_BUCKET * self.buckets) or size >= _MOST_BYTES:
                yield self._packed(held)
                held, rows, size = [], 0, 0
        if rows:
            yield self._packed(held)

    def _packed(self, held: list[pa.RecordBatch]) -> pa.RecordBatch:
        (rows,) = held if len(held) == 1 else pa.Table.from_batches(held).combine_chunks().to_batches()
        bucket = share_of(rows.columns[: self.keys], rows.column(self.keys), self.buckets)
        order = np.argsort(bucket.astype(np.int16 if self.buckets <= 1 << 15 else np.int32), kind="stable")
        in_order = rows.take(pa.array(order))
        ends = np.cumsum(np.bincount(bucket, minlength=self.buckets))
        present = np.flatnonzero(np.diff(ends, prepend=0))
        begins = np.r_[0, ends]
        blobs = [_written(in_order.slice(begins[one], ends[one] - begins[one])) for one in present]
        member = pa.array(np.full(len(present), self.member, dtype=np.int8))
        bucket_of = pa.array(present.astype(np.int32))
        return pa.RecordBatch.from_arrays([member, bucket_of, pa.array(blobs, pa.binary())], [MEMBER, BUCKET, ROWS])


def _written(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())


def unpack(batches: Iterable[pa.RecordBatch], empty: Mapping[int, pa.Schema]) -> Iterator[tuple[list[int], Members]]:
    """Some buckets and their rows, each once: of all at a time, or one by one where all would be too much for a worker.

    `empty` is the schema of a member without rows. A bucket's rows always come together.
    """
    found: dict[int, list[tuple[int, pa.Buffer]]] = {}
    total = 0
    for batch in batches:
        for member, bucket, rows in zip(*(batch.column(name) for name in (MEMBER, BUCKET, ROWS)), strict=True):
            found.setdefault(bucket.as_py(), []).append((member.as_py(), rows.as_buffer()))
            total += rows.as_buffer().size
    if not found:
        return
    if total <= _TOGETHER_BYTES:
        yield list(found), _read([blob for blobs in found.values() for blob in blobs], empty)
        return
    for bucket in list(found):
        yield [bucket], _read(found.pop(bucket), empty)


def _read(blobs: list[tuple[int, pa.Buffer]], empty: Mapping[int, pa.Schema]) -> Members:
    tables: dict[int, list[pa.Table]] = {member: [] for member in empty}
    for member, rows in blobs:
        tables[member].append(pa.ipc.open_stream(rows).read_all())
    return {
        member: pa.concat_tables(some).combine_chunks() if some else empty[member].empty_table()
        for member, some in tables.items()
    }


def packed(frame: DataFrame, pack: Pack) -> DataFrame:
    """A member's rows on the wire."""
    return frame.mapInArrow(pack, SCHEMA)
