"""Which drops belong to a range of run dates, and which of them are there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from scorelake import dates as run_dates
from scorelake.errors import MissingInput
from scorelake.ingest import storage
from scorelake.tables import FileSource, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Stamp:
    """Who ingests, and when by the wall clock; audit only."""

    run_id: str
    ingested_at: datetime


@dataclass(frozen=True)
class Drops:
    """Files by run date, and for each missing date the pattern that was looked for."""

    found: Mapping[date, tuple[str, ...]]
    missing: Mapping[date, str]

    def require(self, table: str) -> None:
        """MissingInput that names every path looked for, when a due drop is not there."""
        if self.missing:
            raise MissingInput("; ".join(missing_drops(table, self.missing)) + "; land it, or list it in allow_missing")


def missing_drops(table: str, missing: Mapping[date, str]) -> Iterator[str]:
    for day, place in sorted(missing.items()):
        yield f"{table}: the drop of {day} is not there: {place}"


def due(source: Source, dates: run_dates.RunDates) -> list[date]:
    """The run dates of the range to which a drop of this source belongs."""
    return run_dates.due_dates(dates, starts=source.starts, delivers=source.delivers)


def find(source: FileSource, landing_root: str, dates: Iterable[date]) -> Drops:
    """Look for the files of each due date. Listing is all that happens: one listing a date, on the driver."""
    found: dict[date, tuple[str, ...]] = {}
    missing: dict[date, str] = {}
    for day in dates:
        pattern = storage.join(landing_root, path_of(source.path, day))
        files = storage.matches(pattern)
        manifest = manifest_of(source, landing_root, day)
        if manifest is not None and not storage.matches(manifest):
            missing[day] = manifest
        elif not files:
            missing[day] = pattern
        else:
            found[day] = tuple(file for file in files if file != manifest)
    return Drops(found, missing)


def path_of(template: str, day: date) -> str:
    """The template with `{run_date}` or `{run_date:%Y%m%d}` filled in."""
    return template.format(run_date=day)


def manifest_of(source: FileSource, landing_root: str, day: date) -> str | None:
    return None if source.manifest is None else storage.join(landing_root, path_of(source.manifest, day))


@dataclass(frozen=True)
class Snapshots:
    """What can be done about the due dates of a source that shows only its present state."""

    read: tuple[date, ...]
    kept: tuple[date, ...]
    lost: tuple[date, ...]


def snapshots(due_dates: Collection[date], stored: Collection[date]) -> Snapshots:
    """Only the newest date that is due or stored can be read; for an older one the stored slice stands.

    `stored` are the dates whose slice is in bronze. A date that is neither is lost: exit 3 (semantics, section 1).
    """
    newest = max((*due_dates, *stored), default=None)
    older = sorted(day for day in due_dates if day != newest)
    return Snapshots(
        read=tuple(day for day in due_dates if day == newest),
        kept=tuple(day for day in older if day in stored),
        lost=tuple(day for day in older if day not in stored),
    )


def stamped(rows: DataFrame, columns: Iterable[str], stamp: Stamp) -> DataFrame:
    """Bronze rows: `columns`, raw, extra and provenance, given `rows` with source_file, source_row and run_date."""
    from pyspark.sql import functions as F

    return rows.select(
        *(F.col(f"`{name}`") for name in columns),
        "raw",
        "extra",
        "source_file",
        "source_row",
        "run_date",
        F.date_add("run_date", 1).cast("timestamp").alias("available_at"),
        F.lit(stamp.ingested_at).cast("timestamp").alias("ingested_at"),
        F.lit(stamp.run_id).alias("run_id"),
    )
