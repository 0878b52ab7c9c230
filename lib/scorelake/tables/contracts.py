"""The contract of a table of each layer."""

from __future__ import annotations

import re
from datetime import date, timedelta

from pydantic import Field, field_validator, model_validator

from scorelake.dates import Duration
from scorelake.strict_yaml import Definition
from scorelake.tables import calendars
from scorelake.tables.calendars import Calendar
from scorelake.tables.columns import HELPER, RESERVED, UNSTORABLE, ColumnDDL, is_number
from scorelake.tables.judging import Expectation, Freshness, ProfileCheck, Share, Volume
from scorelake.tables.sources import AnySource
from scorelake.tables.standards import FiguresFile, Standard

LEAST_RETENTION = timedelta(days=7)
"""A running job may still read what was replaced since."""

STATISTICS = 32
"""Columns of which Delta keeps the least and greatest value in a file."""


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
    retention: Duration | None = Field(
        default=None,
        description="How long versions that were replaced stay readable, instead of maintain_tables --keep-days; "
        "7 days at least. Slices stay for good.",
    )

    @field_validator("retention")
    @classmethod
    def _spares_running_jobs(cls, retention: timedelta | None) -> timedelta | None:
        if retention is not None and retention < LEAST_RETENTION:
            raise ValueError("retention: a running job may still read files of the last 7 days")
        return retention

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
        unstorable = [name for name in names if not name or UNSTORABLE & set(name)]
        if unstorable:
            raise ValueError(f"Delta stores no column named {unstorable[0]!r} (space , ; {{ }} ( ) = tab); use rename:")
        taken = sorted(RESERVED & {name.lower() for name in names} - self._own_engine_columns())
        taken += [name for name in names if name.startswith(HELPER)]
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
    cluster_by: tuple[str, ...] = Field(
        default=(),
        description="maintain_tables lays the rows of a slice out by these columns (Z-order), so that whoever asks for "
        "a few of their values opens few files. No answer depends on it.",
    )
    expectations: tuple[Expectation, ...] = ()
    transform: str | None = Field(default=None, description="module:function in <conf-dir>/python, instead of SQL.")
    reads: tuple[str, ...] = Field(default=(), description="Tables that the transform reads; of SQL they are known.")

    @model_validator(mode="after")
    def _known_parts(self) -> Versioned:
        self._require_columns("keys", self.keys)
        self._require_columns("event_time", (self.event_time,))
        self._require_columns("tie_break", (self.tie_break,))
        if (self.transform is None) != (not self.reads):
            raise ValueError("transform and reads belong together: the tables a function reads cannot be seen in it")
        if self.availability is not None:
            self._require_columns("availability.column", (self.availability.column,))
            if self.availability.delay is not None and self.event_time is None:
                raise ValueError("availability.delay needs an event_time")
        types = {column.name: column.type for column in self.columns}
        for key in (self.event_time, self.availability.column if self.availability else None):
            if key is not None and types[key] != "timestamp":
                raise ValueError(f"{key}: a clock must be TIMESTAMP, found {types[key].upper()}")
        self._require_clusterable(types)
        floats = [key for key in self.keys if types[key] in ("float", "double")]
        if floats:
            raise ValueError(f"keys: floating point is no key: {', '.join(floats)}")
        return self

    def _require_clusterable(self, types: dict[str, str]) -> None:
        self._require_columns("cluster_by", self.cluster_by)
        if len(set(self.cluster_by)) < len(self.cluster_by):
            raise ValueError(f"cluster_by: a column stands twice: {', '.join(self.cluster_by)}")
        for name in self.cluster_by:
            if self.column_names.index(name) >= STATISTICS:
                raise ValueError(f"cluster_by: Delta knows bounds of the first {STATISTICS} columns; move {name} there")
            if types[name] in ("boolean", "binary") or types[name].startswith(("array<", "map<", "struct<")):
                raise ValueError(f"cluster_by: {name} is {types[name].upper()}, of which Delta knows no bounds")

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
    standardise: dict[str, Standard] = Field(default={}, description="Column -> how its values are made alike.")
    figures: FiguresFile | None = Field(default=None, description="Where caps and imputed values come from.")
    volume: Volume | None = Field(default=None, description="Rows of a slice against the slices before it.")
    freshness: Freshness | None = Field(default=None, description="How old the newest row of a slice may be.")
    profile: ProfileCheck | None = Field(default=None, description="The slice's columns against a frozen profile.")

    @model_validator(mode="after")
    def _one_bronze_table(self) -> Silver:
        if self.transform is not None and [name.partition(".")[0] for name in self.reads] != ["bronze"]:
            raise ValueError("reads: a silver transform reads exactly one bronze table and nothing else")
        return self

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

    @model_validator(mode="after")
    def _sound_standards(self) -> Silver:
        self._require_columns("standardise", tuple(self.standardise))
        types = {column.name: column.type for column in self.columns}
        for name, standard in self.standardise.items():
            if standard.impute is not None:
                self._require_columns(f"standardise.{name}.impute.by", standard.impute.by)
                if types[name] == "string" and standard.impute.figure != "mode":
                    raise ValueError(f"standardise.{name}: a text has a mode, but no {standard.impute.figure}")
            if standard.cap is not None and not is_number(types[name]):
                raise ValueError(f"standardise.{name}: only numbers can be capped, found {types[name].upper()}")
            if standard.figures and self.figures is None:
                raise ValueError(f"standardise.{name} needs {', '.join(standard.figures)}: name a file under figures:")
        if self.freshness is not None and self.event_time is None:
            raise ValueError("freshness needs an event_time")
        return self


class Gold(Versioned):
    """Business aggregates and labels; slice D is computed as of D+1 00:00."""

    reads_self: bool = Field(default=False, description="Reads its own earlier slices; ranges run in date order.")
    label: Label | None = None
    calendar: Calendar | None = Field(default=None, description="A table of days, instead of SQL.")

    @model_validator(mode="after")
    def _calendar_columns(self) -> Gold:
        if self.calendar is None:
            return self
        if self.transform is not None or self.label is not None:
            raise ValueError("a calendar has neither transform nor label")
        odd = [c.name for c in self.columns if calendars.COLUMNS.get(c.name) != c.type]
        if odd:
            known = ", ".join(f"{name} {kind.upper()}" for name, kind in calendars.COLUMNS.items())
            raise ValueError(f"columns: a calendar does not say {', '.join(odd)}; it says {known}")
        if self.keys != (calendars.DAY,):
            raise ValueError(f"keys: those of a calendar are [{calendars.DAY}]")
        return self

    @model_validator(mode="after")
    def _label_column(self) -> Gold:
        if any(expectation.action == "quarantine" for expectation in self.expectations):
            raise ValueError("expectations: gold has no quarantine, since its rows can be made again: use fail or warn")
        if any(name.partition(".")[0] not in ("silver", "gold") for name in self.reads):
            raise ValueError("reads: a gold transform reads silver and gold tables")
        if self.label is not None:
            if self.transform is not None:
                raise ValueError("a label table has SQL, which runs once a cut-off; it has no transform")
            self._require_columns("label", ("label",))
            if not self.keys:
                raise ValueError("a label table needs keys: the population's join keys")
        return self


AnyContract = Bronze | Silver | Gold
CONTRACTS: dict[str, type[Bronze] | type[Silver] | type[Gold]] = {"bronze": Bronze, "silver": Silver, "gold": Gold}
