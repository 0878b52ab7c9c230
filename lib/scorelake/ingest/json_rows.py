"""JSON lines and JSON arrays of objects, every value kept as the text that arrived.

A string is its content; a number is its literal (no rounding: 1e400 and 0.10 stay); true and false are words; null
and an absent key are null; an object or array is its own JSON text. A line that is not one object (with each key
once) is a malformed row; blank lines are no rows. In an array, an element that is no object is a malformed row, and
a syntax error damages the file, since nothing after it can be told apart.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from scorelake.errors import DamagedFile
from scorelake.ingest.records import Position, Record, Shape, Span, Unreadable, lines, lines_of, without_end

_SPACE = re.compile(r"[ \t\n\r]*")


class _NotAnObjectError(ValueError):
    """The text is no JSON object with unique keys."""


class _Number(str):
    """A number's literal, told apart from a string."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotAnObjectError
    return found


_DECODER = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number, object_pairs_hook=_unique)


class JsonLines:
    """Parser of one object a line; see Parser."""

    def __init__(self, shape: Shape, *, encoding: str = "utf-8") -> None:
        self.shape = shape
        self.encoding = encoding
        self.new_columns: list[str] = []
        self._position = Position()

    @property
    def end(self) -> int | None:
        return self._position.at

    def __call__(self, stream: io.RawIOBase, file: str) -> Iterator[Record]:
        binder = _Binder(self.shape, file)
        yield from self._records(lines(stream, file, encoding=self.encoding, position=self._position), binder)
        self.new_columns = binder.finish()

    def part(self, stream: IO[bytes], file: str, span: Span) -> Iterator[Record]:
        return self._records(lines_of(stream, span, encoding=self.encoding), _Binder(self.shape, file))

    def _records(self, source: Iterator[str | Unreadable], binder: _Binder) -> Iterator[Record]:
        for line in source:
            if isinstance(line, Unreadable):
                yield Record(self.shape.nulls(), raw=without_end(line.text))
                continue
            text = line.strip(" \t\r\n")
            if not text:
                continue
            try:
                value, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError):
                yield Record(self.shape.nulls(), raw=without_end(line))
                continue
            yield binder.bound(value, text if end == len(text) else None, without_end(line))


class JsonArray:
    """Parser of one array of objects a file; see Parser. The text of one file is held in memory."""

    def __init__(self, shape: Shape, *, encoding: str = "utf-8") -> None:
        self.shape = shape
        self.encoding = encoding
        self.new_columns: list[str] = []

    @property
    def end(self) -> int | None:
        return None

    def part(self, stream: IO[bytes], file: str, span: Span) -> Iterator[Record]:
        raise TypeError(f"{file}: a JSON array has no parts")

    def __call__(self, stream: io.RawIOBase, file: str) -> Iterator[Record]:
        parts = list(lines(stream, file, encoding=self.encoding))
        unreadable = next((number for number, part in enumerate(parts, 1) if isinstance(part, Unreadable)), None)
        if unreadable is not None:
            raise DamagedFile(f"{file}: line {unreadable} is not text in {self.encoding}")
        binder = _Binder(self.shape, file)
        for value, text in _elements("".join(part for part in parts if isinstance(part, str)), file):
            yield binder.bound(value, text, text)
        self.new_columns = binder.finish()


def _elements(text: str, file: str) -> Iterator[tuple[Any, str]]:
    """Each element of the array with its text. DamagedFile when the array does not end well."""
    at = _after_space(text, 0)
    try:
        if text[at] != "[":
            raise DamagedFile(f"{file}: expected a JSON array of objects")
        at = _after_space(text, at + 1)
        while text[at] != "]":
            start = at
            value, at = _DECODER.raw_decode(text, at)
            yield value, text[start:at]
            at = _after_space(text, at)
            if text[at] == ",":
                at = _after_space(text, at + 1)
                if text[at] == "]":
                    raise ValueError
            elif text[at] != "]":
                raise ValueError
        if _after_space(text, at + 1) != len(text):
            raise ValueError
    except (IndexError, ValueError, RecursionError):
        raise DamagedFile(f"{file}: the JSON array breaks off or is not well formed; land the file again") from None


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


class _Binder:
    """Objects as records in the contract's order; remembers which columns were ever seen."""

    def __init__(self, shape: Shape, file: str) -> None:
        self._shape = shape
        self._file = file
        self._seen: set[str] = set()
        self._objects = 0

    def bound(self, value: Any, text: str | None, raw: str) -> Record:
        """`text` is the object's own text; None when more follows it on its line."""
        try:
            if text is None or not isinstance(value, dict):
                raise _NotAnObjectError
            named = self._named({key: _text(item, key, text) for key, item in value.items()})
        except (ValueError, RecursionError):
            return Record(self._shape.nulls(), raw=_encodable(raw))
        self._objects += 1
        new = named.keys() - set(self._shape.columns)
        if named.keys() - self._seen:
            self._seen.update(named)
            self._shape.check([*self._shape.columns, *sorted(new)], self._file)
        extra = {name: named[name] for name in sorted(new)} if new else None
        return Record([named.get(name) for name in self._shape.columns], extra=extra)

    def _named(self, found: dict[str, str | None]) -> dict[str, str | None]:
        for item in (*found, *found.values()):
            if item is not None:
                item.encode()  # half of a surrogate pair is no text: UnicodeEncodeError is a ValueError
        rename = self._shape.rename
        return _unique([(rename.get(key, key), item) for key, item in found.items()]) if rename else found

    def finish(self) -> list[str]:
        """Columns that the contract does not know.

        ContractBroken when a file with objects never had one of the columns: it was dropped or renamed.
        """
        if self._objects:
            self._shape.check(sorted(self._seen), self._file)
        return sorted(self._seen - set(self._shape.columns))


def _text(value: Any, key: str, text: str) -> str | None:
    if value is None or type(value) is str:
        return value
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _member_text(text, key)


def _member_text(text: str, wanted: str) -> str:
    """The JSON text, as it arrived, of the member `wanted` of the object that `text` is."""
    at = _after_space(text, 1)
    while True:
        key, at = _DECODER.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, at = _DECODER.raw_decode(text, start)
        if key == wanted:
            return text[start:at]
        at = _after_space(text, _after_space(text, at) + 1)


def _encodable(raw: str) -> str:
    return raw.encode("utf-8", errors="backslashreplace").decode()
