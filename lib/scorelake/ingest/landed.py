"""One landed file, on a worker: its fingerprint and count, or its rows as Arrow batches with provenance."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import IO, TYPE_CHECKING, Protocol

from scorelake.errors import ContractBroken, DamagedFile, MissingInput, ScorelakeError
from scorelake.ingest import storage
from scorelake.ingest.delimited import Delimited
from scorelake.ingest.json_rows import JsonArray, JsonLines
from scorelake.ingest.parquet_rows import Parquet
from scorelake.ingest.records import Parser, Record, Shape
from scorelake.tables import FileSource

if TYPE_CHECKING:
    import pyarrow as pa

ERRORS: dict[str, type[ScorelakeError]] = {
    error.__name__: error for error in (ContractBroken, DamagedFile, MissingInput)
}
"""What can be wrong with a file, by the name that stands in `LandedFile.problem`."""
_BATCH_ROWS = 20_000
_BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class LandedFile:
    """One file of a drop as it was found. `file` is its name below the landing root.

    `rows` counts malformed ones too. `problem` is 'Class: message' of what forbids to ingest it, else empty.
    """

    run_date: date
    path: str
    file: str
    bytes: int = 0
    sha256: str = ""
    rows: int = 0
    malformed: int = 0
    problem: str = ""
    new_columns: Sequence[str] = ()

    def error(self) -> ScorelakeError | None:
        kind, _, message = self.problem.partition(": ")
        return ERRORS[kind](message) if kind else None


INSPECTED = (
    "run_date DATE, path STRING, file STRING, bytes BIGINT, sha256 STRING, rows BIGINT, malformed BIGINT, "
    "problem STRING, new_columns ARRAY<STRING>"
)
"""LandedFile as a row."""


class Opened(Protocol):
    """A file being read: its content in chunks, then its size and digest as a whole."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Contract columns, raw and extra."""

    def counts(self) -> Iterator[tuple[int, int]]:
        """Rows and malformed rows, chunk by chunk; as cheap as can be."""

    def fingerprint(self) -> tuple[int, str]:
        """Bytes and sha256 of the whole file, after its content was read."""

    def new_columns(self) -> list[str]:
        """Columns that the contract does not know, after the content was read."""


@dataclass(frozen=True)
class Reader:
    """How the files of one contract are read. `schema`: contract columns with Arrow types."""

    source: FileSource
    shape: Shape
    schema: pa.Schema

    def opened(self, stream: IO[bytes], file: str) -> Opened:
        if self.source.kind == "parquet":
            return _OpenedParquet(Parquet(self.shape, self.schema, self.source.time_zone), stream, file)
        return _OpenedText(self._parser(), self.schema, stream, file)

    def _parser(self) -> Parser:
        source = self.source
        if source.kind == "csv":
            return Delimited(self.shape, delimiter=source.delimiter, quote=source.quote, encoding=source.encoding)
        array_or_lines = JsonArray if source.kind == "json" else JsonLines
        return array_or_lines(self.shape, encoding=source.encoding)


class _OpenedText:
    def __init__(
        self,
        parser: Parser,
        schema: pa.Schema,
        stream: IO[bytes],
        file: str,
    ) -> None:
        self._schema = schema
        self._stream = storage.Fingerprinted(stream)
        self._parser = parser
        self._records = parser(self._stream, file)

    def batches(self) -> Iterator[pa.RecordBatch]:
        return (_as_batch(group, self._schema) for group in _grouped(self._records, self._stream))

    def counts(self) -> Iterator[tuple[int, int]]:
        return ((1, int(record.raw is not None)) for record in self._records)

    def fingerprint(self) -> tuple[int, str]:
        digest = self._stream.drain()
        return self._stream.size, digest

    def new_columns(self) -> list[str]:
        return self._parser.new_columns


class _OpenedParquet:
    def __init__(self, parquet: Parquet, stream: IO[bytes], file: str) -> None:
        whole = storage.Fingerprinted(stream)
        digest = whole.drain()
        self._fingerprint = whole.size, digest
        stream.seek(0)
        self._parquet = parquet
        self._batches = parquet.batches(stream, file)

    def batches(self) -> Iterator[pa.RecordBatch]:
        return map(_with_raw, self._batches)

    def counts(self) -> Iterator[tuple[int, int]]:
        return ((batch.num_rows, 0) for batch in self._batches)

    def fingerprint(self) -> tuple[int, str]:
        return self._fingerprint

    def new_columns(self) -> list[str]:
        return self._parquet.new_columns


# ------------------------------------------------------------------ the two passes


@dataclass(frozen=True)
class Look:
    """File -> one row of INSPECTED."""

    reader: Reader

    def __call__(self, landed: LandedFile) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        text, number = pa.string(), pa.int64()
        types = [pa.date32(), text, text, number, text, number, number, text, pa.list_(text)]
        row = asdict(self.inspected(landed))
        yield pa.RecordBatch.from_pylist([row], schema=pa.schema(zip(row, types, strict=True)))

    def inspected(self, landed: LandedFile) -> LandedFile:
        """What the file turned out to be; every problem with it is told, none is raised."""
        rows = malformed = 0
        try:
            with storage.open_binary(landed.path) as stream:
                opened = self.reader.opened(stream, landed.file)
                for more_rows, more_malformed in opened.counts():
                    rows += more_rows
                    malformed += more_malformed
                size, digest = opened.fingerprint()
                new = opened.new_columns()
        except FileNotFoundError:
            return replace(landed, problem=f"MissingInput: {landed.file}: it was listed and is gone; land it again")
        except (DamagedFile, ContractBroken) as error:
            return replace(landed, problem=f"{type(error).__name__}: {error}")
        except OSError as error:
            return replace(landed, problem=f"DamagedFile: {landed.file}: cannot be read: {error.strerror or error}")
        return replace(landed, bytes=size, sha256=digest, rows=rows, malformed=malformed, new_columns=new)


@dataclass(frozen=True)
class Rows:
    """File -> its rows with source_file, source_row and run_date; the very rows that were inspected, or an error."""

    reader: Reader

    def __call__(self, landed: LandedFile) -> Iterator[pa.RecordBatch]:
        try:
            with storage.open_binary(landed.path) as stream:
                opened = self.reader.opened(stream, landed.file)
                rows = yield from _numbered(opened.batches(), landed)
                found = (*opened.fingerprint(), rows)
        except FileNotFoundError:
            raise MissingInput(f"{landed.file}: it was listed and is gone; land it again") from None
        if found != (landed.bytes, landed.sha256, landed.rows):
            raise DamagedFile(f"{landed.file}: it changed while it was read; run again when it has landed whole")


def _numbered(batches: Iterator[pa.RecordBatch], landed: LandedFile) -> Generator[pa.RecordBatch, None, int]:
    """Batches with provenance; returns how many rows they held."""
    import pyarrow as pa

    rows = 0
    for batch in batches:
        count = batch.num_rows
        numbers = pa.array(range(rows + 1, rows + count + 1), pa.int64())
        provenance = [pa.repeat(landed.file, count), numbers, pa.repeat(pa.scalar(landed.run_date), count)]
        names = [*batch.schema.names, "source_file", "source_row", "run_date"]
        yield pa.RecordBatch.from_arrays([*batch.columns, *provenance], names=names)
        rows += count
    return rows


# ------------------------------------------------------------------ records and batches


def _grouped(records: Iterable[Record], stream: storage.Fingerprinted) -> Iterator[list[Record]]:
    """Records in groups that are bounded by rows and by the bytes of the file that they came from."""
    group: list[Record] = []
    start = stream.size
    for record in records:
        group.append(record)
        if len(group) >= _BATCH_ROWS or stream.size - start >= _BATCH_BYTES:
            yield group
            group, start = [], stream.size
    if group:
        yield group


def _as_batch(records: Sequence[Record], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    values = zip(*(record.values for record in records), strict=True)
    columns = [pa.array(column, pa.string()) for column in values]
    raw = pa.array([record.raw for record in records], pa.string())
    extras = [None if record.extra is None else list(record.extra.items()) for record in records]
    extra = pa.array(extras, pa.map_(pa.string(), pa.string()))
    return pa.RecordBatch.from_arrays([*columns, raw, extra], names=[*schema.names, "raw", "extra"])


def _with_raw(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A Parquet row can always be split: raw stays null."""
    import pyarrow as pa

    *columns, extra = batch.columns
    *names, _ = batch.schema.names
    raw = pa.nulls(batch.num_rows, pa.string())
    return pa.RecordBatch.from_arrays([*columns, raw, extra], names=[*names, "raw", "extra"])
