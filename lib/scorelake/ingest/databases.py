"""How SQLite and PostgreSQL say things: literals, texts, names, and what their drivers need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from scorelake import dates
from scorelake.errors import ConfigError

_MARKER = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | :: | :(?P<marker>[a-z_]+)\b""",
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer"),
    **dict.fromkeys(("float", "double"), "float"),
    **dict.fromkeys(("timestamp", "timestamp_ntz"), "timestamp"),
}
_WIDTHS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "float": 4, "double": 8}


@dataclass(frozen=True)
class Database:
    """`is_typed`: the database holds its columns to their types, so that the driver's word on them counts."""

    driver: str
    is_typed: bool
    typed_literals: bool
    options: Mapping[str, str] = field(default_factory=dict)

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def as_text(self, name: str) -> str:
        """SQL of the column's value as text, exact."""
        column = self.quoted(name)
        if self.is_typed:
            return f"CAST({column} AS text)"
        # SQLite writes a REAL with 15 digits, which is not always the number.
        short, exact = f"printf('%!.15g', {column})", f"printf('%!.17g', {column})"
        real = f"CASE WHEN CAST({short} AS REAL) = {column} THEN {short} ELSE {exact} END"
        blob = f"hex({column})"
        return f"CASE typeof({column}) WHEN 'real' THEN {real} WHEN 'blob' THEN {blob} ELSE CAST({column} AS TEXT) END"

    def may_be(self, found: str, wanted: str) -> bool:
        """Whether a column of Spark type `found` may be declared `wanted`: the same kind and no narrower, or text."""
        if wanted == "string" or not self.is_typed:
            return True
        if found.startswith("decimal") or wanted.startswith("decimal"):
            return wanted.startswith("decimal") and (found.startswith("decimal") or _KINDS.get(found) == "integer")
        is_same_kind = _KINDS.get(found, found) == _KINDS.get(wanted, wanted)
        return is_same_kind and _WIDTHS.get(found, 0) <= _WIDTHS.get(wanted, 0)


SQLITE = Database("org.sqlite.JDBC", is_typed=False, typed_literals=False, options={"open_mode": "1"})
"""open_mode 1 is SQLITE_OPEN_READONLY."""
POSTGRESQL = Database(
    "org.postgresql.Driver",
    is_typed=True,
    typed_literals=True,
    options={"options": "-c default_transaction_read_only=on"},
)


def database_of(url: str) -> Database:
    """ConfigError for any other kind of database."""
    for prefix, database in (("jdbc:sqlite:", SQLITE), ("jdbc:postgresql:", POSTGRESQL)):
        if url.startswith(prefix):
            return database
    raise ConfigError("the url of a database starts with jdbc:sqlite: or jdbc:postgresql:")


def bound(query: str, day: date, database: Database) -> str:
    """The query with literals for :data_start, :data_end, :run_date and :as_of of the run date.

    Markers inside quotes and comments, and PostgreSQL's `::`, are left alone. ConfigError for an unknown marker.
    In SQLite a marker is the text 'YYYY-MM-DD HH:MM:SS' and texts are compared letter by letter, so that a column
    that holds bare dates or a 'T' belongs into datetime(...).
    """
    start, end = dates.data_start(day), dates.as_of(day)
    instants = {"data_start": start, "data_end": end, "as_of": end}

    def literal(match: re.Match[str]) -> str:
        name = match["marker"]
        if name is None:
            return match[0]
        if name == "run_date":
            return f"DATE '{day}'" if database.typed_literals else f"'{day}'"
        if name not in instants:
            raise ConfigError(f"unknown marker :{name}; markers here: :run_date, :as_of, :data_start, :data_end")
        text = f"'{instants[name]:%Y-%m-%d %H:%M:%S}'"
        return f"TIMESTAMP {text}" if database.typed_literals else text

    return _MARKER.sub(literal, query.strip().rstrip(";"))
