"""Rows as files with a manifest, the way a source would land them: what was exported can be ingested again.

CSV is written as `delimited` reads it (empty: null, "": the empty text), JSON one object a line, Parquet with its own
types. Every file is written by the task that holds its rows; a task that is tried again writes the same name again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from scorelake.ingest import storage
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "json", "parquet")
WRITTEN = "file STRING, bytes BIGINT, rows BIGINT, sha256 STRING"


@dataclass(frozen=True)
class Written:
    """One file, by its name in the folder."""

    file: str
    bytes: int
    rows: int
    sha256: str


def export(frame: DataFrame, folder: str, kind: Format) -> list[Written]:
    """The rows of `frame` as files in `folder`, and `manifest.csv`, last, naming each with bytes, rows and sha256.

    Maps, arrays and structs are JSON texts in CSV. What comes back is one line a file; an empty frame gives one file.
    """
    shaped = _shaped(frame, kind)
    rows = shaped.mapInArrow(_Files(folder, kind, tuple(shaped.columns)), WRITTEN).collect()
    found = sorted((Written(**row.asDict()) for row in rows), key=lambda each: each.file)
    if not found:
        empty = _Files(folder, kind, tuple(shaped.columns)).written("part-00000", [shaped.limit(0).toArrow()])
        found = [empty]
    lines = ["file,bytes,rows,sha256", *(f"{each.file},{each.bytes},{each.rows},{each.sha256}" for each in found)]
    with storage.create_binary(storage.join(folder, "manifest.csv")) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())
    return found


def _shaped(frame: DataFrame, kind: Format) -> DataFrame:
    """The rows as they are written: typed, as texts, or as one JSON text each."""
    from pyspark.sql import functions as F

    if kind == "parquet":
        return frame
    if kind == "json":
        row = F.struct(*map(quoted, frame.columns))
        return frame.select(F.to_json(row, {"ignoreNullFields": "false"}).alias("json"))
    columns = []
    for name, type_ in frame.dtypes:
        column = F.col(quoted(name))
        is_nested = type_.startswith(("array<", "map<", "struct<"))
        columns.append((F.to_json(column) if is_nested else column.cast("string")).alias(name))
    return frame.select(*columns)


@dataclass(frozen=True)
class _Files:
    """Batches of a task -> one row about the file that it wrote; a task without rows writes none."""

    folder: str
    kind: Format
    columns: tuple[str, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        context = TaskContext.get()
        name = f"part-{context.partitionId() if context is not None else 0:05d}"
        with_rows = (batch for batch in batches if batch.num_rows)
        first = next(with_rows, None)
        if first is not None:
            found = self.written(name, _chained(first, with_rows))
            row = {key: [value] for key, value in vars(found).items()}
            yield pa.RecordBatch.from_pydict(row)

    def written(self, name: str, batches: Iterable[Any]) -> Written:
        """The file of these batches or tables."""
        file = f"{name}.{self.kind}"
        path = storage.join(self.folder, file)
        rows = 0
        with storage.create_binary(path) as target:
            out = storage.Digested(target)
            write = _WRITERS[self.kind](out)
            for batch in batches:
                write(batch)
                rows += batch.num_rows
            write(None)
        return Written(file, out.size, rows, out.sha256())


def _chained(first: Any, rest: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from rest


Write = Callable[[Any], None]
"""Takes one batch or table after the other, at last None."""


def _json(out: IO[bytes]) -> Write:
    def write(batch: Any) -> None:
        if batch is not None:
            out.write("".join(f"{line}\n" for line in batch.column(0).to_pylist()).encode())

    return write


def _csv(out: IO[bytes]) -> Write:
    from pyarrow import csv

    headed = [False]

    def write(batch: Any) -> None:
        if batch is not None:
            options = csv.WriteOptions(include_header=not headed[0], quoting_style="needed")
            block = io.BytesIO()
            csv.write_csv(batch, block, options)
            out.write(block.getvalue())
            headed[0] = True

    return write


def _parquet(out: IO[bytes]) -> Write:
    import pyarrow.parquet as pq

    writers: list[Any] = []

    def write(batch: Any) -> None:
        if batch is None:
            writers[0].close()
            return
        if not writers:
            writers.append(pq.ParquetWriter(out, batch.schema))
        (writers[0].write_batch if hasattr(batch, "serialize") else writers[0].write_table)(batch)

    return write


_WRITERS: dict[str, Callable[[Any], Write]] = {"json": _json, "csv": _csv, "parquet": _parquet}
