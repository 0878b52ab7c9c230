"""CSV as RFC 4180 says, with every line accounted for.

Columns bind by the header, never by position. A quote inside a quoted field is doubled; an empty field is null, a
quoted empty field ("") is the empty string. A quoted field may hold line ends. Lines end in LF or CRLF; blank lines
are no rows, except in a file of one column, where they are nulls.

A record is what splits strictly into as many fields as the header has. Where that fails (an unclosed quote, text
after a closing quote, fields missing or too many, bytes that are not text, NUL) the first line alone becomes a
malformed row and reading goes on with the next line, so that one stray quote costs one line and not the rest.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import IO

from scorelake.errors import ContractBroken
from scorelake.ingest.records import (
    LONGEST_RECORD,
    Position,
    Record,
    Shape,
    Span,
    Unreadable,
    lines,
    lines_of,
    without_end,
)


class _NotARecordError(Exception):
    """The lines at hand do not make a record."""


class Delimited:
    """Parser of delimited text; see Parser."""

    def __init__(self, shape: Shape, *, delimiter: str = ",", quote: str = '"', encoding: str = "utf-8") -> None:
        self.shape = shape
        self.delimiter = delimiter
        self.quote = quote
        self.encoding = encoding
        self.new_columns: list[str] = []
        self._position = Position()
        self._splitter: _Splitter | None = None

    @property
    def end(self) -> int | None:
        has_looked_further = self._splitter is None or self._splitter.has_lines_ahead
        return None if has_looked_further else self._position.at

    def __call__(self, stream: io.RawIOBase, file: str) -> Iterator[Record]:
        csv.field_size_limit(sys.maxsize)
        source = lines(stream, file, encoding=self.encoding, position=self._position)
        self._splitter = splitter = _Splitter(source, self.delimiter, self.quote)
        yield from self._bound(splitter, self._header(splitter, file))

    def part(self, stream: IO[bytes], file: str, span: Span) -> Iterator[Record]:
        csv.field_size_limit(sys.maxsize)
        splitter = self._splitter_of(stream, Span(0, span.stop))
        names = self._header(splitter, file)
        yield from self._bound(self._splitter_of(stream, span) if span.start else splitter, names)

    def _splitter_of(self, stream: IO[bytes], span: Span) -> _Splitter:
        return _Splitter(lines_of(stream, span, encoding=self.encoding), self.delimiter, self.quote)

    def _header(self, splitter: _Splitter, file: str) -> list[str]:
        header = next(splitter.records(), None)
        if not isinstance(header, list):
            raise ContractBroken(f"{file}: the first line is no header that can be split")
        names = [self.shape.rename.get(name.strip(), name.strip()) for name in map(_or_empty, header)]
        self.shape.check(names, file)
        return names

    def _bound(self, splitter: _Splitter, names: Sequence[str]) -> Iterator[Record]:
        """Fields in the contract's order; `splitter` stands after the header."""
        splitter.width = width = len(names)
        positions = [names.index(name) if name in names else width for name in self.shape.columns]
        pick = itemgetter(*positions) if len(positions) > 1 else lambda fields: (fields[positions[0]],)
        new = {name: at for at, name in enumerate(names) if name not in self.shape.columns}
        self.new_columns = list(new)
        nulls = self.shape.nulls()
        for fields in splitter.records():
            if isinstance(fields, str):
                yield Record(nulls, raw=fields)
            else:
                fields.append(None)  # what an optional column that is not there reads
                yield Record(pick(fields), extra={name: fields[at] for name, at in new.items()} if new else None)


class _Splitter:
    """Lines grouped into records: a list of fields, or the text of a line that is no record."""

    def __init__(self, source: Iterator[str | Unreadable], delimiter: str, quote: str) -> None:
        self.width: int | None = None
        self._source = source
        self._ahead: deque[str | Unreadable] = deque()
        self._taken: list[str | Unreadable] = []
        self._size = 0
        self._quote = quote
        self._delimiter = delimiter

    @property
    def has_lines_ahead(self) -> bool:
        """Whether lines of a failed record wait to be read again."""
        return bool(self._ahead)

    def records(self) -> Iterator[list[str | None] | str]:
        while True:
            try:
                for fields in self._reader():
                    record = self._nulled(fields or [""])
                    self._taken.clear()
                    if fields or self.width == 1:
                        yield record
                return
            except (csv.Error, _NotARecordError):
                yield self._give_back()

    def _reader(self) -> Iterator[list[str]]:
        reader = csv.reader(
            self._feed(),
            delimiter=self._delimiter,
            quotechar=self._quote or None,
            quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
            strict=True,
        )
        for fields in reader:
            if fields and self.width is not None and len(fields) != self.width:
                raise _NotARecordError
            yield fields

    def _feed(self) -> Iterator[str]:
        """Lines for the reader, remembered until their record is whole."""
        while True:
            line = self._ahead.popleft() if self._ahead else next(self._source, None)
            if line is None:
                return
            self._size = self._size + len(line) if self._taken and not isinstance(line, Unreadable) else 0
            self._taken.append(line)
            if isinstance(line, Unreadable) or self._size > LONGEST_RECORD:
                raise _NotARecordError
            yield line

    def _give_back(self) -> str:
        """The first line of the failed record; the others are read again."""
        first, *rest = self._taken
        self._ahead.extendleft(reversed(rest))
        self._taken.clear()
        return without_end(first.text if isinstance(first, Unreadable) else first)

    def _nulled(self, fields: list[str]) -> list[str | None]:
        """Empty fields as null, unless they were quoted."""
        if "" not in fields:
            return list(fields)
        text = "".join(line for line in self._taken if isinstance(line, str))
        if not self._quote or self._quote * 2 not in text:
            return [field or None for field in fields]
        nulled: list[str | None] = []
        at = 0
        for field in fields:
            is_quoted = text.startswith(self._quote, at)
            nulled.append(field if field or is_quoted else None)
            at += len(field) + (2 + field.count(self._quote) if is_quoted else 0) + len(self._delimiter)
        return nulled


def _or_empty(name: str | None) -> str:
    return name or ""
