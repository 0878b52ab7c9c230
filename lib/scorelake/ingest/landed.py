"""One landed file, on a worker: its fingerprint and count, or its rows as Arrow batches with provenance."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import IO, TYPE_CHECKING, Protocol

from scorelake.errors import ContractBroken, DamagedFile, MissingInput, ScorelakeError
from scorelake.ingest import batches, storage
from scorelake.ingest.delimited import Delimited
from scorelake.ingest.json_rows import JsonArray, JsonLines
from scorelake.ingest.parquet_rows import Parquet
from scorelake.ingest.parts import START, Cut, Cutter, Part, between
from scorelake.ingest.records import Parser, Shape, Span
from scorelake.tables import FileSource

if TYPE_CHECKING:
    import pyarrow as pa

ERRORS: dict[str, type[ScorelakeError]] = {
    error.__name__: error for error in (ContractBroken, DamagedFile, MissingInput)
}
"""What can be wrong with a file, by the name that stands in `LandedFile.problem`."""


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
    cuts: Sequence[tuple[int, int]] = ()

    def shares(self) -> list[Share]:
        """How tasks may share the file: its parts, or the whole of it."""
        return [Share(self, part) for part in between(self.cuts, self.bytes)] or [Share(self)]

    def error(self) -> ScorelakeError | None:
        kind, _, message = self.problem.partition(": ")
        return ERRORS[kind](message) if kind else None


INSPECTED = (
    "run_date DATE, path STRING, file STRING, bytes BIGINT, sha256 STRING, rows BIGINT, malformed BIGINT, "
    "problem STRING, new_columns ARRAY<STRING>, "
    "cuts ARRAY<STRUCT<at: BIGINT, rows: BIGINT>>"
)
"""LandedFile as a row."""


@dataclass(frozen=True)
class Share:
    """What one task reads at a time: a part of a file, or the whole."""

    file: LandedFile
    part: Part | None = None

    @property
    def bytes(self) -> int:
        return self.file.bytes if self.part is None else self.part.bytes


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

    def cuts(self) -> list[Cut]:
        """Where the file may be cut, after its content was counted."""


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

    def part(self, stream: IO[bytes], file: str, part: Part) -> Iterator[pa.RecordBatch]:
        """The batches of a part of a file that was looked through."""
        if self.source.kind == "parquet":
            parquet = Parquet(self.shape, self.schema, self.source.time_zone)
            return map(batches.with_raw, parquet.batches(stream, file, range(part.start.at, part.stop.at)))
        records = self._parser().part(stream, file, Span(part.start.at, part.stop.at))
        return (batches.as_batch(group, self.schema) for group in batches.grouped(records, stream.tell))

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
        self._cutter = Cutter()
        self._rows = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        return (
            batches.as_batch(group, self._schema) for group in batches.grouped(self._records, lambda: self._stream.size)
        )

    def counts(self) -> Iterator[tuple[int, int]]:
        for record in self._records:
            self._rows += 1
            yield 1, int(record.raw is not None)
            end = self._parser.end
            if end is not None:
                self._cutter.offer(end, Cut(end, self._rows))

    def fingerprint(self) -> tuple[int, str]:
        digest = self._stream.drain()
        return self._stream.size, digest

    def new_columns(self) -> list[str]:
        return self._parser.new_columns

    def cuts(self) -> list[Cut]:
        is_packed = self._parser.end != self._stream.size
        return [] if is_packed else self._cutter.ended(Cut(self._stream.size, self._rows))


class _OpenedParquet:
    def __init__(self, parquet: Parquet, stream: IO[bytes], file: str) -> None:
        whole = storage.Fingerprinted(stream)
        digest = whole.drain()
        self._fingerprint = whole.size, digest
        stream.seek(0)
        self._parquet = parquet
        self._batches = parquet.batches(stream, file)

    def batches(self) -> Iterator[pa.RecordBatch]:
        return map(batches.with_raw, self._batches)

    def counts(self) -> Iterator[tuple[int, int]]:
        return ((batch.num_rows, 0) for batch in self._batches)

    def fingerprint(self) -> tuple[int, str]:
        return self._fingerprint

    def new_columns(self) -> list[str]:
        return self._parquet.new_columns

    def cuts(self) -> list[Cut]:
        cutter, covered, rows = Cutter(), 0, 0
        for number, (of_group, size) in enumerate(self._parquet.groups_seen, 1):
            covered, rows = covered + size, rows + of_group
            cutter.offer(covered, Cut(number, rows))
        return cutter.ended(Cut(len(self._parquet.groups_seen), rows))


# ------------------------------------------------------------------ the two passes


@dataclass(frozen=True)
class Look:
    """File -> one row of INSPECTED."""

    reader: Reader

    def __call__(self, landed: LandedFile) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        text, number = pa.string(), pa.int64()
        cuts = pa.list_(pa.struct([("at", number), ("rows", number)]))
        types = [pa.date32(), text, text, number, text, number, number, text, pa.list_(text), cuts]
        row = asdict(self.inspected(landed))
        row["cuts"] = [{"at": at, "rows": rows} for at, rows in row["cuts"]]
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
                new, cuts = opened.new_columns(), opened.cuts()
        except FileNotFoundError:
            return replace(landed, problem=f"MissingInput: {landed.file}: it was listed and is gone; land it again")
        except (DamagedFile, ContractBroken) as error:
            return replace(landed, problem=f"{type(error).__name__}: {error}")
        except OSError as error:
            return replace(landed, problem=f"DamagedFile: {landed.file}: cannot be read: {error.strerror or error}")
        return replace(landed, bytes=size, sha256=digest, rows=rows, malformed=malformed, new_columns=new, cuts=cuts)


@dataclass(frozen=True)
class Rows:
    """A file or a part of it -> its rows with source_file, source_row and run_date.

    They are the very rows that were inspected, or an error is raised. Of a file in parts the task of the first one
    digests it as a whole.
    """

    reader: Reader

    def __call__(self, share: Share) -> Iterator[pa.RecordBatch]:
        landed = share.file
        try:
            with storage.open_binary(landed.path) as stream:
                as_inspected = (
                    yield from self._whole(landed, stream)
                    if share.part is None
                    else self._part(landed, share.part, stream)
                )
        except FileNotFoundError:
            raise MissingInput(f"{landed.file}: it was listed and is gone; land it again") from None
        if not as_inspected:
            raise DamagedFile(f"{landed.file}: it changed while it was read; run again when it has landed whole")

    def _whole(self, landed: LandedFile, stream: IO[bytes]) -> Generator[pa.RecordBatch, None, bool]:
        opened = self.reader.opened(stream, landed.file)
        rows = yield from batches.numbered(opened.batches(), landed.file, landed.run_date)
        return (*opened.fingerprint(), rows) == (landed.bytes, landed.sha256, landed.rows)

    def _part(self, landed: LandedFile, part: Part, stream: IO[bytes]) -> Generator[pa.RecordBatch, None, bool]:
        found = self.reader.part(stream, landed.file, part)
        rows = yield from batches.numbered(found, landed.file, landed.run_date, before=part.start.rows)
        is_same = True
        if part.start == START:
            stream.seek(0)
            whole = storage.Fingerprinted(stream)
            digest = whole.drain()
            is_same = (whole.size, digest) == (landed.bytes, landed.sha256)
        return is_same and rows == part.rows
