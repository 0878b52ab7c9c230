"""Matured labels meet the scores of their night; metrics are those of training."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scorelake import metrics
from scorelake.scoring.evaluate import performance, with_labels

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


def measured(frame: Any) -> dict[tuple[Any, ...], tuple[float | None, int]]:
    rows = frame.collect()
    return {(r["score_date"], r["role"], r["model_version"], r["metric"]): (r["value"], r["rows"]) for r in rows}


def test_every_group_is_judged_as_in_training(spark: SparkSession) -> None:
    draw = np.random.default_rng(1)
    label, score = draw.integers(0, 2, 300), draw.random(300)
    rows = [(DUE, NIGHT, "champion", "3", int(a), float(b)) for a, b in zip(label, score, strict=True)]
    rows += [
        (DUE, NEXT, "challenger", "4", 1, 0.5),
        (DUE, NEXT, "challenger", "4", None, 0.5),
        (DUE, NEXT, "challenger", "4", 0, None),
    ]
    frame = spark.createDataFrame(
        rows, "run_date date, score_date date, role string, model_version string, label int, score double"
    )
    found = measured(performance(frame, task="binary"))
    expected = metrics.evaluate("binary", label, score)
    for name, value in expected.items():
        assert found[NIGHT, "champion", "3", name] == (pytest.approx(value, abs=1e-12), 300)
    assert found[NEXT, "challenger", "4", "auc"] == (None, 1)
    assert found[NEXT, "challenger", "4", "brier"] == (0.25, 1)


def test_classes_are_judged_by_their_probabilities(spark: SparkSession) -> None:
    schema = "run_date date, score_date date, role string, model_version string, label string"
    schema += ", `score_a` double, `score_b_20_c` double"
    rows = [(DUE, NIGHT, "champion", "1", "a", 0.9, 0.1), (DUE, NIGHT, "champion", "1", "b c", 0.4, 0.6)]
    found = measured(performance(spark.createDataFrame(rows, schema), task="multiclass", classes=["a", "b c"]))
    assert found[NIGHT, "champion", "1", "accuracy"] == (1.0, 2)
    assert found[NIGHT, "champion", "1", "log_loss"][0] == pytest.approx(-(np.log(0.9) + np.log(0.6)) / 2)
