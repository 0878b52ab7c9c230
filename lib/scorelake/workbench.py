"""What a notebook opens with: settings, definitions, feature repo and lake of one environment, in one call."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake import session
from scorelake.definitions import Definitions, load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.feature_store.definitions import FeatureRepo
from scorelake.settings import Settings, load_settings
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Workbench:
    """Everything a notebook asks questions with. Nothing here writes."""

    spark: SparkSession
    settings: Settings
    definitions: Definitions
    repo: FeatureRepo
    lake: Lake


def open_workbench(env: str = "local", *, conf_dir: Path | None = None) -> Workbench:
    """The environment's definitions and lake, and a session of our own on this machine.

    Without `conf_dir` that of SCORELAKE_CONF_DIR, which `./spark-submit.sh notebook` sets.
    """
    settings = load_settings(conf_dir or Path(os.environ["SCORELAKE_CONF_DIR"]), env)
    os.environ.update(settings.exported())
    spark = session.start("notebook", master="local[*]")
    return Workbench(
        spark,
        settings,
        load_definitions(settings.conf_dir),
        feature_definitions.load(settings.feature_repo, settings.conf_dir),
        Lake(spark, settings.lake),
    )
