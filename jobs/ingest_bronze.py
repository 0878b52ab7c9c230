"""Bring landed drops into bronze tables, as received.

Reads   files below landing.root, databases
Writes  bronze.*, the slices of the given run dates; a re-run replaces them

    ./spark-submit.sh ingest_bronze --env local --run-date 2017-11-26
    ./spark-submit.sh ingest_bronze --env local --from 2017-01-01 --to 2017-12-31 --only bronze.transactions

A due drop that is missing ends with exit code 3 and names the path looked for, unless the setting allow_missing
lists the table. A damaged file fails its own date (exit code 1); the other dates are written.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput
from scorelake.ingest import drops, files, jdbc
from scorelake.ingest.drops import Stamp
from scorelake.ingest.jdbc import Connection
from scorelake.nightly import hashes
from scorelake.runs import Outcome
from scorelake.settings import Settings, resolve_secret
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark
from scorelake.tables import Bronze, FileSource, JdbcSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

STEP = "ingest_bronze"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)

    outcomes = []
    for table in cli.chosen(definitions.bronze, only):
        contract = definitions.bronze[table]
        ingest = _ingest_files if isinstance(contract.source, FileSource) else _ingest_database
        digest = hashes.table(definitions, table)
        chunks = dates.chunks(settings.limits.range_chunk_days)
        outcomes += [ingest(lake, settings, contract, chunk, digest) for chunk in chunks]
    return runs.combined(outcomes)


def _ingest_files(lake: Lake, settings: Settings, contract: Bronze, dates: RunDates, digest: str) -> Outcome:
    assert isinstance(contract.source, FileSource)
    due = drops.due(contract.source, dates)
    found = drops.find(contract.source, settings.landing.root, due)
    inspection = files.inspect(lake.spark, contract, found, landing_root=settings.landing.root)
    sound = inspection.sound()
    days = tuple(sorted({file.run_date for file in sound}))

    written = 0
    if days:
        rows = files.read(lake.spark, contract, sound, _stamp())
        fingerprints = {file.file: [file.bytes, file.sha256, file.rows] for file in sound}
        mark = Mark(runs.run_id(), STEP, days, digest, notes={"files": fingerprints})
        try:
            written = _write(lake, contract, rows, mark)
        except Exception as failure:
            if named := files.error_in(failure):
                raise named from failure
            raise
    new = [f"{name} (from {day} on)" for name, day in inspection.new_columns().items()]
    notes = (f"{contract.name}: not in the contract, kept in `extra`: {', '.join(new)}",) if new else ()
    missing = tuple(drops.missing_drops(contract.name, found.missing))
    failed = tuple(f"{contract.name} of {day}: {error}" for day, error in sorted(inspection.problems().items()))
    if contract.name in settings.allow_missing:
        return Outcome({contract.name: written}, notes=(*notes, *missing), failed=failed)
    return Outcome({contract.name: written}, notes=notes, missing=missing, failed=failed)


def _ingest_database(lake: Lake, settings: Settings, contract: Bronze, dates: RunDates, digest: str) -> Outcome:
    source = contract.source
    assert isinstance(source, JdbcSource)
    days, kept = _readable(lake, contract, drops.due(source, dates))
    if not days:
        return Outcome(notes=kept)
    connection = jdbc.located(
        Connection(
            source.url if source.url.startswith("jdbc:") else resolve_secret(source.url),
            resolve_secret(source.user) if source.user else None,
            resolve_secret(source.password) if source.password else None,
        ),
        settings.landing.root,
    )
    rows = jdbc.read(lake.spark, contract, days, connection, _stamp())
    return Outcome({contract.name: _write(lake, contract, rows, Mark(runs.run_id(), STEP, days, digest))}, notes=kept)


def _readable(lake: Lake, contract: Bronze, due: Collection[date]) -> tuple[tuple[date, ...], tuple[str, ...]]:
    """The due dates whose drop the database can still give, and notes on those that it cannot.

    A snapshot shows the present only: for an older date the stored slice stands, and if there is none, MissingInput.
    """
    if not contract.source.repeats_snapshots:
        return tuple(due), ()
    plan = drops.snapshots(due, list(lake.marks(contract.name, STEP)))
    if plan.lost:
        raise MissingInput(
            f"{contract.name}: the snapshots of {', '.join(map(str, plan.lost))} were never taken, and the source "
            "shows only its present state; start at the newest due date"
        )
    kept = (f"{contract.name}: {len(plan.kept)} older snapshots stand as stored",) if plan.kept else ()
    return plan.read, kept


def _stamp() -> Stamp:
    return Stamp(runs.run_id(), runs.wall_clock())


def _write(lake: Lake, contract: Bronze, rows: DataFrame, mark: Mark) -> int:
    columns = columns_of(rows, contract)
    lake.create(contract.name, columns, partitioned_by=["run_date"], comment=contract.description)
    return lake.replace_slices(rows, contract.name, mark).rows


if __name__ == "__main__":
    cli.main(run, description=__doc__)
