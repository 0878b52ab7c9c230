"""Tell where a slice came from, up to the landed files, and what was made from it.

Reads   the marks in the commits of all tables; of bronze the names of the slice's files
Writes  nothing

    ./spark-submit.sh explain gold.customer_rfm 2017-12-31 --env local
    ./spark-submit.sh explain scores.lapse_xgboost 2017-12-31 --env local

For each slice: the version of its table, when and by which run it was written, its definition hash. A table of
which a slice read all history up to its date stands with the version that it saw.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from jobs import _screen
from scorelake.cli import ALL, Names, main
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput, UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph, lineage
from scorelake.runs import Outcome
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from rich.tree import Tree

    from scorelake.definitions import Definitions
    from scorelake.nightly.lineage import Origin
    from scorelake.settings import Settings

OPTIONS = {
    "table": {"metavar": "TABLE", "help": "such as gold.customer_rfm"},
    "date": {"metavar": "DATE", "type": "date", "help": "the slice: run date, of scores the score date"},
}
DATES = False


def run(spark: SparkSession, settings: Settings, only: Names = ALL, *, table: str, date: date) -> Outcome:
    from rich.tree import Tree

    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    order = [*graph.nightly_nodes(definitions, repo), *graph.training_nodes(definitions, repo)]
    nodes = {node.table: node for node in order if not node.shared}
    if table not in nodes:
        raise UsageError(f"no table {table} that a night writes in slices; there are: {', '.join(nodes)}")
    commits = cache(lake.commits)

    origin = lineage.origin(table, date, nodes, commits)
    if origin is None:
        raise MissingInput(f"{table} has no slice {date}; `plan` says whether and why it would be built")
    console = _screen.console()
    console.print(_origins(lake, definitions, origin))
    below = Tree(f"made from {table} {date}")
    for made in lineage.made_from(table, date, order, commits):
        state = "" if made.is_current else "  stale: its input was written again since"
        below.add(f"{made.node.table} {made.dates}  by {made.node.step}{state}")
    console.print(below if below.children else f"nothing was made from {table} {date}")
    return Outcome()


def _origins(lake: Lake, definitions: Definitions, origin: Origin) -> Tree:
    from rich.tree import Tree

    commit = origin.commit
    tree = Tree(
        f"{origin.node.table} {origin.day}  version {commit.version} of {commit.at:%Y-%m-%d %H:%M:%S} UTC "
        f"by {origin.node.step}, run {commit.mark.run_id}, definition {commit.mark.definition_hash[:12]}"
    )
    if origin.node.table in definitions.bronze:
        for line in _files(lake, origin):
            tree.add(line)
    for above in origin.same_date:
        tree.add(_origins(lake, definitions, above))
    for table, version in origin.history.items():
        tree.add(f"{table}, every slice up to {origin.day}, as of version {version}")
    return tree


def _files(lake: Lake, origin: Origin) -> list[str]:
    """What the slice was read from; as many lines as the drop had files."""
    stored = lake.read_slices(origin.node.table, [origin.day]).groupBy("source_file").count()
    return [f"{row['source_file']}: {row['count']:,} rows" for row in stored.orderBy("source_file").collect()]


if __name__ == "__main__":
    main(run, description=__doc__)
