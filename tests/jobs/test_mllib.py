"""A Spark MLlib model through every job: trained, judged, promoted, scored beside an XGBoost shadow, evaluated."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from jobs import _registry, evaluate_scores, promote_model, score_batch, train_model
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.settings import load_settings
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark
from tests.shop.night import SHOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from scorelake.settings import Settings

MODEL, SERVICE = "clustered", "clustered_v1"
ONLY = frozenset([MODEL])
DAY = date(2024, 11, 1)
MATURED = DAY + timedelta(days=63)
ROWS = 300
SCHEMAS = ("gold", "training", "features", "scores", "ops", "quarantine", "monitoring")
LOGISTIC = {"name": "pyspark.ml.classification.LogisticRegression", "params": {"maxIter": 4}}
BOOSTED = {"name": "xgboost", "rounds": 10}


def settings_in(folder: Path, algorithm: dict[str, object]) -> Settings:
    """The shop's definitions with one model of three features under names of its own."""
    conf = folder / str(algorithm["name"])
    shutil.copytree(SHOP / "conf", conf)
    spec = yaml.safe_load((conf / "models" / "churn.yaml").read_text())
    for path in (conf / "models").iterdir():
        path.unlink()
    spec |= {
        "feature_service": SERVICE,
        "features": {"only": ["amount_sum_30d", "sale_recency", "segment"]},
        "algorithm": algorithm,
        "preprocessing": {
            "numeric": {"impute": "median", "flag_missing": True, "scale": "standard"},
            "categorical": {"encode": "one_hot", "min_rows": 5},
        },
        "scoring": {"cut": 0.5, "buckets": 5, "shadows": ["shadow"]},
        "metrics": {"bootstrap": 100},
        "explain": False,
        "prove_rows": 0,  # the rows come from nowhere
        "subgroups": {"by": ["segment"], "min_rows": 20, "too_few": "tell"},
    }
    (conf / "models" / f"{MODEL}.yaml").write_text(yaml.safe_dump(spec))
    return load_settings(conf, "local", [f"local.home={folder / 'home'}"], folder / "feature_repo")


@pytest.fixture(scope="module")
def settings(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Settings]]:
    """A training set and a night's features; the model file with MLlib, and the same with XGBoost."""
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    runs.begin()
    folder = tmp_path_factory.mktemp("mllib")
    shutil.copytree(SHOP / "feature_repo", folder / "feature_repo")
    objects = folder / "feature_repo" / "shop.py"
    objects.write_text(objects.read_text().replace("shop_v1", SERVICE))
    found = settings_in(folder, LOGISTIC), settings_in(folder, BOOSTED)
    lake = Lake(spark, found[0].lake)
    repo = feature_definitions.load(found[0].feature_repo, found[0].conf_dir)
    [node] = graph.feature_nodes(load_definitions(found[0].conf_dir), repo)

    draw = np.random.default_rng(3)
    amount, recency = draw.normal(size=ROWS), draw.normal(size=ROWS)
    label = (amount + 0.5 * draw.normal(size=ROWS) > 0).astype(int)
    t = datetime.combine(DAY, datetime.min.time()) + timedelta(days=1)
    rows = [
        (
            "de",
            f"c{n}",
            t,
            float(amount[n]),
            None if n % 5 == 0 else float(recency[n]),
            ("shop", "web", None)[n % 3],
            int(label[n]),
            ("train", "train", "validation", "test")[n % 4],
        )
        for n in range(ROWS)
    ]
    frame = spark.createDataFrame(
        rows,
        "country string, customer_code string, event_timestamp timestamp, amount_sum_30d double, sale_recency double, "
        "segment string, label int, split string",
    ).selectExpr("*", f"date'{DAY}' AS run_date", "'made up' AS run_id")
    labels = frame.selectExpr(
        "country", "customer_code", "event_timestamp", "label", f"date'{MATURED}' AS run_date", "run_id"
    )
    for table, step, made, hashed in (
        (f"training.{MODEL}", "build_training_set", frame, "any"),
        (node.table, node.step, frame.drop("label", "split"), node.definition_hash),
        ("gold.churn_60d", "build_gold", labels, "any"),
    ):
        lake.create(table, columns_of(made), partitioned_by=["run_date"])
        day = MATURED if made is labels else DAY
        lake.replace_slices(made, table, Mark("made up", step, (day,), hashed, {}))
    yield found
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.mark.slow
def test_an_mllib_model_is_a_model_like_any_other(spark: SparkSession, settings: tuple[Settings, Settings]) -> None:
    mllib, xgboost = settings
    day = RunDates.single(DAY)
    trained = train_model.run(spark, mllib, day, ONLY)
    assert trained.exit_code == 0, list(trained.lines())
    assert promote_model.run(spark, mllib, day, ONLY).exit_code == 0
    assert train_model.run(spark, xgboost, day, ONLY).exit_code == 0
    registry = _registry.connect(mllib)
    registry.client.set_registered_model_alias(MODEL, "shadow", "2")
    assert registry.version_of(MODEL, "champion") == "1"

    outcome = score_batch.run(spark, mllib, day, ONLY)
    assert outcome.exit_code == 0, list(outcome.lines())
    lake = Lake(spark, mllib.lake)
    scores = lake.read_slices(f"scores.{MODEL}", [DAY], column="score_date")
    found = {row["role"]: row for row in scores.groupBy("role").agg({"*": "count", "served": "max"}).collect()}
    assert {role: (row["count(1)"], row["max(served)"]) for role, row in found.items()} == {
        "champion": (ROWS, True),
        "shadow": (ROWS, False),
    }
    apart = scores.groupBy("customer_code").pivot("role").agg({"score": "max"}).toPandas()
    assert np.corrcoef(apart["champion"], apart["shadow"])[0, 1] > 0.8
    labels = lake.read_slices(f"training.{MODEL}", [DAY]).where("split = 'test'").select("customer_code", "label")
    right = scores.where("role = 'champion'").join(labels, "customer_code").where("decision = label").count()
    assert right / labels.count() > 0.7
    judged = evaluate_scores.run(spark, mllib, RunDates.single(MATURED), ONLY)
    assert judged.exit_code == 0, list(judged.lines())
    told = lake.read("monitoring.performance").where("segment = 'all' AND metric = 'auc'").collect()
    auc = {(row["role"], row["kind"]): row for row in told}
    for role in ("served", "champion", "shadow"):
        assert (auc[role, "metric"]["rows"], auc[role, "metric"]["value"] > 0.7) == (ROWS, True)
    assert auc["champion", "metric"]["value"] == auc["served", "metric"]["value"]
    assert auc["champion", "metric"]["reference"] == pytest.approx(
        registry.client.get_run(registry.client.get_model_version(MODEL, "1").run_id).data.metrics["test.auc"]
    )
    assert abs(auc["shadow", "gain"]["value"]) < 0.2

    ways = lake.read("ops.score_runs").where(f"model_name = '{MODEL}'").select("role", "way").collect()
    assert {row["role"]: row["way"] for row in ways}["champion"] == "transform"

    before = scores.where("role = 'champion'").select("customer_code", "score").toPandas()
    assert score_batch.run(spark, mllib, day, ONLY, restate="1").exit_code == 0
    again = lake.read_slices(f"scores.{MODEL}", [DAY], column="score_date").where("role = 'restated'")
    after = again.select("customer_code", "score").toPandas()
    assert dict(before.to_numpy()) == dict(after.to_numpy())
