"""XGBoost trained by Spark's workers: the model of one process, within what the order of sums allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyarrow import parquet

from scorelake import metrics
from scorelake.errors import ConfigError, ScorelakeError, UnfitTrainingSet
from scorelake.rows import FileRows, FrameRows, SliceFile
from scorelake.training import distributed, train
from tests.training.made_up import dataset, model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.models import Model, Task
    from scorelake.training.dataset import Dataset
    from scorelake.training.fitted import Learnt

ODD = {"signal": "sig.nal", "noise": "no`ise", "gaps": "gaps"}


def frame_of(spark: SparkSession, data: Dataset, **columns: Any) -> DataFrame:
    """The rows of a dataset as a training table holds them; `columns` replace some of its own."""
    import pandas as pd

    parts = []
    for name, part in data.parts.items():
        rows = part.frame().astype("float64")
        label = [data.classes[int(code)] for code in part.label] if data.classes else part.label
        parts.append(rows.assign(label=label, split=name))
    return spark.createDataFrame(pd.concat(parts).assign(**columns))


def rows_of(spark: SparkSession, data: Dataset, **columns: Any) -> FrameRows:
    return FrameRows(frame_of(spark, data, **columns), tasks=2)


def quality(spec: Model, data: Dataset, learnt: Learnt) -> float:
    metric = "r2" if spec.task == "regression" else "auc"
    found = metrics.evaluate(spec.task, data.test.label, learnt.predict(data.test))[metric]
    assert found is not None
    return found


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_cluster_learns_what_one_process_learns(spark: SparkSession, task: Task) -> None:
    spec, data = model(task), dataset(task, rows=3000, dtype="float32")
    learnt = distributed.learner(rows_of(spark, data))(spec, data)
    assert learnt.flavour == "xgboost"
    assert learnt.details["workers"] == 2
    assert learnt.model.feature_names == list(data.train.frame().columns)
    here = train.learn(spec, data)
    assert quality(spec, data, learnt) == pytest.approx(quality(spec, data, here), abs=0.002)
    assert learnt.details["rounds_used"] == learnt.model.num_boosted_rounds()


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("groups", [1, 7])
def test_workers_that_read_files_learn_what_one_process_learns(
    spark: SparkSession, tmp_path: Path, task: Task, groups: int
) -> None:
    """Of a single row group one worker gets all and the other nothing."""
    spec, data = model(task), dataset(task, rows=3000, dtype="float32")
    frame = frame_of(spark, data)
    place = str(tmp_path / "rows.parquet")
    parquet.write_table(frame.toArrow(), place, row_group_size=-(-9000 // groups))
    learnt = distributed.learner(FileRows(frame, (SliceFile(place),), tasks=2))(spec, data)
    assert learnt.details["workers"] == 2
    here = train.learn(spec, data)
    assert quality(spec, data, learnt) == pytest.approx(quality(spec, data, here), abs=0.002)
    again = distributed.learner(FileRows(frame, (SliceFile(place),), tasks=2))(spec, data)
    assert learnt.model.save_raw() == again.model.save_raw()


@pytest.mark.parametrize("weigh", ["balanced", 8.0])
def test_weighed_classes_are_put_back(spark: SparkSession, weigh: str | float) -> None:
    spec, data = model(imbalance={"weigh": weigh}), dataset(rows=4000, dtype="float32")
    rare = {
        name: replace(part, label=part.label * (np.arange(len(part)) % 6 == 0)) for name, part in data.parts.items()
    }
    data = replace(data, parts=rare)
    there, here = (
        learnt.predict(data.test)
        for learnt in (learn(spec, data) for learn in (distributed.learner(rows_of(spark, data)), train.learn))
    )
    assert np.abs(there - here).mean() < 0.005  # single rows lie on the other side of a split found from other sketches
    assert there.mean() == pytest.approx(data.test.label.mean(), rel=0.1)


def test_more_partitions_than_workers(spark: SparkSession) -> None:
    spec, data = model(), dataset(rows=1000)
    learnt = distributed.learner(FrameRows(frame_of(spark, data).repartition(5), tasks=2))(spec, data)
    assert learnt.details["workers"] == 2
    assert quality(spec, data, learnt) == pytest.approx(quality(spec, data, train.learn(spec, data)), abs=0.01)


def test_batches_that_validate_nothing(spark: SparkSession) -> None:
    spec, data = model(), dataset(rows=400)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 50)
    try:
        learnt = distributed.learner(FrameRows(frame_of(spark, data).coalesce(1).orderBy("split"), tasks=2))(spec, data)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert quality(spec, data, learnt) > 0.8


def test_it_stops_when_validation_gets_no_better(spark: SparkSession) -> None:
    spec = model("binary", {"name": "xgboost", "rounds": 100, "params": {"max_depth": 6, "eta": 0.5}})
    data = dataset(rows=600)
    learnt = distributed.learner(rows_of(spark, data))(spec, data)
    assert 1 <= int(learnt.details["rounds_used"]) < 60


def test_a_sample_here_and_all_rows_there(spark: SparkSession) -> None:
    spec, data = model(), dataset(rows=2000)
    few = dataset(rows=100)
    fitted = train.fit(spec, few, distributed.learner(rows_of(spark, data)))
    assert fitted.metrics["test"]["auc"].rows == 100
    direct = distributed.learner(rows_of(spark, data))(spec, data)
    assert np.allclose(fitted.learnt.predict(data.test), direct.predict(data.test), atol=0.02)


def test_rows_that_cannot_teach_are_named(spark: SparkSession) -> None:
    data = dataset(rows=100)
    frame = rows_of(spark, data, noise=np.inf)
    with pytest.raises(UnfitTrainingSet, match=r"infinite values in noise \(200 rows\); guard"):
        distributed.learner(frame)(model(), data)
    one_row = rows_of(spark, data, noise=np.append(np.inf, np.zeros(299)))  # which one of two workers meets
    with pytest.raises(UnfitTrainingSet, match=r"infinite values in noise \(1 rows\); guard"):
        distributed.learner(one_row)(model(), data)
    with pytest.raises(UnfitTrainingSet, match="one label only"):
        distributed.learner(rows_of(spark, data, label=1.0))(model(), data)
    with pytest.raises(UnfitTrainingSet, match="200 labels are NaN, infinite or of a class"):
        distributed.learner(rows_of(spark, data, label=2.0))(model(), data)
    classes = dataset("multiclass", rows=100)
    with pytest.raises(UnfitTrainingSet, match="200 labels are NaN, infinite or of a class"):
        distributed.learner(rows_of(spark, classes, label="lead"))(model("multiclass"), classes)


def test_what_would_never_start_is_refused(spark: SparkSession) -> None:
    data = dataset(rows=100)
    frame = rows_of(spark, data)
    with pytest.raises(ConfigError, match=r"training_workers = 3, but Spark has 2 free task slots"):
        distributed.learner(frame, workers=3)(model(), data)
    with pytest.raises(ConfigError, match=r"preprocessing\.numeric is declared"):
        distributed.learner(frame)(model(preprocessing={"numeric": {"impute": "mean"}}), data)
    with pytest.raises(ConfigError, match="features region are strings"):
        distributed.learner(frame)(model(), dataset(rows=100, text=True))
    with pytest.raises(ScorelakeError, match="XGBoost refused: value -3 for Parameter max_depth"):
        distributed.learner(frame)(model("binary", {"name": "xgboost", "params": {"max_depth": -3}}), data)
    with pytest.raises(ConfigError, match=r"xgboost has no max_dept; did you mean max_depth"):
        distributed.learner(frame)(model("binary", {"name": "xgboost", "params": {"max_dept": 3}}), data)


def test_executors_that_come_and_go_are_refused(spark: SparkSession) -> None:
    data = dataset(rows=100)
    spark.conf.set("spark.sql.legacy.setCommandRejectsSparkCoreConfs", "false")
    spark.conf.set("spark.dynamicAllocation.enabled", "true")
    try:
        with pytest.raises(
            ConfigError, match=r"dynamicAllocation\.enabled is true: .* set it to false for train_model"
        ):
            distributed.learner(rows_of(spark, data))(model(), data)
    finally:
        spark.conf.unset("spark.dynamicAllocation.enabled")
        spark.conf.unset("spark.sql.legacy.setCommandRejectsSparkCoreConfs")


def test_columns_of_any_name(spark: SparkSession) -> None:
    data = dataset(rows=400)
    features = tuple(replace(feature, name=ODD[feature.name]) for feature in data.features)
    named = replace(
        data, features=features, parts={name: replace(p, features=features) for name, p in data.parts.items()}
    )
    learnt = distributed.learner(rows_of(spark, named))(model(), named)
    assert learnt.model.feature_names == list(ODD.values())
