"""A night that is started before its drops are in waits for them, branch by branch."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import run_nightly
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.settings import load_settings
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

BRONZE = """
description: Rows.
columns: [id STRING]
source: {{kind: csv, path: "{name}/{{run_date}}/*.csv", delivery: events, starts: {starts}, delivers: daily}}
"""
SETTINGS = "night: {look_every: 1 second, wait_until: 3 days}\n"


def test_late_drops_are_waited_for(spark: SparkSession, tmp_path: Path) -> None:
    yesterday = runs.wall_clock().date() - timedelta(days=1)  # of a drop of long ago nobody expects that it still comes
    conf = tmp_path / "conf"
    for path, text in definitions(yesterday).items():
        (conf / path).parent.mkdir(parents=True, exist_ok=True)
        (conf / path).write_text(text)
    repo = tmp_path / "feature_repo"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text("project: none\nprovider: local\nregistry: registry.db\n")
    settings = load_settings(conf, "local", [f"local.home={tmp_path}"], repo)
    lake = Lake(spark, settings.lake)
    landing = Path(settings.landing.root)
    land(landing, "early", yesterday)

    def land_late() -> None:
        while "early" not in lake_folders(tmp_path):
            threading.Event().wait(0.2)
        land(landing, "late", yesterday)

    late = threading.Thread(target=land_late)
    late.start()
    outcome = run_nightly.run(spark, settings, RunDates.single(yesterday), when_ready=True)
    late.join()
    assert (outcome.exit_code, outcome.missing) == (0, ())
    assert [lake.read(f"bronze.{name}").count() for name in ("early", "late")] == [1, 1]
    for layer in ("bronze", "ops"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")


def definitions(starts: date) -> dict[str, str]:
    tables = {f"tables/bronze/{name}.yaml": BRONZE.format(name=name, starts=starts) for name in ("early", "late")}
    return {"base.yaml": SETTINGS, "local.yaml": "{}", **tables}


def land(landing: Path, name: str, day: date) -> None:
    place = landing / name / str(day)
    place.mkdir(parents=True)
    (place / "part.csv").write_text("id\n1\n")


def lake_folders(home: Path) -> set[str]:
    """Tables of bronze that hold a slice."""
    return {path.parent.name for path in (home / "lake/bronze").glob("*/run_date=*")}
