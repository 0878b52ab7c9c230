"""Delta tables, read and replaced by slice. A slice is replaced in one commit that carries its own mark of done.

Tables are addressed as `<layer>.<table>`: below `lake.root` (attached to Spark's in-memory catalog, so that SQL sees
them without a metastore) or as `<catalog>.<layer>.<table>`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from scorelake.errors import ContractBroken, MissingInput
from scorelake.stores import delta_log
from scorelake.stores.marks import Commit, Mark, newest
from scorelake.tables import SLICE_COLUMN, Column, Contract, literal, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from scorelake.settings import LakeSettings

T = TypeVar("T")

PROPERTIES: Mapping[str, str] = {
    # Readers other than Spark (delta-rs, DuckDB, pandas) must understand every table.
    "delta.enableDeletionVectors": "false",
    # Marks of done live in the log: keep them for an audit of the last two years.
    "delta.logRetentionDuration": "interval 800 days",
    # Delta forgets of older files when they were removed, and vacuums them however long it is told to retain.
    "delta.deletedFileRetentionDuration": "interval 30 days",
}
_CONFLICTS = ("Concurrent", "ProtocolChangedException", "MetadataChangedException", "CommitFailedException")
_ATTEMPTS = 6
_HALF_MADE = "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
_PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds that another process is given for the first commit of a table that it has begun to make."""
_LISTING_TASKS = 32
_ATTACHING = threading.RLock()
"""Steps run side by side, and Spark's in-memory catalog does not expect two of them to add one table."""
_TABLE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Lake:
    """The tables of one environment, seen through one Spark session."""

    spark: SparkSession
    settings: LakeSettings

    # -------------------------------------------------------------- addresses

    def location(self, name: str) -> str:
        """Path of a table below `lake.root`."""
        return f"{self.settings.root.rstrip('/')}/{_checked(name).replace('.', '/')}"

    def identifier(self, name: str) -> str:
        """The table's name in SQL."""
        return f"{quoted(self.settings.catalog)}.{_checked(name)}" if self.settings.catalog else _checked(name)

    @property
    def other(self) -> Lake | None:
        """The lake of `lake.read_from`."""
        return Lake(self.spark, self.settings.other) if self.settings.other is not None else None

    def home(self, name: str) -> Lake:
        """The lake that a table is read from: this one, or as long as it has none of that name, the other one.

        Logs and locks (`ops.*`) are never another lake's.
        """
        other = self.other
        if other is None or name.startswith("ops.") or self.owns(name) or not other._is_there(name):
            return self
        return other

    def exists(self, name: str) -> bool:
        """Whether the table can be read."""
        return self.home(name) is not self or self.owns(name)

    def _is_there(self, name: str) -> bool:
        """Whether the table lies in this lake, which is not the one that the session's catalog knows."""
        if self.settings.catalog:
            return bool(self.spark.catalog.tableExists(self.identifier(name)))
        return bool(delta_log.versions(self.location(name)))

    def owns(self, name: str) -> bool:
        """Whether the table lies in this very lake."""
        if self.settings.catalog:
            return bool(self.spark.catalog.tableExists(self.identifier(name)))
        if self.spark.catalog.tableExists(name):
            return True
        # Attaching an empty folder succeeds and leaves a table without columns: look for a Delta log first.
        if not delta_log.versions(self.location(name)):
            return False
        self._attach(name)
        return True

    def _attach(self, name: str) -> None:
        with _ATTACHING:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
            self.spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION {literal(self.location(name))}")

    # -------------------------------------------------------------- reading

    def read(self, name: str, *, version: int | None = None) -> DataFrame:
        """The whole table, newest or of `version`. MissingInput when nobody has written it yet."""
        home = self.home(name)
        if home is not self:
            return home._read_in_place(name, version)
        if not self.owns(name):
            raise MissingInput(f"table {name} does not exist yet; run the job that writes it first")
        if version is None:
            return self.spark.read.table(self.identifier(name))
        return self.spark.sql(f"SELECT * FROM {self.identifier(name)} VERSION AS OF {int(version)}")

    def _read_in_place(self, name: str, version: int | None) -> DataFrame:
        """A table of another lake, which the catalog of our session does not name: the name may become ours."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.table(self.identifier(name)) if self.settings.catalog else reader.load(self.location(name))

    def read_slices(self, name: str, dates: Iterable[date], *, column: str = SLICE_COLUMN) -> DataFrame:
        """The rows of the given slices."""
        return self.read(name).where(slices(dates, column))

    def version(self, name: str) -> int:
        """Newest version of the table, -1 when it does not exist."""
        home = self.home(name)
        if home is not self:
            return home.version(name)
        if not self.settings.catalog:
            return max(delta_log.versions(self.location(name)), default=-1)
        if not self.owns(name):
            return -1
        row = self.spark.sql(f"DESCRIBE HISTORY {self.identifier(name)} LIMIT 1").first()
        return int(row["version"]) if row else -1

    def versions(self, names: Iterable[str]) -> dict[str, int]:
        """Newest versions, each of the lake that the table is read from."""
        return {name: self.version(name) for name in sorted(names)}

    # -------------------------------------------------------------- writing

    def create(
        self, name: str, columns: Iterable[Column], *, partitioned_by: Collection[str], comment: str = ""
    ) -> None:
        """Make the table if it is not there. Partitioned by its slice column, so that slices commit side by side.

        Raises ContractBroken when files that are no Delta table lie in its place.
        """
        if self.owns(name):
            return
        ddl = ",\n  ".join(column.ddl for column in columns)
        properties = ", ".join(f"'{key}' = '{value}'" for key, value in PROPERTIES.items())
        place = "" if self.settings.catalog else f"LOCATION {literal(self.location(name))}"
        partitions = f"PARTITIONED BY ({', '.join(map(quoted, partitioned_by))})" if partitioned_by else ""
        layer = self.identifier(name).rsplit(".", 1)[0]
        self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {layer}")
        with _ATTACHING:
            self._make(
                name,
                f"CREATE TABLE IF NOT EXISTS {self.identifier(name)} (\n  {ddl}\n) USING delta\n"
                f"{partitions} {place}\n"
                f"COMMENT {literal(comment)} TBLPROPERTIES ({properties})",
            )

    def widen(self, name: str, columns: Iterable[Column]) -> None:
        """Add the columns that a log table of an earlier release lacks; its rows have nulls there."""
        present = set(self._own(name).columns)
        missing = ", ".join(column.ddl for column in columns if column.name not in present)
        if missing:
            self._retrying(lambda: self.spark.sql(f"ALTER TABLE {self.identifier(name)} ADD COLUMNS ({missing})"))

    def _make(self, name: str, statement: str) -> None:
        """Run CREATE TABLE, also where another process is at it, or was killed at it before the first commit.

        Delta refuses a folder that holds a log without a commit, and would refuse it for ever.
        """
        place = self.location(name)
        for pause in _PAUSES:
            try:
                self._retrying(lambda: self.spark.sql(statement))
                return
            except Exception as error:
                if _HALF_MADE not in str(error):
                    raise
                if not delta_log.is_alone(place):
                    raise ContractBroken(
                        f"{name}: {place} holds files but no Delta table; move them away or name another lake.root"
                    ) from error
            time.sleep(pause)
        delta_log.remove_uncommitted(place)
        self._retrying(lambda: self.spark.sql(statement))

    def replace_slices(
        self,
        frame: DataFrame,
        name: str,
        mark: Mark,
        *,
        column: str = SLICE_COLUMN,
        also: str = "",
        is_gathered: bool = False,
    ) -> Commit:
        """Put `frame` in the place of the slices `mark.dates`, in one commit; readers see the old or the new ones.

        `also` narrows what is replaced (`role <> 'restated'`). `is_gathered`: the rows of a slice lie together, so that
        they need not be shuffled for the sake of few files. Raises ContractBroken when the frame's columns are not
        exactly the table's: Delta would fill a missing one with nulls.
        """
        condition = slices(mark.dates, column) + (f" AND {also}" if also else "")
        return self.replace_where(frame, name, mark, condition, is_gathered=is_gathered)

    def replace_where(
        self, frame: DataFrame, name: str, mark: Mark, condition: str, *, is_gathered: bool = False
    ) -> Commit:
        """Put `frame` in the place of the rows that meet `condition`, in one commit."""
        target = self._own(name)
        mark = self._placed(mark)
        _require_same_columns(name, frame.schema, target.schema)
        writer = (
            frame.select(*map(quoted, target.columns))
            .write.format("delta")
            .mode("overwrite")
            .option("replaceWhere", condition)
            # A year of slices is a file a slice, not a file a slice and task.
            .option("optimizeWrite", str(not is_gathered).lower())
            .option("userMetadata", mark.to_json())
        )
        before = self.version(name)
        self._retrying(lambda: writer.saveAsTable(self.identifier(name)))
        return self._commit_of(name, mark, since=before)

    def replace(self, frame: DataFrame, name: str, mark: Mark) -> Commit:
        """Make `frame` the whole table, its columns too, in one commit: for tables that are derived, not sliced."""
        self._own(name)
        mark = self._placed(mark)
        writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        writer = writer.option("userMetadata", mark.to_json())
        before = self.version(name)
        self._retrying(lambda: writer.saveAsTable(self.identifier(name)))
        return self._commit_of(name, mark, since=before)

    def append(self, frame: DataFrame, name: str, mark: Mark) -> Commit:
        """Add rows to a log table (`ops.*`); slices of data are never appended to."""
        _require_same_columns(name, frame.schema, self._own(name).schema)
        writer = frame.write.format("delta").mode("append").option("userMetadata", mark.to_json())
        before = self.version(name)
        self._retrying(lambda: writer.saveAsTable(self.identifier(name)))
        return self._commit_of(name, mark, since=before)

    def _own(self, name: str) -> DataFrame:
        """A table of this very lake, to be written to."""
        if not self.owns(name):
            raise MissingInput(f"table {name} does not exist yet; run the job that writes it first")
        return self.spark.read.table(self.identifier(name))

    def _placed(self, mark: Mark) -> Mark:
        """The mark, with the places of the inputs that lie in the other lake."""
        homes = {name: self.home(name) for name in mark.inputs if self.other is not None}
        return replace(mark, read_from={name: home.place for name, home in homes.items() if home is not self})

    def update(self, name: str, values: Mapping[str, object], condition: str) -> int:
        """Set columns of the rows that meet `condition`; how many did. Of two writers the second meets what the first
        has left.
        """
        columns = ", ".join(f"{quoted(column)} = :{column}" for column in values)
        statement = f"UPDATE {self.identifier(name)} SET {columns} WHERE {condition}"
        [done] = self._retrying(lambda: self.spark.sql(statement, dict(values)).collect())
        return int(done["num_affected_rows"])

    def insert_unless(self, frame: DataFrame, name: str, condition: str) -> None:
        """Add the rows of `frame` (s) for which no row of the table (t) meets `condition`.

        Of two writers at once the second looks again at what the first has left, so that a condition on a key or a
        number is kept; without it both would be added. The condition must compare the partition column.
        """
        _require_same_columns(name, frame.schema, self.read(name).schema)
        statement = (
            f"MERGE INTO {self.identifier(name)} AS t USING {{rows}} AS s ON {condition} WHEN NOT MATCHED THEN INSERT *"
        )
        self._retrying(lambda: self.spark.sql(statement, rows=frame))

    def _commit_of(self, name: str, mark: Mark, *, since: int) -> Commit:
        """Our own commit, found by its mark, since another writer may have committed meanwhile.

        Written by its name in the catalog, an empty frame makes a commit too (by path it would not), so that an
        empty slice has its mark of done as any other.
        """
        as_written = Mark.from_json(mark.to_json())
        for commit in self._commits(name):
            if commit.version > since and commit.mark == as_written:
                return commit
        raise ContractBroken(f"{name}: no commit of run {mark.run_id} after version {since}; was the table replaced?")

    def committed_at(self, name: str, version: int) -> datetime | None:
        """When a version was committed (naive UTC); None when the log no longer tells."""
        return next((at for number, at, _, _ in self._history(name) if number == version), None)

    def vacuum(self, name: str, keep: timedelta) -> None:
        """Remove files that no version needs of those that were current within `keep`; at least a week.

        The table's own setting is raised or lowered with it, in whole days.
        """
        table, days = self.identifier(name), -(-keep // timedelta(days=1))
        setting, value = "delta.deletedFileRetentionDuration", f"interval {days} days"
        [found] = self.spark.sql(f"SHOW TBLPROPERTIES {table} ('{setting}')").collect()
        if found["value"] != value:
            # The log must reach as far; Delta compares with the statement's own value, not with the table's.
            log = f"'delta.logRetentionDuration' = 'interval {max(days, 800)} days'"
            self.spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('{setting}' = '{value}', {log})")
        # By default the files are listed in 10,000 tasks: most of a minute for a small table.
        self.spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", _LISTING_TASKS)
        self.spark.sql(f"VACUUM {table} RETAIN {days * 24} HOURS")

    # -------------------------------------------------------------- marks

    def commits(self, name: str) -> list[Commit]:
        """Our commits of a table, newest first; as many as its log holds, none when it does not exist.

        An input that was read from another lake than it would be today is left out of a mark, as if it had never
        been read: the slice is stale.
        """
        home = self.home(name)
        found = home._commits(name)
        if self.other is None:
            return found
        places = {table: self.home(table).place for one in found for table in one.mark.inputs}
        return [replace(one, mark=_read_from(one.mark, places, written_in=home.place)) for one in found]

    @property
    def place(self) -> str:
        return self.settings.catalog or self.settings.root

    def _commits(self, name: str) -> list[Commit]:
        found = []
        for version, at, text, metrics in self._history(name):
            mark = Mark.from_json(text)
            if mark is not None:
                found.append(Commit(name, version, int((metrics or {}).get("numOutputRows", 0)), mark, at))
        return found

    def _history(self, name: str) -> Iterator[tuple[int, datetime, str | None, Mapping[str, str] | None]]:
        """Version, instant, userMetadata and metrics of each commit: a row a commit, not a row of data."""
        if not self.settings.catalog:
            for version, info in delta_log.commit_infos(self.location(name)):
                at = datetime.fromtimestamp(info["timestamp"] / 1000, UTC).replace(tzinfo=None)
                yield version, at, info.get("userMetadata"), info.get("operationMetrics")
        elif self.owns(name):
            history = self.spark.sql(f"DESCRIBE HISTORY {self.identifier(name)}")
            for row in history.select("version", "timestamp", "userMetadata", "operationMetrics").collect():
                yield int(row["version"]), row["timestamp"], row["userMetadata"], row["operationMetrics"]

    def marks(self, name: str, step: str) -> dict[date, tuple[int, Mark]]:
        """For each slice the version and mark of the newest commit of `step` that wrote it."""
        return newest(self.commits(name), step)

    def slices(self, name: str, *, version: int | None = None) -> frozenset[date]:
        """Run dates of the slices that the table holds (as of `version`), empty ones included."""
        known = (one for one in self.commits(name) if version is None or one.version <= version)
        return frozenset(day for commit in known for day in commit.mark.dates)

    # -------------------------------------------------------------- conflicts

    def _retrying(self, action: Callable[[], T]) -> T:
        """`action`, again after a pause when another writer was faster; other slices never really conflict."""
        import delta.exceptions  # noqa: F401  its import makes Delta's errors recognisable by name

        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except Exception as error:
                if attempt == _ATTEMPTS - 1 or not type(error).__name__.startswith(_CONFLICTS):
                    raise
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")


def columns_of(frame: DataFrame, contract: Contract | None = None) -> list[Column]:
    """The columns that a table of such rows has; comments are the contract's."""
    comments = {column.name: column.comment for column in contract.columns} if contract is not None else {}
    return [
        Column(name=field.name, type=field.dataType.simpleString(), comment=comments.get(field.name, ""))
        for field in frame.schema
    ]


def files_of(frame: DataFrame) -> list[str]:
    """Places of the Parquet files that a frame of whole slices is read from, for readers other than Spark.

    They hold exactly the frame's rows, since our tables have no deletion vectors and no column mapping. Local ones
    are plain paths: Spark names them as URIs in which not every odd character is escaped.
    """
    return [_plain(place) for place in frame.inputFiles()]


def _plain(place: str) -> str:
    if not place.startswith("file:"):
        return place
    path = "/" + place.removeprefix("file:").lstrip("/")
    return path if os.path.exists(path) else unquote(path)


def slices(dates: Iterable[date], column: str = SLICE_COLUMN) -> str:
    """The SQL condition that holds for exactly these slices: a range where they are contiguous.

    BETWEEN is avoided: Delta fails on it in replaceWhere of a partitioned table.
    """
    days = sorted(set(dates))
    name = quoted(column)
    if not days:
        return "false"
    if len(days) == 1:
        return f"{name} = DATE'{days[0]}'"
    if (days[-1] - days[0]).days == len(days) - 1:
        return f"{name} >= DATE'{days[0]}' AND {name} <= DATE'{days[-1]}'"
    return f"{name} IN ({', '.join(f'DATE{chr(39)}{day}{chr(39)}' for day in days)})"


def _read_from(mark: Mark, places: Mapping[str, str], *, written_in: str) -> Mark:
    """The mark, without the inputs that lie elsewhere today."""
    same = {
        table: version
        for table, version in mark.inputs.items()
        if mark.read_from.get(table, written_in) == places[table]
    }
    return replace(mark, inputs=same)


def _require_same_columns(name: str, found: StructType, expected: StructType) -> None:
    have = {column.name: column.dataType.simpleString() for column in found}
    want = {column.name: column.dataType.simpleString() for column in expected}
    problems = [f"missing {column} {kind}" for column, kind in want.items() if column not in have]
    problems += [f"unexpected {column} {kind}" for column, kind in have.items() if column not in want]
    problems += [
        f"{column} is {have[column]}, expected {kind}"
        for column, kind in want.items()
        if column in have and have[column] != kind
    ]
    if problems:
        raise ContractBroken(f"{name}: {'; '.join(problems)}; a changed contract needs a new table or a migration")


def _checked(name: str) -> str:
    if _TABLE.fullmatch(name) is None:
        raise ContractBroken(f"table name {name!r}: expected <layer>.<table> of lower-case letters, digits and _")
    return name
