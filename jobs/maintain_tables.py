"""Compact the files of every table and remove those that no version needs any more.

Reads   every table of the lake that the definitions know, and the logs; the model registry
Writes  the same tables, compacted; no row and no slice changes

    ./spark-submit.sh maintain_tables --env local
    ./spark-submit.sh maintain_tables --env local --only silver.transactions --keep-days 30

A slice of a contract with `cluster_by` is laid out by these columns, once after it was written, instead of compacted.
What killed steps had staged (rows on their way, personal ones too) goes as well. Versions younger than --keep-days,
or than the `retention` of the table's contract, stay readable, and so does every version that the manifest of a live
model names: one with an alias, or the champion that a rollback returns to. Safe to repeat and to interrupt.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs import _manifests, _registry
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.definitions import load_definitions
from scorelake.errors import UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.feature_store import histories
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import staging
from scorelake.stores.lake import Lake, slices
from scorelake.tables import LEAST_RETENTION, Versioned, quoted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.definitions import Definitions

OPTIONS = {
    "--keep-days": {"type": "int", "default": 30, "help": "versions younger than this stay (default 30, least 7)"}
}
DATES = False
_LONGEST_STEP = timedelta(days=2)
"""What was staged and not written to for so long belongs to no running step."""
_MONTH = timedelta(days=30)


def run(spark: SparkSession, settings: Settings, only: Names = ALL, *, keep_days: int = 30) -> Outcome:
    if timedelta(days=keep_days) < LEAST_RETENTION:
        raise UsageError(f"--keep-days {keep_days}: a running job may still read files of the last 7 days")
    lake = Lake(spark, settings.lake)
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    kept = [histories.table(view) for view in repo.views.values() if histories.is_kept(view)]
    tables = [table for table in (*graph.tables_written(definitions), *kept) if lake.owns(table)]
    # Asked first: without the registry nobody knows what must stay, and nothing is removed.
    needed = _manifests.named_by_live_models(lake, _registry.connect(settings), definitions.models)

    keep = {table: retention(definitions, table) or timedelta(days=keep_days) for table in tables}
    notes = [
        maintain(lake, table, keep[table], needed.get(table, ()), clustering(definitions, table))
        for table in cli.chosen(tables, only)
    ]
    left = staging.clear(lake, runs.wall_clock() - _LONGEST_STEP)
    if left:
        notes.append(f"removed what {left} killed steps had staged")
    return Outcome(notes=tuple(notes))


def retention(definitions: Definitions, table: str) -> timedelta | None:
    """What the contract of a table says; rows in quarantine go by the table that refused them."""
    layer, _, name = table.partition(".")
    contract = definitions.tables.get(f"silver.{name}" if layer == "quarantine" else table)
    return contract.retention if contract is not None else None


def clustering(definitions: Definitions, table: str) -> tuple[str, ...]:
    """The columns by which the contract of a table lays its rows out."""
    contract = definitions.tables.get(table)
    return contract.cluster_by if isinstance(contract, Versioned) else ()


def maintain(lake: Lake, table: str, keep: timedelta, needed: Collection[int], cluster_by: Sequence[str] = ()) -> str:
    """Compact or lay out, then vacuum all but what is younger than `keep` or belongs to a `needed` version; tells what
    was done.
    """
    done = _clustered(lake, table, cluster_by) if cluster_by else _optimized(lake, table)
    reach = keep_of(keep, [at for version in needed if (at := lake.committed_at(table, version))])
    lake.vacuum(table, reach)
    told = f", all since version {min(needed)} is kept for a model" if reach > keep else ""
    return f"{table}: {done}{told}"


def _optimized(lake: Lake, table: str, how: str = "") -> str:
    [metrics] = [row["metrics"] for row in lake.spark.sql(f"OPTIMIZE {lake.identifier(table)} {how}").collect()]
    return f"{metrics['numFilesRemoved']} files became {metrics['numFilesAdded']}"


def _clustered(lake: Lake, table: str, columns: Sequence[str]) -> str:
    """Lay out the slices that were written since the last time; Delta would rewrite all of them every night.

    What was committed while the last one read is not in it, so its own read version is what counts.
    """
    from pyspark.sql import functions as F

    history = lake.spark.sql(f"DESCRIBE HISTORY {lake.identifier(table)}")
    before = history.where(F.col("operation") == "OPTIMIZE").where(
        F.from_json("operationParameters.zOrderBy", "array<string>") == F.array(*map(F.lit, columns))
    )
    [seen] = before.agg(F.max("readVersion")).collect()[0]
    written = {day for one in lake.commits(table) if seen is None or one.version > seen for day in one.mark.dates}
    if not written:
        return "laid out already"
    return _optimized(lake, table, f"WHERE {slices(written)} ZORDER BY ({', '.join(map(quoted, columns))})")


def keep_of(keep: timedelta, needed: Collection[datetime]) -> timedelta:
    """How far back a vacuum must keep files: `keep`, or to the oldest needed commit.

    Then a month and more beyond it: Delta forgets when files were removed by the same measure, and the next
    maintenance must still know. In whole months, so that the table's setting changes no more often.
    """
    if not needed:
        return keep
    age = runs.wall_clock() - min(needed)
    return max(keep, (age // _MONTH + 2) * _MONTH)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
