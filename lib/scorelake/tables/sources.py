"""Where the drops of a bronze table come from, and when."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from scorelake.dates import ONE_DAY, check_delivers
from scorelake.strict_yaml import Definition


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

    @property
    def repeats_snapshots(self) -> bool:
        """Whether each drop is the whole state, in place of the one before."""
        return self.delivery == "snapshot" and self.delivers != "once"


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
