"""From a reason to a version that has met the gate, through the real jobs, on a swimming pool of made-up visits."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from jobs import _registry, build_features, build_gold, report_drift, retrain, score_batch
from scorelake import runs
from scorelake.dates import RunDates, as_of
from scorelake.decisions import Decision
from scorelake.settings import load_settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column
from tests.shop.night import SHOP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from scorelake.settings import Settings

FIRST, TRAINED, DRIFTED, REFUSED = date(2024, 1, 20), date(2024, 3, 10), date(2024, 3, 13), date(2024, 3, 20)
SCHEMAS = ("silver", "gold", "training", "features", "scores", "ops", "quarantine", "monitoring")
GUESTS = 150
BRONZE = """
description: Visits.
source: {kind: csv, path: "{run_date}.csv", delivery: events, starts: 2024-01-20, delivers: daily}
columns: [visit STRING, guest STRING, at STRING, minutes STRING]
"""
SILVER = """
description: Visits.
columns: [visit BIGINT, guest BIGINT, at TIMESTAMP, minutes DOUBLE]
keys: [visit]
event_time: at
"""
LABEL = """
description: Who comes at least four times in a week.
columns: [guest BIGINT, label INT]
keys: [guest]
label: {population: guests, cutoffs: {from: 2024-01-28, to: 2024-04-30, every: 3 days}, horizon: 7 days, delay: 1 day}
"""
REPO = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, ValueType
from feast.aggregation import Aggregation
from scorelake.feature_store.source import LakeSource

guest = Entity(name="guest", join_keys=["guest"], value_type=ValueType.INT64)
window = timedelta(days=7)
visits = FeatureView(name="visits", entities=[guest], source=LakeSource(name="visits", table="silver.visits",
    aggregations=[
        Aggregation(column="*", function="count", time_window=window, name="visits_7d"),
        Aggregation(column="minutes", function="mean", time_window=window, name="minutes_7d")]))
pool_v1 = FeatureService(name="pool_v1", features=[visits])
"""
MODEL = {
    "description": "Who comes at least four times in a week.",
    "feature_service": "pool_v1",
    "label": "gold.regular",
    "task": "binary",
    "split": {"kind": "trailing", "validation": "4 days", "test": "4 days"},
    "algorithm": {"name": "xgboost", "rounds": 10, "params": {"max_depth": 2}},
    "drift": {"min_rows": 40, "bins": 4, "k": 1, "n": 1},
    "explain": False,
    "prove_rows": 5,
}
POLICY = {"every": "28 days", "on_drift": True, "at_least": "1 day", "label_rate": {"min": 0.2, "max": 0.8}}
FILES = {
    "conf/tables/bronze/visits.yaml": BRONZE,
    "conf/tables/silver/visits.yaml": SILVER,
    "conf/tables/silver/visits.sql": "SELECT visit, guest, at, minutes FROM bronze.visits",
    "conf/tables/gold/regular.yaml": LABEL,
    "conf/tables/gold/regular.sql": """
        SELECT someone.guest, IF(COUNT(visit.visit) >= 4, 1, 0) AS label
        FROM population AS someone LEFT JOIN silver.visits AS visit
          ON visit.guest = someone.guest AND visit.at >= :as_of AND visit.at < :label_end
        GROUP BY someone.guest""",
    "conf/populations/guests.sql": "SELECT DISTINCT guest FROM silver.visits WHERE at < :as_of",
    "conf/models/eager.yaml": yaml.safe_dump({**MODEL, "retrain": POLICY}),
    "conf/models/quiet.yaml": yaml.safe_dump(MODEL),
    "feature_repo/pool.py": REPO,
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("pool")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("base.yaml", "local.yaml"):
        shutil.copy(SHOP / "conf" / name, folder / "conf")
    shutil.copy(SHOP / "feature_repo" / "feature_store.yaml", folder / "feature_repo")
    return load_settings(folder / "conf", "local", [f"local.home={folder / 'home'}"], folder / "feature_repo")


@pytest.fixture(scope="module")
def pool(spark: SparkSession, settings: Settings) -> Iterator[Settings]:
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    runs.begin()
    keep_visits(Lake(spark, settings.lake))
    assert build_gold.run(spark, settings, RunDates(FIRST, REFUSED)).exit_code == 0
    yield settings
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def keep_visits(lake: Lake) -> None:
    """A guest comes with a chance of its own each day, for an hour or so, and since TRAINED for ten."""
    draw = np.random.default_rng(5)
    chances = draw.choice([0.3, 0.8], GUESTS)
    days = list(RunDates(FIRST, REFUSED))
    rows = [
        (
            day,
            as_of(day),
            number * GUESTS + guest,
            guest,
            datetime.combine(day, datetime.min.time()) + timedelta(hours=9),
            float(draw.normal(600 if day > TRAINED else 60, 5)),
        )
        for number, day in enumerate(days)
        for guest in np.flatnonzero(draw.random(GUESTS) < chances).tolist()
    ]
    types = {"run_date": "date", "available_at": "timestamp", "visit": "bigint", "guest": "bigint"}
    types |= {"at": "timestamp", "minutes": "double"}
    columns = [Column(name=name, type=kind) for name, kind in types.items()]
    frame = lake.spark.createDataFrame(rows, ", ".join(column.ddl for column in columns)).coalesce(1)
    lake.create("silver.visits", columns, partitioned_by=["run_date"])
    lake.replace_slices(frame, "silver.visits", Mark("made up", "build_silver", tuple(days)))


def retrained(spark: SparkSession, settings: Settings, day: date, *names: str) -> runs.Outcome:
    runs.begin()
    return retrain.run(spark, settings, RunDates.single(day), frozenset(names))


def gates(lake: Lake, version: str) -> dict[str, str]:
    rows = lake.read(ops.DECISIONS).where(f"gate = 'promotion' AND subject = 'eager/{version}'").collect()
    return {row["metric"]: row["verdict"] for row in rows}


@pytest.mark.slow
def test_a_reason_becomes_a_version_that_has_met_the_gate(spark: SparkSession, pool: Settings) -> None:
    lake, registry = Lake(spark, pool.lake), _registry.connect(pool)
    first = retrained(spark, pool, TRAINED)
    assert first.exit_code == 0, list(first.lines())
    assert "eager: train: it has no version yet" in first.notes
    assert any(note.startswith("eager version 1: promote (passed") for note in first.notes)
    assert registry.version_of("eager", "champion") == "1"
    assert gates(lake, "1")["verdict"] == "promote"
    assert not registry.history("quiet")

    night = RunDates.single(DRIFTED)
    for job in (build_features, score_batch, report_drift):
        done = job.run(spark, pool, night, frozenset({"pool_v1" if job is build_features else "eager"}))
        assert done.exit_code == 0, list(done.lines())
    second = retrained(spark, pool, DRIFTED, "eager")
    assert second.exit_code == 0, list(second.lines())
    assert second.notes[0].startswith("eager: train: drift: ")
    assert [version.version for version in registry.history("eager")] == ["2", "1"]
    assert gates(lake, "2")["verdict"] in ("promote", "keep")
    assert "auc gain over champion 1" in gates(lake, "2")

    again = retrained(spark, pool, DRIFTED, "eager")
    assert again.notes[0].startswith("eager: wait: drift: ")
    assert again.notes[0].endswith("but it was trained 0 days ago, never sooner than 1 days")


@pytest.mark.slow
def test_data_that_may_not_be_learnt_from_makes_no_version(spark: SparkSession, pool: Settings) -> None:
    """Without a version everything until the run date would be learnt from, also what failed long before it."""
    lake, registry = Lake(spark, pool.lake), _registry.connect(pool)
    strict = {**MODEL, "retrain": {**POLICY, "label_rate": {"max": 0.1}}}
    (pool.conf_dir / "models" / "eager.yaml").write_text(yaml.safe_dump(strict))
    said = Decision("data", "silver.visits", FIRST, "rows", None, None, "override", "taken on by a person")
    ops.record_decisions(lake, [said])
    if registry.history("eager"):
        registry.client.delete_registered_model("eager")
    outcome = retrained(spark, pool, REFUSED, "eager")
    assert (outcome.exit_code, registry.history("eager")) == (4, [])
    reason = "eager: refuse: it has no version yet; but failed or overridden: silver.visits of 2024-01-20"
    assert outcome.refused[0].startswith(f"{reason}; the new labels' mean is 0.")
    assert outcome.refused[0].endswith(", expected at most 0.1")


def test_models_without_a_policy_are_named_with_the_remedy(spark: SparkSession, settings: Settings) -> None:
    outcome = retrained(spark, settings, TRAINED, "quiet")
    [told] = outcome.notes
    assert outcome.exit_code == 0
    assert told.startswith("never trained by themselves, for want of a `retrain` policy: quiet; ")
    assert "retrain: {every: 28 days, on_drift: true}" in told
