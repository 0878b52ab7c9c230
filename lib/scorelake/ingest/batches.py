"""Records of a text as Arrow batches, and batches with the provenance of their file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from scorelake.ingest.records import Record

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 20_000
_BATCH_BYTES = 8 << 20


def numbered(
    batches: Iterator[pa.RecordBatch], file: str, run_date: date, *, before: int = 0
) -> Generator[pa.RecordBatch, None, int]:
    """Batches with provenance, rows numbered from `before` + 1 on; returns how many rows they held."""
    import pyarrow as pa

    rows = 0
    for batch in batches:
        count = batch.num_rows
        numbers = pa.array(range(before + rows + 1, before + rows + count + 1), pa.int64())
        provenance = [pa.repeat(file, count), numbers, pa.repeat(pa.scalar(run_date), count)]
        names = [*batch.schema.names, "source_file", "source_row", "run_date"]
        yield pa.RecordBatch.from_arrays([*batch.columns, *provenance], names=names)
        rows += count
    return rows


def grouped(records: Iterable[Record], covered: Callable[[], int]) -> Iterator[list[Record]]:
    """Records in groups that are bounded by rows and by the bytes of the file that they came from."""
    group: list[Record] = []
    start = covered()
    for record in records:
        group.append(record)
        if len(group) >= _BATCH_ROWS or covered() - start >= _BATCH_BYTES:
            yield group
            group, start = [], covered()
    if group:
        yield group


def as_batch(records: Sequence[Record], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    values = zip(*(record.values for record in records), strict=True)
    columns = [pa.array(column, pa.string()) for column in values]
    raw = pa.array([record.raw for record in records], pa.string())
    extras = [None if record.extra is None else list(record.extra.items()) for record in records]
    extra = pa.array(extras, pa.map_(pa.string(), pa.string()))
    return pa.RecordBatch.from_arrays([*columns, raw, extra], names=[*schema.names, "raw", "extra"])


def with_raw(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A Parquet row can always be split: raw stays null."""
    import pyarrow as pa

    *columns, extra = batch.columns
    *names, _ = batch.schema.names
    raw = pa.nulls(batch.num_rows, pa.string())
    return pa.RecordBatch.from_arrays([*columns, raw, extra], names=[*names, "raw", "extra"])
