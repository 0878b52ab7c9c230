"""The shop, once through every job: its definitions know nothing of the example, nor the platform of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import build_training_set, evaluate_scores, promote_model, run_nightly, train_model
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.runs import Outcome
from scorelake.settings import Settings, load_settings
from scorelake.stores.lake import Lake
from tests.shop import land

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHOP = Path(__file__).parent
TRAINED_AT = RunDates.single(date(2024, 10, 18))
NIGHTS = RunDates(date(2024, 10, 19), date(2024, 10, 21))
MATURED = RunDates.single(date(2024, 12, 21))


@dataclass(frozen=True)
class Shop:
    spark: SparkSession
    settings: Settings
    outcomes: dict[str, Outcome]

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, self.settings.lake)


def settings_in(home: Path) -> Settings:
    places = [f"local.home={home}", f"lineage.file={home}/lineage.jsonl"]
    return load_settings(SHOP / "conf", "local", places, SHOP / "feature_repo")


@pytest.fixture(scope="session")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    before = dict(os.environ)
    shop = lived(spark, settings_in(tmp_path_factory.mktemp("the shop's home")))
    os.environ.clear()
    os.environ.update(before)
    return shop


def lived(spark: SparkSession, settings: Settings) -> Shop:
    """Everything up to the night before the champion, training, nights with scores, and the day labels are in."""
    for layer in ("bronze", "silver", "gold", "quarantine", "features", "training", "scores", "monitoring", "ops"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")
    runs.begin()
    land.land(Path(settings.landing.root), land.YEAR)
    steps = {
        "history": lambda: _tables(spark, settings),
        "training set": lambda: build_training_set.run(spark, settings, TRAINED_AT),
        "train": lambda: train_model.run(spark, settings, TRAINED_AT),
        "promote": lambda: promote_model.run(spark, settings, TRAINED_AT),
        "nights": lambda: run_nightly.run(spark, settings, NIGHTS),
        "evaluate": lambda: evaluate_scores.run(spark, settings, MATURED),
    }
    outcomes: dict[str, Outcome] = {}
    for name, step in steps.items():
        outcomes[name] = step()
        assert outcomes[name].exit_code == 0, (name, list(outcomes[name].lines()))
    return Shop(spark, settings, outcomes)


def _tables(spark: SparkSession, settings: Settings) -> Outcome:
    """Bronze to gold of the whole year, as one range; gold that is no label only where it is asked for."""
    from scorelake.definitions import load_definitions
    from scorelake.nightly import graph

    definitions = load_definitions(settings.conf_dir)
    night = run_nightly.start(Lake(spark, settings.lake), settings)
    labels_and_below = [
        node
        for node in graph.table_nodes(definitions)
        if node.table not in definitions.gold or node.table in definitions.labels
    ]
    night.execute(labels_and_below, lambda node: run_nightly.due_dates(definitions, node, land.YEAR))
    return night.outcome
