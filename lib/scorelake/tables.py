"""The contract of a table: what its columns mean, which rows are the same, when they were known.

`conf/tables/<layer>/<table>.yaml` is one of Bronze, Silver or Gold below. The words are those of semantics.md.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from scorelake.dates import ONE_DAY, Duration, check_delivers
from scorelake.strict_yaml import Definition

LAYERS = ("bronze", "silver", "gold")
SLICE_COLUMN = "run_date"
PROVENANCE = ("source_file", "source_row", "run_date", "available_at", "ingested_at", "run_id")
RESERVED = frozenset({*PROVENANCE, "score_date", "raw", "extra", "is_deleted", "reasons"})
"""Engine columns; a source that has one is renamed in its contract (`rename:`), else refused."""
AUDIT = frozenset({"ingested_at", "run_id", "scored_at"})
"""Columns that enter no digest, no hash and no equality (semantics, section 5)."""

_UNSTORABLE = set(" ,;{}()\n\t=")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")


def check_name(name: str) -> str:
    """A table, layer, population or model name that no SQL or path can misread; ValueError otherwise."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"name {name!r}: expected lower-case letters, digits and _, starting with a letter")
    return name


class Column(Definition):
    """One column as DDL says it: `amount DECIMAL(10,2) COMMENT 'paid, in EUR'`. `type` is Spark's simple string."""

    name: str
    type: str
    comment: str = ""

    @property
    def ddl(self) -> str:
        comment = self.comment.replace("\\", "\\\\").replace("'", "\\'")
        return f"{quoted(self.name)} {self.type}" + (f" COMMENT '{comment}'" if comment else "")


def quoted(name: str) -> str:
    """`name` between backticks, so that any text is one identifier."""
    return "`" + name.replace("`", "``") + "`"


def parse_column(text: Any) -> Any:
    """The Column that one line of DDL declares; ValueError says what is wrong with it."""
    if not isinstance(text, str):
        return text
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        tree = parse_one(f"CREATE TABLE t ({text})", dialect="spark")
    except SqlglotError as error:
        raise ValueError(f"not a column in DDL, such as 'amount DECIMAL(10,2)': {text!r}") from error
    is_only_a_schema = isinstance(tree.this, exp.Schema) and not tree.args.get("properties")
    definitions = tree.this.expressions if is_only_a_schema else []
    if len(definitions) != 1 or not isinstance(definitions[0], exp.ColumnDef) or definitions[0].kind is None:
        raise ValueError(f"expected one column in DDL, such as 'amount DECIMAL(10,2)', found {text!r}")
    column = definitions[0]
    comment = column.find(exp.CommentColumnConstraint)
    return Column(
        name=column.name,
        type=spark_type(column.kind),
        comment=comment.this.name if comment is not None else "",
    )


def spark_type(kind: Any) -> str:
    """A sqlglot type as Spark's simple string: 'bigint', 'decimal(10,2)', 'array<string>'."""
    text: str = kind.sql(dialect="spark").lower()
    return re.sub(r"\s*([,<>():])\s*", r"\1", text)


def _render_column(column: Column) -> str:
    return column.ddl


ColumnDDL = Annotated[
    Column,
    BeforeValidator(parse_column, json_schema_input_type=str),
    PlainSerializer(_render_column, return_type=str),
]


# ------------------------------------------------------------------ sources


def check_zone(name: str) -> str:
    """A zone that the time zone database knows; ValueError otherwise."""
    if name not in available_timezones():
        raise ValueError(f"unknown time zone {name!r}; expected a name such as America/New_York")
    return name


class Source(Definition):
    """Where drops come from and when. Drop D is what belongs to run date D, whenever it arrives."""

    delivery: Literal["events", "changes", "snapshot"]
    starts: date = Field(description="Run date of the first drop.")
    delivers: Annotated[str, BeforeValidator(check_delivers)] = Field(
        description="daily, weekdays, once or a cron expression."
    )
    rename: dict[str, str] = Field(default={}, description="Source column -> bronze column.")
    new_columns: Literal["keep", "refuse"] = Field(
        default="refuse", description="A column that the contract does not know: kept in `extra`, or refused."
    )
    optional: tuple[str, ...] = Field(default=(), description="Bronze columns that a drop may lack; null then.")
    time_zone: Annotated[str, AfterValidator(check_zone)] | None = Field(
        default=None, description="Zone of timestamps that carry none, e.g. America/New_York; without it, UTC."
    )


class FileSource(Source):
    """Files below the landing root. `{run_date}` in the path is the drop's date (`{run_date:%Y%m%d}` writes it
    otherwise); `*`, `?`, `[...]` and `**` match; a folder stands for its files.
    """

    kind: Literal["csv", "jsonl", "json", "parquet"]
    path: str = Field(description="Relative to landing.root, e.g. sales/{run_date}/*.csv; or an absolute URI.")
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', max_length=1, description="Doubled inside quotes; empty: nothing is quoted.")
    encoding: str = "UTF-8"
    manifest: str | None = Field(
        default=None, description="CSV of file, bytes, rows and, if it likes, sha256: the drop is there when it is."
    )

    @model_validator(mode="after")
    def _readable(self) -> FileSource:
        for key, template in (("path", self.path), ("manifest", self.manifest or "")):
            try:
                first, second = (template.format(run_date=day) for day in (self.starts, self.starts + ONE_DAY))
            except (KeyError, IndexError, ValueError):
                raise ValueError(f"{key}: only {{run_date}} may stand in braces: {template}") from None
            shows_the_present = self.delivers == "once" or self.delivery == "snapshot"
            if template and first == second and not shows_the_present:
                raise ValueError(f"{key}: every drop would be the same file; name its date with {{run_date}}")
        try:
            is_like_ascii = "\n".encode(self.encoding) == b"\n"
        except LookupError:
            raise ValueError(f"encoding: unknown: {self.encoding}") from None
        if not is_like_ascii:
            raise ValueError(f"encoding: line ends cannot be found in {self.encoding}; land the file as UTF-8")
        return self


class JdbcSource(Source):
    """A query or table of a database; a query takes :data_start and :data_end, unless once or snapshot."""

    kind: Literal["jdbc"]
    url: str = Field(description="jdbc:sqlite:FILE (relative to landing.root), jdbc:postgresql://...; or a secret.")
    query: str | None = None
    table: str | None = None
    user: str | None = Field(default=None, description="Secret reference, e.g. env:DB_USER.")
    password: str | None = Field(default=None, description="Secret reference, e.g. env:DB_PASSWORD.")
    partition_column: str | None = None
    partitions: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_origin(self) -> JdbcSource:
        if (self.query is None) == (self.table is None):
            raise ValueError("expected either query or table")
        bounded = self.query is not None and ":data_start" in self.query and ":data_end" in self.query
        if not bounded and self.delivers != "once" and self.delivery != "snapshot":
            raise ValueError("the query must filter by :data_start and :data_end, or deliver once or a snapshot")
        return self


AnySource = Annotated[FileSource | JdbcSource, Field(discriminator="kind")]


# ------------------------------------------------------------------ parts of contracts


class Availability(Definition):
    """When a row could first be known, if not at the end of its drop's interval (semantics, section 1).

    `column`: greatest(column, end of the interval); with `history: true` the column alone.
    `delay`: event time + delay, for a history loaded at once, which `history: true` declares.
    """

    column: str | None = None
    delay: Duration | None = None
    history: bool = False

    @model_validator(mode="after")
    def _one_rule(self) -> Availability:
        if (self.column is None) == (self.delay is None):
            raise ValueError("expected either column or delay")
        if self.delay is not None and not self.history:
            raise ValueError("delay is for a history loaded at once: add history: true")
        return self


class Expectation(Definition):
    """A Great Expectations expectation in its own form, and what follows when it fails.

    fail: nothing of the slice is written. quarantine: the failing rows leave (row-level only). warn: recorded.
    """

    type: str
    kwargs: dict[str, Any] = {}
    action: Literal["fail", "quarantine", "warn"]
    meta: dict[str, Any] = {}


def parse_share(text: Any) -> Any:
    """'2%' -> 0.02; a plain number between 0 and 1 stays."""
    if isinstance(text, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)):
        return float(match[1]) / 100
    return text


Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str | float), Field(ge=0, le=1)]


class Cutoffs(Definition):
    """Run dates D at whose as-of instant a label is asked for: from, from + every, ... up to `to`."""

    from_: date = Field(alias="from")
    to: date
    every: Duration

    @model_validator(mode="after")
    def _forwards(self) -> Cutoffs:
        if self.to < self.from_:
            raise ValueError(f"to ({self.to}) is before from ({self.from_})")
        if self.every.total_seconds() % 86400 or not self.every:
            raise ValueError("every must be a whole number of days, at least one")
        return self

    def dates(self) -> list[date]:
        count = (self.to - self.from_) // self.every
        return [self.from_ + self.every * n for n in range(count + 1)]


class Label(Definition):
    """What a model learns: known `delay` after the window [t, t + horizon) has passed (semantics, section 4)."""

    population: str
    cutoffs: Cutoffs
    horizon: Duration
    delay: Duration


# ------------------------------------------------------------------ contracts


class Contract(Definition):
    """What every table declares. `name` is `<layer>.<table>` and follows from the file's place."""

    name: str
    description: str
    columns: tuple[ColumnDDL, ...] = Field(min_length=1, description="One line of DDL a column.")
    personal: tuple[str, ...] = Field(default=(), description="Columns whose values never leave the tables.")
    retention: Duration | None = None

    @property
    def layer(self) -> str:
        return self.name.split(".")[0]

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @model_validator(mode="after")
    def _sound_columns(self) -> Contract:
        names = self.column_names
        twice = sorted({n for n in names if [m.lower() for m in names].count(n.lower()) > 1})
        if twice:
            raise ValueError(f"columns stand twice: {', '.join(twice)}")
        unstorable = [name for name in names if not name or _UNSTORABLE & set(name)]
        if unstorable:
            raise ValueError(f"Delta stores no column named {unstorable[0]!r} (space , ; {{ }} ( ) = tab); use rename:")
        taken = sorted(RESERVED & {name.lower() for name in names} - self._own_engine_columns())
        if taken:
            raise ValueError(f"reserved for the engine: {', '.join(taken)}; rename the column")
        self._require_columns("personal", self.personal)
        return self

    def _own_engine_columns(self) -> set[str]:
        return set()

    def _require_columns(self, key: str, names: tuple[str | None, ...]) -> None:
        unknown = [name for name in names if name is not None and name not in self.column_names]
        if unknown:
            raise ValueError(f"{key}: no such column: {', '.join(unknown)}")


class Bronze(Contract):
    """As received. Columns of untyped formats are STRING; the contract says which columns a source has."""

    source: AnySource

    @model_validator(mode="after")
    def _fits_the_source(self) -> Bronze:
        self._require_columns("optional", self.source.optional)
        typed = [column.name for column in self.columns if column.type != "string"]
        if self.source.kind in ("csv", "jsonl", "json") and typed:
            raise ValueError(f"{self.source.kind} has no types, so its columns are STRING: {', '.join(typed)}")
        return self


class Versioned(Contract):
    """A table whose rows have an identity, two clocks and a total order (semantics, section 2)."""

    keys: tuple[str, ...] = Field(default=(), description="Identity of a row in the whole table.")
    event_time: str | None = Field(default=None, description="TIMESTAMP column; without it, available_at.")
    availability: Availability | None = None
    tie_break: str | None = Field(default=None, description="Decides between rows of equal stamps; greatest wins.")
    expectations: tuple[Expectation, ...] = ()
    transform: str | None = Field(default=None, description="module:function in <conf-dir>/python, instead of SQL.")

    @model_validator(mode="after")
    def _known_parts(self) -> Versioned:
        self._require_columns("keys", self.keys)
        self._require_columns("event_time", (self.event_time,))
        self._require_columns("tie_break", (self.tie_break,))
        if self.availability is not None:
            self._require_columns("availability.column", (self.availability.column,))
            if self.availability.delay is not None and self.event_time is None:
                raise ValueError("availability.delay needs an event_time")
        types = {column.name: column.type for column in self.columns}
        for key in (self.event_time, self.availability.column if self.availability else None):
            if key is not None and types[key] != "timestamp":
                raise ValueError(f"{key}: a clock must be TIMESTAMP, found {types[key].upper()}")
        floats = [key for key in self.keys if types[key] in ("float", "double")]
        if floats:
            raise ValueError(f"keys: floating point is no key: {', '.join(floats)}")
        return self

    @property
    def total_order(self) -> tuple[str, ...]:
        """Tie-break column, then the other contract columns in order: rule 3 of semantics section 2."""
        first = (self.tie_break,) if self.tie_break else ()
        return first + tuple(name for name in self.column_names if name not in first)


class Silver(Versioned):
    """Typed, deduplicated and gated rows of one bronze table, every version kept."""

    deduplicate_by: tuple[str, ...] = Field(
        default=(), description="Order of one winner a key in a drop, e.g. 'updated_at DESC'; then the total order."
    )
    delete_when: str | None = Field(default=None, description="SQL condition on the columns: this version deletes.")
    max_quarantined: Share | None = Field(default=None, description="More than this share fails the slice.")
    allow_empty: bool = Field(default=False, description="A due date may bring no row.")

    @property
    def drop_order(self) -> list[tuple[str, bool]]:
        """`deduplicate_by` as (column, whether the greatest comes first)."""
        items = (item.split() for item in self.deduplicate_by)
        return [(words[0], words[1:] != [] and words[1].lower() == "desc") for words in items]

    @model_validator(mode="after")
    def _known_order(self) -> Silver:
        for item in self.deduplicate_by:
            if re.fullmatch(r"\s*\w+(\s+(asc|desc))?\s*", item, re.IGNORECASE) is None:
                raise ValueError(f"deduplicate_by: expected a column, then ASC or DESC, found {item!r}")
        self._require_columns("deduplicate_by", tuple(name for name, _ in self.drop_order))
        return self


class Gold(Versioned):
    """Business aggregates and labels; slice D is computed as of D+1 00:00."""

    reads_self: bool = Field(default=False, description="Reads its own earlier slices; ranges run in date order.")
    label: Label | None = None

    @model_validator(mode="after")
    def _label_column(self) -> Gold:
        if self.label is not None:
            self._require_columns("label", ("label",))
            if not self.keys:
                raise ValueError("a label table needs keys: the population's join keys")
        return self


AnyContract = Bronze | Silver | Gold
CONTRACTS: dict[str, type[Bronze] | type[Silver] | type[Gold]] = {"bronze": Bronze, "silver": Silver, "gold": Gold}
