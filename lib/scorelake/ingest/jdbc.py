"""Tables and queries of SQLite and PostgreSQL into bronze, over Spark's JDBC reader. The source is only ever read.

Every column crosses as text and is cast here, since the drivers change values silently: SQLite's reads 'zz' as 0 and
2.7 as 2, PostgreSQL's infinity as the year 9999. A row with a value that is not of its column's type is a malformed
bronze row: `raw` holds it as JSON and its columns are null. Columns that the contract declares STRING take any value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from scorelake.errors import ConfigError, ContractBroken, MissingInput, ScorelakeError
from scorelake.ingest import storage
from scorelake.ingest.databases import Database, bound, database_of
from scorelake.ingest.drops import Stamp, stamped
from scorelake.ingest.records import Shape
from scorelake.tables import Bronze, JdbcSource, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

_FETCH_ROWS = "10000"


@dataclass(frozen=True)
class Connection:
    """Where a database is and who reads it; secrets are resolved by the job and never shown."""

    url: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def options(self, database: Database) -> dict[str, str]:
        secrets = {"user": self.user, "password": self.password}
        given = {key: value for key, value in secrets.items() if value is not None}
        return {"url": self.url, "driver": database.driver, "fetchsize": _FETCH_ROWS, **database.options, **given}


def located(connection: Connection, landing_root: str) -> Connection:
    """The connection with a SQLite file's path below the landing root. MissingInput when the file is not there."""
    prefix = "jdbc:sqlite:"
    if not connection.url.startswith(prefix):
        return connection
    path, question, options = connection.url.removeprefix(prefix).partition("?")
    path = storage.local_path(storage.join(landing_root, path))
    if not os.path.isfile(path):
        raise MissingInput(f"database file {path} is not there; land it, or correct the source's url")
    return Connection(f"{prefix}{path}{question}{options}", connection.user, connection.password)


def read(
    spark: SparkSession, contract: Bronze, run_dates: Sequence[date], connection: Connection, stamp: Stamp
) -> DataFrame:
    """The bronze rows of these drops: one query a date and partition.

    Names and types are checked before a row is read: ContractBroken when they are not those of the contract.
    """
    source = contract.source
    if not isinstance(source, JdbcSource):
        raise TypeError(f"{contract.name} has no database")
    table = _Table(spark, contract, source, connection, database_of(connection.url))
    names = table.checked_names(run_dates[0])
    drops = (table.drop(day, names) for day in run_dates)
    return stamped(reduce(DataFrame.unionByName, drops), contract.column_names, stamp)


@dataclass(frozen=True)
class _Table:
    spark: SparkSession
    contract: Bronze
    source: JdbcSource
    connection: Connection
    database: Database

    @property
    def label(self) -> str:
        """What stands in source_file: the address without options and secrets."""
        place = self.source.url.partition("?")[0] if self.source.url.startswith("jdbc:") else "jdbc"
        return f"{place}#{self.source.table or 'query'}"

    def checked_names(self, day: date) -> list[str]:
        """Columns of the source, after checking them and their types against the contract."""
        reported = dict(self._load(f"SELECT * FROM {self._origin(day)} WHERE 1 = 0", {}).dtypes)
        found = {self.source.rename.get(name, name): kind for name, kind in reported.items()}
        shape = Shape(
            tuple(self.contract.column_names),
            {},
            optional=frozenset(self.source.optional),
            keep_new=self.source.new_columns == "keep",
        )
        shape.check(list(found), f"{self.contract.name} ({self.label})")
        wrong = [
            f"{column.name} is {found[column.name].upper()}, expected {column.type.upper()}"
            for column in self.contract.columns
            if column.name in found and not self.database.may_be(found[column.name], column.type)
        ]
        if wrong:
            raise ContractBroken(f"{self.contract.name} ({self.label}): column types differ: {'; '.join(wrong)}")
        return list(reported)

    def drop(self, day: date, names: Sequence[str]) -> DataFrame:
        conditions = self._partitions(day)
        labels = [f"{self.label}[{n}]" if len(conditions) > 1 else self.label for n in range(1, len(conditions) + 1)]
        parts = zip(conditions, labels, strict=True)
        return reduce(DataFrame.unionByName, (self._rows(day, names, *part) for part in parts))

    def _rows(self, day: date, names: Sequence[str], condition: str | None, label: str) -> DataFrame:
        texts = ", ".join(f"{self.database.as_text(name)} AS {self.database.quoted(name)}" for name in names)
        query = f"SELECT {texts} FROM {self._origin(day)}" + (f" WHERE {condition}" if condition else "")
        rows = self._load(query, {"customSchema": ", ".join(f"{quoted(name)} STRING" for name in names)})
        # Within a partition the ids are consecutive; a query is one partition.
        number = F.monotonically_increasing_id() - F.spark_partition_id().cast("bigint") * (1 << 33) + 1
        return self._typed(rows, names).select(
            "*", F.lit(label).alias("source_file"), number.alias("source_row"), F.lit(day).alias("run_date")
        )

    def _typed(self, rows: DataFrame, names: Sequence[str]) -> DataFrame:
        """Contract columns, raw and extra."""
        bronze_names = {self.source.rename.get(name, name): name for name in names}
        texts = {
            column.name: F.col(quoted(bronze_names[column.name])) if column.name in bronze_names else F.lit(None)
            for column in self.contract.columns
        }
        typed = {column.name: self._cast(texts[column.name], column.type) for column in self.contract.columns}
        fails = [texts[name].isNotNull() & typed[name].isNull() for name in typed]
        is_malformed = reduce(lambda a, b: a | b, fails)
        whole = F.to_json(F.struct(*(F.col(quoted(name)) for name in names)), {"ignoreNullFields": "false"})
        columns = [F.when(~is_malformed, value).alias(name) for name, value in typed.items()]
        raw = F.when(is_malformed, whole).alias("raw")
        return rows.select(*columns, raw, self._extra(bronze_names).alias("extra"))

    def _cast(self, text: Column, kind: str) -> Column:
        if kind == "string":
            return text.cast("string")
        value = text.try_cast(kind)
        if kind in ("date", "timestamp"):  # Spark reads '10:00' as a time of today
            value = F.when(text.rlike("^[0-9]{4}-"), value)
        zone = self.source.time_zone
        if kind == "timestamp" and zone is not None:
            utc = F.to_utc_timestamp(value, zone)
            was_skipped = F.from_utc_timestamp(utc, zone) != value
            return F.when(text.rlike("[ T].*([+-][0-9:]+|Z)$"), value).when(~was_skipped, utc)
        return value

    def _extra(self, bronze_names: Mapping[str, str]) -> Column:
        new = sorted(name for name in bronze_names if name not in self.contract.column_names)
        pairs = [part for name in new for part in (F.lit(name), F.col(quoted(bronze_names[name])))]
        return F.create_map(*pairs) if pairs else F.lit(None).cast("map<string,string>")

    def _partitions(self, day: date) -> list[str | None]:
        """Conditions that split the query's rows, each row in exactly one; [None] for a query in one piece."""
        name, count = self.source.partition_column, self.source.partitions
        if name is None or count == 1:
            return [None]
        column = self.database.quoted(name)
        ends = f"SELECT CAST(min({column}) AS text) AS low, CAST(max({column}) AS text) AS high"
        row = self._load(f"{ends} FROM {self._origin(day)}", {"customSchema": "low STRING, high STRING"}).first()
        if row is None or row["low"] is None:
            return [None]
        try:
            low, high = int(row["low"]), int(row["high"])
        except ValueError:
            raise ConfigError(f"{self.contract.name}: partition_column {name} must hold integers") from None
        inner = sorted({low + (high - low + 1) * part // count for part in range(1, count)} - {low})
        if not inner:
            return [None]
        between = [f"{column} >= {start} AND {column} < {end}" for start, end in pairwise(inner)]
        return [f"({column} < {inner[0]} OR {column} IS NULL)", *between, f"{column} >= {inner[-1]}"]

    def _origin(self, day: date) -> str:
        if self.source.query is not None:
            return f"({bound(self.source.query, day, self.database)}\n) AS origin"
        return ".".join(self.database.quoted(part) for part in (self.source.table or "").split("."))

    def _load(self, query: str, options: Mapping[str, str]) -> DataFrame:
        reader = self.spark.read.format("jdbc").options(**self.connection.options(self.database), **options)
        try:
            return reader.option("dbtable", f"({query}) AS drop_rows").load()
        except Exception as error:  # the driver's own exceptions, of no common class in Python
            found = [line.strip(" :") for line in str(error).splitlines() if "Exception: " in line]
            reason = found[0] if found else type(error).__name__
            raise ScorelakeError(f"{self.contract.name}: the database refused: {reason[:300]}") from error
