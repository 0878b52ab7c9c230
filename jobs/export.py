"""Export slices of a silver or gold table to files with checksums, one folder a slice.

Reads   the table, the slices of the given run dates
Writes  <out>/<table>/<date>/part-*.csv (or json, parquet), and manifest.csv: file, bytes, rows, sha256

    ./spark-submit.sh export gold.recency --env local --run-date 2017-11-26 --format csv --out /tmp/exported

Personal columns are left out unless --with-personal says so. Exported folders can be landed again: a bronze table with
`manifest:` checks every file against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput
from scorelake.ingest import export
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.ingest.export import Format

OPTIONS = {
    "table": {"help": "a silver or gold table, such as gold.recency"},
    "--format": {"choices": ["csv", "json", "parquet"], "default": "csv", "dest": "kind", "help": "default csv"},
    "--out": {"required": True, "help": "folder or URI below which the files go"},
    "--with-personal": {"action": "store_true", "help": "personal columns too"},
}


def run(
    spark: SparkSession,
    settings: Settings,
    dates: RunDates,
    only: Names = ALL,
    *,
    table: str,
    kind: Format = "csv",
    out: str,
    with_personal: bool = False,
) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    [name] = cli.chosen([*definitions.silver, *definitions.gold], frozenset([table]))
    contract = definitions.tables[name]
    [node] = [node for node in graph.table_nodes(definitions) if node.table == name]
    written = lake.marks(name, node.mark)
    missing = [str(day) for day in dates if day not in written]
    if missing:
        raise MissingInput(f"{name} has no slice {', '.join(missing)}; run {node.step} for it first")

    hidden = () if with_personal else contract.personal
    names = [column for column in contract.column_names if column not in hidden]
    notes = [f"{name}: left out as personal: {', '.join(hidden)}"] if hidden else []
    for day in dates:
        rows = lake.read_slices(name, [day]).select(*map(quoted, names))
        folder = f"{out.rstrip('/')}/{name}/{day}"
        files = export.export(rows, folder, kind)
        notes.append(f"{folder}: {sum(file.rows for file in files):,} rows in {len(files)} files")
    return Outcome(notes=tuple(notes))


if __name__ == "__main__":
    cli.main(run, description=__doc__)
