"""Run a whole night, or a range of them: everything that is missing or stale, in order, and nothing else.

Reads   landed drops and databases, the definitions, the model registry
Writes  bronze.*, silver.*, gold.*, features.*, scores.*, monitoring.*, the online store; ops.runs when it ends

    ./spark-submit.sh run_nightly --env local --run-date 2017-12-26
    ./spark-submit.sh run_nightly --env local --run-date 2017-12-26 --when-ready

What is done is read from the commits of the tables, so a night that was killed goes on where it stopped. A branch
that fails stops what depends on it and nothing else; independent steps run side by side (settings: `night`). One
night at a time: a second one ends with exit code 3. SIGTERM cancels what runs and puts it on record. However it ends,
those in the settings' `notify` are told. Training is not part of a night: train_model, promote_model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from jobs import (
    _night,
    build_features,
    build_gold,
    build_silver,
    build_training_set,
    evaluate_scores,
    ingest_bronze,
    materialize_features,
    report_drift,
    score_batch,
)
from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.errors import UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import events, graph
from scorelake.nightly.events import Lineage
from scorelake.nightly.graph import Node
from scorelake.nightly.night import Night
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.feature_store.definitions import FeatureRepo

STEPS: Mapping[str, Callable[..., Outcome]] = {
    "ingest_bronze": ingest_bronze.run,
    "build_silver": build_silver.run,
    "build_gold": build_gold.run,
    "build_features": build_features.run,
    "build_training_set": build_training_set.run,
    "score_batch": score_batch.run,
    "evaluate_scores": evaluate_scores.run,
    "report_drift": report_drift.run,
}


OPTIONS = {
    "--when-ready": {
        "action": "store_true",
        "help": "start before the drops are in and wait for them, as night.when_late=wait would",
    }
}


def run(
    spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL, *, when_ready: bool = False
) -> Outcome:
    if only is not ALL:
        raise UsageError("run_nightly builds what is missing; to restrict it, run single jobs with --only")
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    if when_ready:
        settings = settings.model_copy(update={"night": settings.night.model_copy(update={"when_late": "wait"})})
    with _night.alone(lake, definitions, repo):
        night = start(lake, settings, events.lineage(settings, "run_nightly", lake, definitions, repo))
        try:
            _execute(night, definitions, repo, dates, lambda: materialize_features.run(spark, settings, dates))
        finally:
            ops.record_steps(lake, night.done)
            _night.notify(settings.notify, dates, night.outcome)
    return night.outcome


def _execute(
    night: Night, definitions: Definitions, repo: FeatureRepo, dates: RunDates, materialize: Callable[[], Outcome]
) -> None:
    def due(node: Node) -> Sequence[date]:
        return due_dates(definitions, node, dates)

    night.execute(graph.nightly_nodes(definitions, repo), due)
    if not any(table.startswith(("silver.", "gold.", "features.")) for table in night.blocked):
        night.run("materialize_features", "", dates, materialize)


def start(lake: Lake, settings: Settings, lineage: Lineage | None = None) -> Night:
    """A night that runs the jobs of this package, and tells `lineage` of them."""

    def run_step(node: Node, dates: RunDates) -> Outcome:
        return STEPS[node.step](lake.spark, settings, dates, frozenset([node.subject]))

    return Night(lake, run_step, settings.night, lineage)


def due_dates(definitions: Definitions, node: Node, dates: RunDates) -> Sequence[date]:
    """The dates of the range for which a node has a slice."""
    return graph.due_dates(definitions, node.table, dates) if node.table in definitions.tables else list(dates)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
