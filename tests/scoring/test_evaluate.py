"""Matured labels meet the scores of their night; metrics are those of training."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from scorelake import metrics
from scorelake.drift import rows as drift
from scorelake.drift.build import build_arrow
from scorelake.drift.counts import reference
from scorelake.drift.evaluate import evaluate
from scorelake.models import Drift, Performance
from scorelake.scoring import decay
from scorelake.scoring.evaluate import common_values, gains, performance, with_labels
from scorelake.scoring.figures import business, contributions, proxies

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NIGHT, NEXT, DUE = date(2024, 1, 1), date(2024, 1, 2), date(2024, 2, 1)


def test_a_label_meets_the_score_of_its_own_night_only(spark: SparkSession) -> None:
    scores = spark.createDataFrame(
        [("a", NIGHT, 0.1), ("a", NEXT, 0.2), ("b", NIGHT, 0.3), (None, NIGHT, 0.4)],
        "k string, score_date date, score double",
    )
    labels = spark.createDataFrame(
        [
            ("a", datetime(2024, 1, 2), 1, DUE),
            ("b", datetime(2024, 1, 9), 0, DUE),
            (None, datetime(2024, 1, 2), 1, DUE),
        ],
        "k string, event_timestamp timestamp, label int, run_date date",
    )
    found = with_labels(scores, labels, keys=["k"]).collect()
    assert [(row["k"], row["score"], row["label"], row["run_date"]) for row in found] == [("a", 0.1, 1, DUE)]


SCHEMA = "run_date date, score_date date, role string, model_version string, served boolean, label int, score double"


def measured(frame: Any, kind: str = "metric", segment: str = "all") -> dict[tuple[Any, ...], tuple[float | None, int]]:
    rows = [row for row in frame.collect() if (row["kind"], row["segment"]) == (kind, segment)]
    return {(r["score_date"], r["role"], r["model_version"], r["metric"]): (r["value"], r["rows"]) for r in rows}


def test_every_group_is_judged_as_in_training(spark: SparkSession) -> None:
    draw = np.random.default_rng(1)
    label, score = draw.integers(0, 2, 300), draw.random(300)
    rows = [(DUE, NIGHT, "champion", "3", n >= 30, int(label[n]), float(score[n])) for n in range(300)]
    rows += [(DUE, NIGHT, "challenger", "4", True, int(label[n]), 0.5) for n in range(30)]
    rows += [
        (DUE, NEXT, "shadow", "5", False, 1, 0.5),
        (DUE, NEXT, "shadow", "5", False, None, 0.5),
        (DUE, NEXT, "shadow", "5", False, 0, None),
    ]
    found = measured(performance(spark.createDataFrame(rows, SCHEMA), task="binary"))
    served = np.where(np.arange(300) < 30, 0.5, score)
    for role, version, scores in (("champion", "3", score), ("served", "3,4", served)):
        for name, value in metrics.evaluate("binary", label, scores).items():
            assert found[NIGHT, role, version, name] == (pytest.approx(value, abs=1e-12), 300)
    assert found[NIGHT, "challenger", "4", "brier"] == (0.25, 30)
    assert found[NEXT, "shadow", "5", "auc"] == (None, 1)
    assert found[NEXT, "shadow", "5", "brier"] == (0.25, 1)
    assert (NEXT, "served", "5", "brier") not in found


def test_segments_and_buckets_are_judged_apart(spark: SparkSession) -> None:
    rows = [
        (DUE, NIGHT, "champion", "3", True, label, score, town, bucket)
        for label, score, town, bucket in (
            (1, 0.9, "Ulm", 1), (1, 0.8, "Ulm", 1), (1, 0.4, "Aalen", 2), (0, 0.2, "Aalen", 2), (0, 0.1, None, 2)
        )
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, SCHEMA + ", town string, bucket int")
    frame = performance(frame, task="binary", segments={"town": ["Ulm", "Aalen"]}).cache()
    assert measured(frame, segment="town=Aalen")[NIGHT, "served", "3", "accuracy"] == (0.5, 2)
    assert measured(frame, segment="town=Ulm")[NIGHT, "champion", "3", "accuracy"] == (1.0, 2)
    assert measured(frame)[NIGHT, "served", "3", "accuracy"] == (0.8, 5)
    lift = {row["segment"]: row for row in frame.where("kind = 'bucket' AND role = 'served'").collect()}
    assert (lift["bucket=1"]["value"], lift["bucket=1"]["rows"]) == (pytest.approx(1 / 0.6), 2)
    assert (lift["bucket=2"]["label_mean"], lift["bucket=2"]["score_mean"]) == (
        pytest.approx(1 / 3),
        pytest.approx(0.7 / 3),
    )


def test_segments_are_the_commonest_values(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("b",), ("b",), ("a",), ("c",), (None,)], "town string")
    assert common_values(frame, ["town"]) == {"town": ["b", "a", "c"]}


def test_a_challenger_is_compared_on_the_entities_that_both_scored(spark: SparkSession) -> None:
    draw = np.random.default_rng(2)
    label = draw.integers(0, 2, 200)
    good, bad = 0.5 + 0.4 * (label - 0.5) + draw.normal(0, 0.1, 200), draw.random(200)
    rows = [(DUE, NIGHT, "champion", "3", True, int(label[n]), float(bad[n]), n) for n in range(200)]
    rows += [(DUE, NIGHT, "challenger", "4", False, int(label[n]), float(good[n]), n) for n in range(150)]
    rows += [(DUE, NIGHT, "challenger", "4", False, 1, 0.0, 999)]  # the champion never saw it
    frame = spark.createDataFrame(rows, SCHEMA + ", k int")
    found = {row["metric"]: row for row in gains(frame, keys=["k"], task="binary", seed=5).collect()}
    expected = metrics.gains("binary", label[:150], good[:150], bad[:150], seed=5)
    for name, estimate in expected.items():
        assert (found[name]["role"], found[name]["model_version"], found[name]["rows"]) == ("challenger", "4", 150)
        assert found[name]["value"] == pytest.approx(estimate.value, abs=1e-12)
    assert found["auc"]["low"] > 0.2  # the whole interval: a gain


def test_classes_are_judged_by_their_probabilities(spark: SparkSession) -> None:
    schema = SCHEMA.replace("label int, score double", "label string, `score_a` double, `score_b_20_c` double")
    rows = [
        (DUE, NIGHT, "champion", "1", True, "a", 0.9, 0.1),
        (DUE, NIGHT, "champion", "1", True, "b c", 0.4, 0.6),
        (DUE, NIGHT, "champion", "1", True, "never seen", 0.5, 0.5),
    ]
    frame = performance(spark.createDataFrame(rows, schema), task="multiclass", classes=["a", "b c"])
    found = measured(frame)
    assert found[NIGHT, "served", "1", "accuracy"] == (1.0, 2)
    assert found[NIGHT, "champion", "1", "log_loss"][0] == pytest.approx(-(np.log(0.9) + np.log(0.6)) / 2)


CLASSES = ["a", "b", "c"]


def test_classes_of_a_challenger_are_compared_pairwise(spark: SparkSession) -> None:
    draw = np.random.default_rng(3)
    label = draw.integers(0, 3, 120)
    bad, good = (draw.dirichlet(np.ones(3), 120) for _ in range(2))
    good = (good + 2 * np.eye(3)[label]) / 3
    schema = SCHEMA.replace("label int, score double", "label string") + ", k int"
    schema += "".join(f", score_{name} double" for name in CLASSES)
    rows = [
        (DUE, NIGHT, role, version, role == "champion", CLASSES[label[n]], n, *map(float, scores[n]))
        for role, version, scores in (("champion", "1", bad), ("shadow", "2", good))
        for n in range(120)
    ]
    frame = gains(spark.createDataFrame(rows, schema), keys=["k"], task="multiclass", classes=CLASSES, seed=7)
    found = {row["metric"]: row for row in frame.collect()}
    for name, estimate in metrics.gains("multiclass", label, good, bad, seed=7).items():
        told = found[name]
        assert (told["role"], told["rows"], told["value"]) == ("shadow", 120, pytest.approx(estimate.value, abs=1e-12))
        assert told["low"] == pytest.approx(estimate.low, abs=0.05)
    assert found["accuracy"]["low"] > 0


def test_numbers_are_judged_by_error_bucket_and_against_the_champion(spark: SparkSession) -> None:
    rows = [(DUE, NIGHT, "champion", "1", True, n, n + 4.0, n, 1 + n // 10) for n in range(20)]
    rows += [(DUE, NIGHT, "challenger", "2", False, n, n + 1.0, n, 1 + n // 10) for n in range(20)]
    rows.append((DUE, NIGHT, "challenger", "2", False, 5, float("nan"), 99, 1))
    frame = spark.createDataFrame(rows, SCHEMA + ", k int, bucket int")
    judged = performance(frame, task="regression").cache()
    found = measured(judged)
    assert found[NIGHT, "served", "1", "rmse"] == found[NIGHT, "champion", "1", "mae"] == (4.0, 20)
    assert (found[NIGHT, "challenger", "2", "bias"], found[NIGHT, "challenger", "2", "rmse"]) == ((1.0, 20), (1.0, 20))
    lift = {row["segment"]: row for row in judged.where("kind = 'bucket' AND role = 'served'").collect()}
    assert (lift["bucket=1"]["value"], lift["bucket=2"]["value"]) == (
        pytest.approx(4.5 / 9.5), pytest.approx(14.5 / 9.5)
    )  # fmt: skip
    assert (lift["bucket=2"]["label_mean"], lift["bucket=2"]["score_mean"]) == (14.5, 18.5)
    told = {row["metric"]: row for row in gains(frame, keys=["k"], task="regression").collect()}
    assert (told["rmse"]["value"], told["rmse"]["low"], told["rmse"]["rows"]) == (3.0, 3.0, 20)
    assert told["bias"]["value"] == 3.0


def test_intervals_are_the_same_in_whatever_order_rows_come(spark: SparkSession) -> None:
    draw = np.random.default_rng(4)
    rows = [
        (DUE, NIGHT, role, "1", role == "champion", n % 2, float(draw.random()), n)
        for role in ("champion", "shadow")
        for n in range(80)
    ]

    def told(rows: list[Any], partitions: int) -> list[Any]:
        frame = spark.createDataFrame(rows, SCHEMA + ", k int").repartition(partitions)
        both = performance(frame, task="binary").union(gains(frame, keys=["k"], task="binary"))
        return sorted((r["role"], r["kind"], r["metric"], r["value"], r["low"], r["high"]) for r in both.collect())

    assert told(rows, 1) == told(rows[::-1], 3)


def test_a_business_figure_is_a_sum_over_what_was_served(spark: SparkSession) -> None:
    rows = [(DUE, NIGHT, "champion", "3", True, label, 0.5, 1) for label in (1, 1, 0)]
    rows += [(DUE, NIGHT, "shadow", "4", False, 1, 0.5, 1), (DUE, NEXT, "champion", "3", True, 0, 0.5, 1)]
    frame = spark.createDataFrame(rows, SCHEMA + ", decision int")
    found = measured(business(frame, {"won": "sum(if(decision = 1, 20 * label - 2, 0))"}), kind="business")
    assert found == {(NIGHT, "served", "3", "won"): (34.0, 3), (NEXT, "served", "3", "won"): (-2.0, 1)}


def test_scores_without_labels_say_what_the_model_expects(spark: SparkSession) -> None:
    rows = [(NIGHT, NIGHT, "champion", "3", True, None, score) for score in (0.1, 0.9, 0.8)]
    found = measured(proxies(spark.createDataFrame(rows, SCHEMA), task="binary"), kind="proxy")
    assert found[NIGHT, "served", "3", "proxy_expected_rate"] == (pytest.approx(0.6), 3)
    assert found[NIGHT, "served", "3", "proxy_expected_accuracy"] == (pytest.approx(2.6 / 3), 3)


def test_contributions_are_ranked_by_their_mean_size(spark: SparkSession) -> None:
    rows = [
        (NIGHT, NIGHT, "3", "age", -0.4, "town", 0.1),
        (NIGHT, NIGHT, "3", "town", 0.3, "age", 0.2),
        (NIGHT, NIGHT, "3", "town", -0.3, None, None),
    ]
    schema = "run_date date, score_date date, model_version string, reason_1 string, reason_1_contribution double"
    frame = spark.createDataFrame(rows, schema + ", reason_2 string, reason_2_contribution double")
    found = {row["metric"]: (row["value"], row["rank"], row["rows"]) for row in contributions(frame).collect()}
    assert found == {"town": (pytest.approx(0.7 / 3), 1, 3), "age": (pytest.approx(0.6 / 3), 2, 3)}


def test_a_price_that_moves_on_the_same_inputs_is_decay_without_drift(spark: SparkSession) -> None:
    sizes = list(range(1000, 2001))
    homes = pa.table({"size": sizes, "score": [150.0 * size for size in sizes]})
    profile = build_arrow(homes, ["size", "score"], roles={"score": "score"})
    night = drift.Night(subject="price", version="1", run_date=NIGHT)
    verdicts = evaluate(profile, reference(profile), night, Drift())
    assert verdicts.status == "OK"
    assert {row.psi for row in verdicts.metrics if row.feature != "*"} == {0}

    rows = [(DUE, NIGHT, "champion", "1", True, 250 * size, 150.0 * size) for size in sizes]
    frame = performance(spark.createDataFrame(rows, SCHEMA), task="regression")
    [rmse] = frame.where("role = 'served' AND metric = 'rmse'").collect()
    assert rmse["value"] == pytest.approx(152_758, abs=1)
    estimate = metrics.Estimate(rmse["value"], rmse["low"], rmse["high"], rmse["rows"])
    judged = decay.judge(decay.Night("price/1", DUE, NIGHT, "rmse", estimate, trained=0.0), Performance())
    assert judged.verdict == "decay"
    assert "rmse of 2024-01-01 is 152,758" in judged.reason
