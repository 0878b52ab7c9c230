"""Landed files into bronze: first every file is looked through, then, when all is well, it is read.

Looking through a file finds what is wrong with it before anything is written (damage, columns that are not those of
the contract, a manifest that disagrees) and records its size, digest and rows. Reading then insists on the same
size, digest and rows, so that input rows = bronze rows, per file, always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from scorelake.errors import ScorelakeError
from scorelake.ingest import manifest
from scorelake.ingest.drops import Drops, Stamp, manifest_of, stamped
from scorelake.ingest.landed import ERRORS, INSPECTED, LandedFile, Look, Reader, Rows, Share
from scorelake.ingest.records import Shape
from scorelake.tables import Bronze, FileSource

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_TASK_BYTES = 32 << 20
Read = TypeVar("Read", LandedFile, Share)


@dataclass(frozen=True)
class Inspection:
    """Every file of the drops looked at, in order of run date and path."""

    files: tuple[LandedFile, ...]

    def problems(self) -> dict[date, ScorelakeError]:
        """The first problem of each date that has one."""
        found: dict[date, ScorelakeError] = {}
        for file in self.files:
            error = file.error()
            if error is not None:
                found.setdefault(file.run_date, error)
        return found

    def new_columns(self) -> dict[str, date]:
        """Columns that the contract does not know, and the first date whose files had each."""
        found: dict[str, date] = {}
        for file in self.sound():
            for name in file.new_columns:
                found.setdefault(name, file.run_date)
        return found

    def sound(self) -> tuple[LandedFile, ...]:
        """Files of the dates that have no problem."""
        damaged = self.problems()
        return tuple(file for file in self.files if file.run_date not in damaged)


def inspect(spark: SparkSession, contract: Bronze, drops: Drops, *, landing_root: str) -> Inspection:
    """Look through every file; one Spark job. What comes back is one row a file."""
    root = landing_root.rstrip("/") + "/"
    files = [
        LandedFile(day, path, path.removeprefix(root)) for day, paths in sorted(drops.found.items()) for path in paths
    ]
    if not files:
        return Inspection(())
    look = Look(_reader(spark, contract))
    rows = _distributed(spark, files, look, INSPECTED).collect()
    seen = sorted((LandedFile(**row.asDict()) for row in rows), key=lambda file: (file.run_date, file.path))
    return Inspection(tuple(_as_listed(contract, seen, landing_root)))


def _as_listed(contract: Bronze, files: Sequence[LandedFile], landing_root: str) -> Iterator[LandedFile]:
    """The files of each date, checked against its manifest where the source has one."""
    source = contract.source
    for day, of_day in groupby(files, key=lambda file: file.run_date):
        files_of_day = list(of_day)
        place = manifest_of(source, landing_root, day) if isinstance(source, FileSource) else None
        yield from files_of_day if place is None else manifest.checked(files_of_day, place, day)


def read(spark: SparkSession, contract: Bronze, files: Sequence[LandedFile], stamp: Stamp) -> DataFrame:
    """The bronze rows of inspected files. A file that changed since makes the write fail; see `named_errors`."""
    reader = _reader(spark, contract)
    shares = [share for file in files for share in file.shares()]
    rows = _distributed(spark, shares, Rows(reader), _rows_ddl(contract))
    return stamped(rows, contract.column_names, stamp)


def error_in(failure: BaseException) -> ScorelakeError | None:
    """The error of ours that a Python worker raised, out of Spark's wrapping of it; None when it was another."""
    for line in str(failure).splitlines():
        name, colon, message = line.strip().rpartition("scorelake.errors.")[2].partition(": ")
        if colon and name in ERRORS:
            return ERRORS[name](message)
    return None


# ------------------------------------------------------------------ distributing files over tasks


def _rows_ddl(contract: Bronze) -> str:
    columns = ", ".join(f"`{column.name}` {column.type}" for column in contract.columns)
    return f"{columns}, raw STRING, extra MAP<STRING, STRING>, source_file STRING, source_row BIGINT, run_date DATE"


def _reader(spark: SparkSession, contract: Bronze) -> Reader:
    from pyspark.sql.pandas.types import to_arrow_schema

    source = contract.source
    if not isinstance(source, FileSource):
        raise TypeError(f"{contract.name} has no files")
    ddl = ", ".join(f"`{column.name}` {column.type}" for column in contract.columns)
    shape = Shape(
        tuple(contract.column_names),
        dict(source.rename),
        optional=frozenset(source.optional),
        keep_new=source.new_columns == "keep",
    )
    return Reader(source, shape, to_arrow_schema(spark.createDataFrame([], ddl).schema))


def _distributed(
    spark: SparkSession,
    files: Sequence[Read],
    action: Callable[[Read], Iterator[pa.RecordBatch]],
    ddl: str,
) -> DataFrame:
    """`action` on each file or share of one, in contiguous groups, one group a task: a Python task costs 80 ms."""
    width = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    known_bytes = sum(file.bytes for file in files)
    tasks = max(1, min(len(files), max(width, known_bytes // _TASK_BYTES)))
    groups = [tuple(files[task * len(files) // tasks : (task + 1) * len(files) // tasks]) for task in range(tasks)]

    def act(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for file in groups[task]:
                    yield from action(file)

    return spark.range(0, tasks, 1, tasks).mapInArrow(act, ddl)
