"""Spark MLlib algorithms from the model file to answers, in one session; names of features may be anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError
from pyspark.sql import Observation
from pyspark.sql import functions as F

from scorelake import mllib as asking
from scorelake.errors import ConfigError, ScorelakeError, UnfitTrainingSet
from scorelake.models import ALGORITHMS, METRICS
from scorelake.training import mllib, train
from scorelake.training.dataset import Dataset, Feature, Part
from tests.training.made_up import dataset, model
from tests.training.test_distributed import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.models import Task

pytestmark = pytest.mark.usefixtures("spark")
LOGISTIC = "pyspark.ml.classification.LogisticRegression"
LINEAR = "pyspark.ml.regression.LinearRegression"
PREPARED = {
    "numeric": {"winsorise": 0.01, "impute": "median", "flag_missing": True, "scale": "robust"},
    "categorical": {"encode": "one_hot", "min_rows": 5},
}
SMALL: dict[str, dict[str, Any]] = {"RandomForest": {"numTrees": 5, "maxDepth": 4}, "GBT": {"maxIter": 3}}
EVERY = [
    pytest.param(name, task, marks=() if "Random" in name and task != "binary" else pytest.mark.slow)
    for name, tasks in ALGORITHMS.items()
    for task in tasks
    if name.startswith("pyspark")
]


def small(name: str) -> dict[str, Any]:
    kind = name.rpartition(".")[2].removesuffix("Classifier").removesuffix("Regressor")
    return {"name": name, **({"params": SMALL[kind]} if kind in SMALL else {})}


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_algorithm_learns_its_tasks_with_strings_and_nulls(name: str, task: Task) -> None:
    data = dataset(task, text=True, rows=300)
    spec = model(task, small(name), preprocessing=PREPARED)
    learnt = train.learn(spec, data)
    found = train._metrics(spec, data, learnt, {"test": train._scored(learnt, data.test)})["test"]
    assert set(found) == set(METRICS[task])
    metric, floor = ("r2", 0.5) if task == "regression" else ("auc", 0.7)
    assert floor < (found[metric].value or 0)
    assert learnt.details["columns_prepared"] == 3 + 1 + 4  # gaps had nulls; north, south, null, and any other


def test_texts_are_hashed_into_columns_of_their_own() -> None:
    data = dataset(text=True, rows=200)
    region = np.where(data.train.matrix[:, 0] > 0, "north", "south").astype(np.object_)
    data = replace(data, parts={**data.parts, "train": replace(data.train, categories={"region": region})})
    hashed = {"numeric": {"impute": "mean"}, "categorical": {"encode": "hash", "hash_columns": 16}}
    learnt = train.learn(model("binary", LOGISTIC, preprocessing=hashed), data)
    assert learnt.details["columns_prepared"] == 3 + 16
    weights = learnt.model.stages[-1].coefficients.toArray()
    assert len(weights) == 3 + 16
    assert np.count_nonzero(weights[3:]) == 2


def worked(rows: int = 10_000, days: int = 5) -> Dataset:
    """y = 2a + 0.3b + 0.5e by the minute, cut after 5 days: 7,200 rows to learn from and 2,800 to judge by."""
    draw = np.random.default_rng(4)
    a, b, e = draw.normal(size=rows), draw.uniform(0, 10, rows), draw.normal(size=rows)
    y, cut = 2 * a + 0.3 * b + 0.5 * e, days * 24 * 60
    features = (Feature("a", "number"), Feature("b", "number"))

    def part(chosen: slice) -> Part:
        matrix = np.asfortranarray(np.column_stack([a, b])[chosen])
        return Part(features, matrix, {}, y[chosen], np.arange(rows)[chosen])

    return Dataset(
        features, (), {"train": part(slice(cut)), "validation": part(slice(cut, None)), "test": part(slice(cut, None))}
    )


@pytest.mark.parametrize("name", [LINEAR, "sklearn.linear_model.LinearRegression"])
def test_a_known_line_is_found(name: str) -> None:
    data = worked()
    assert (len(data.train), len(data.test)) == (7_200, 2_800)
    spec = model("regression", name, preprocessing={"numeric": {"impute": "mean"}})
    learnt = train.learn(spec, data)
    found = train._metrics(spec, data, learnt, {"test": train._scored(learnt, data.test)})["test"]["r2"].value
    last = learnt.model.stages[-1] if name == LINEAR else learnt.model[-1]
    coefficients = last.coefficients.toArray() if name == LINEAR else last.coef_
    assert found == pytest.approx(0.95, abs=0.01)
    assert list(coefficients) == pytest.approx([2.0, 0.3], abs=0.02)


def test_same_rows_and_seed_give_the_same_answers_whatever_the_layout(spark: SparkSession) -> None:
    data = dataset(rows=200)
    odd = {"signal": "sig.nal", "noise": "no`ise", "gaps": "the gaps"}
    features = tuple(replace(feature, name=odd[feature.name]) for feature in data.features)
    data = replace(data, features=features, parts={n: replace(p, features=features) for n, p in data.parts.items()})
    frame = frame_of(spark, data, customer=np.arange(600), event_timestamp="2026-01-01").localCheckpoint()
    spec = model("binary", small("pyspark.ml.classification.RandomForestClassifier"), preprocessing=PREPARED)
    found = [
        mllib.learner(rows, keys=["customer"])(spec, data).predict(data.test)
        for rows in (frame, frame.repartition(3, "label"))
    ]
    assert found[0].tobytes() == found[1].tobytes()


def test_what_the_pipeline_answers_beside_nulls_unseen_texts_and_infinite_numbers(spark: SparkSession) -> None:
    data = dataset(text=True, rows=200)
    spark.range(1).observe(Observation(), F.count(F.lit(1)).alias("rows")).collect()  # as others do in one application
    learnt = train.learn(model("binary", LOGISTIC, preprocessing=PREPARED), data)
    rows = spark.createDataFrame(
        [(1.0, None, None, "north"), (float("nan"), 1.0, 2.0, "nowhere"), (float("inf"), 1.0, 2.0, None)],
        "`a.b` double, `c``d` double, e double, `f g` string",
    )
    found = asking.answered(learnt.model, rows, rows.columns).collect()
    assert [row[asking.ANSWERS] is None for row in found] == [False, False, True]
    assert found[0]["a.b"] == 1.0
    assert found[0]["c`d"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "takes no nulls: declare preprocessing.numeric.impute"),
        ({"preprocessing": PREPARED | {"categorical": {"encode": "target"}}}, "encode: target has no MLlib stage"),
        ({"preprocessing": {"numeric": {"impute": "knn"}}}, "impute: knn has no MLlib stage; .* mean, median"),
        ({"preprocessing": PREPARED, "algorithm": {"name": LOGISTIC, "engine": "local"}}, "leave engine out"),
        ({"preprocessing": PREPARED, "task": "regression"}, "cannot do task regression"),
    ],
)
def test_what_mllib_cannot_do_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(**{"algorithm": LOGISTIC, **given})


def test_rows_and_params_that_cannot_be_are_named() -> None:
    data = dataset(rows=60)
    data.train.matrix[5, 1] = np.inf
    with pytest.raises(UnfitTrainingSet, match=r"infinite values in noise \(1 rows\)"):
        train.learn(model("binary", LOGISTIC, preprocessing=PREPARED), data)
    for params, message in [({"regParm": 1}, "no regParm; did you mean regParam"), ({"regParam": "x"}, "regParam")]:
        spec = model("binary", {"name": LOGISTIC, "params": params}, preprocessing=PREPARED)
        with pytest.raises(ConfigError, match=message):
            train.learn(spec, data)
    spec = model("binary", {"name": LOGISTIC, "params": {"elasticNetParam": 3.0}}, preprocessing=PREPARED)
    with pytest.raises(ScorelakeError, match="MLlib refused"):
        train.learn(spec, dataset(rows=60))
