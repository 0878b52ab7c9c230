"""What a parser hands over: one record a row of the source, whole or, when it could not be split, as raw text."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple, Protocol

from scorelake.errors import ContractBroken, DamagedFile

LONGEST_RECORD = 64 << 20
"""Bytes that one record may span over several lines; an unclosed quote must not swallow a file."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP_MAGIC = b"\x1f\x8b"


class Record(NamedTuple):
    """A row in the order of the contract's columns; `raw` is set, and every value null, when it could not be split."""

    values: Sequence[str | None]
    raw: str | None = None
    extra: Mapping[str, str | None] | None = None


@dataclass(frozen=True)
class Shape:
    """Which columns are expected of a file, in the contract's order, and what to do about others.

    `rename`: name in the source -> name in bronze. `optional`: columns that a file may lack (null then).
    """

    columns: tuple[str, ...]
    rename: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    keep_new: bool = False

    def check(self, found: Sequence[str], file: str) -> None:
        """ContractBroken unless `found` (already renamed) is what is expected."""
        twice = sorted({name for name in found if found.count(name) > 1})
        missing = [name for name in self.columns if name not in found and name not in self.optional]
        new = [] if self.keep_new else [name for name in found if name not in self.columns]
        problems = [
            f"{what}: {', '.join(names)}"
            for what, names in (("missing", missing), ("unknown", new), ("twice", twice))
            if names
        ]
        if problems:
            raise ContractBroken(
                f"{file}: columns are not those of the contract ({'; '.join(problems)}); "
                "correct the source, or its contract (rename, optional, new_columns)"
            )

    def nulls(self) -> tuple[None, ...]:
        return (None,) * len(self.columns)


@dataclass(frozen=True)
class Span:
    """Bytes [start, stop) of a text, from the start of a record to the end of one."""

    start: int
    stop: int


class Parser(Protocol):
    """Reads one file, or a part of one.

    `new_columns`, once it was read: those that the contract does not know. `end`: bytes of the unpacked text up to
    the end of the last record; None where the parser has looked further, or a part would mean nothing by itself.
    """

    new_columns: list[str]

    @property
    def end(self) -> int | None: ...

    def __call__(self, stream: io.RawIOBase, file: str) -> Iterator[Record]:
        """Stream and name of the file (for messages) -> its records in order.

        DamagedFile when it cannot be read to its end.
        """

    def part(self, stream: IO[bytes], file: str, span: Span) -> Iterator[Record]:
        """The records of a span that was cut where `end` was told, of a file that is not packed."""


def unpacked(stream: io.RawIOBase) -> Iterable[bytes]:
    """The stream, decompressed when its first bytes say gzip, whatever the file's name says."""
    buffered = io.BufferedReader(stream, 1 << 20)
    if buffered.peek(2)[:2] == _GZIP_MAGIC:
        return gzip.GzipFile(fileobj=buffered, mode="rb")
    return buffered


@dataclass
class Position:
    """Bytes of the unpacked text that were handed out so far."""

    at: int = 0


def lines(
    stream: io.RawIOBase, file: str, *, encoding: str, position: Position | None = None
) -> Iterator[str | Unreadable]:
    """Physical lines with their ends; a line that is not text in `encoding`, or holds NUL, as Unreadable.

    A byte order mark at the start is dropped. DamagedFile for zero bytes and for damaged compression.
    """
    covered = position or Position()
    is_first = True
    for received in _intact(stream, file):
        covered.at += len(received)
        yield _decoded(received.removeprefix(_BYTE_ORDER_MARK) if is_first else received, encoding)
        is_first = False
    if is_first:
        raise DamagedFile(f"{file}: holds no byte; expected at least a header or an empty line")


def lines_of(stream: IO[bytes], span: Span, *, encoding: str) -> Iterator[str | Unreadable]:
    """As `lines`, of a span of a text that is not packed."""
    stream.seek(span.start)
    at = span.start
    while at < span.stop and (received := stream.readline(span.stop - at)):
        yield _decoded(received.removeprefix(_BYTE_ORDER_MARK) if at == 0 else received, encoding)
        at += len(received)


def _decoded(line: bytes, encoding: str) -> str | Unreadable:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return Unreadable(line.decode(encoding, errors="backslashreplace"))
    return Unreadable(text) if "\0" in text else text


@dataclass(frozen=True)
class Unreadable:
    """A line that is not text; bytes that cannot be decoded are written as \\xNN."""

    text: str


def _intact(stream: io.RawIOBase, file: str) -> Iterator[bytes]:
    try:
        yield from unpacked(stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedFile(f"{file}: damaged gzip ({error}); land the file again") from error


def without_end(line: str) -> str:
    """The line without its line end."""
    return line.removesuffix("\n").removesuffix("\r")
