"""Fill the holes of a range and repair what is stale in it, and touch nothing that is current.

Reads   landed drops and databases, the definitions, the model registry
Writes  the missing and stale slices of bronze, silver, gold, features, scores and monitoring; ops.runs

    ./spark-submit.sh backfill --env local --from 2017-01-01 --to 2017-12-31
    ./spark-submit.sh backfill --env local --from 2017-11-01 --to 2017-12-31 --only silver.transactions,lapse_v1

`plan` says beforehand what it would do. Slices are built in big steps, one step at a time, and a killed backfill
goes on where it stopped. A published score date keeps the model version that scored it. The online store is left
alone: it is run_nightly's, for the newest date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from jobs import _night, run_nightly
from scorelake.cli import ALL, Names, chosen, main
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import events, graph
from scorelake.runs import Outcome
from scorelake.stores import ops
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.dates import RunDates
    from scorelake.nightly.graph import Node
    from scorelake.settings import Settings


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    one_by_one = settings.model_copy(update={"night": settings.night.model_copy(update={"parallel": 1})})
    nodes = graph.nightly_nodes(definitions, repo)
    wanted = set(chosen(dict.fromkeys(node.subject for node in nodes), only))

    def due(node: Node) -> Sequence[date]:
        return run_nightly.due_dates(definitions, node, dates) if node.subject in wanted else []

    with _night.alone(lake, definitions, repo):
        night = run_nightly.start(lake, one_by_one, events.lineage(settings, "backfill", lake, definitions, repo))
        try:
            night.execute(nodes, due)
        finally:
            ops.record_steps(lake, night.done)
    return night.outcome if night.done else Outcome(notes=("everything is up to date",))


if __name__ == "__main__":
    main(run, description=__doc__)
