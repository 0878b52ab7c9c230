"""Spark MLlib models in a pass beside others: answers by their own transform, in the columns of any model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import yaml

from scorelake.rows import FrameRows
from scorelake.scoring.members import Member
from scorelake.scoring.package import loaded, pack, predictor
from scorelake.scoring.score import score
from scorelake.stores import model_files
from scorelake.stores.model_files import Bundle, Column, Replay
from scorelake.training import train
from tests.training.made_up import dataset, model
from tests.training.test_mllib import LOGISTIC

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from scorelake.models import Model
    from scorelake.training.dataset import Dataset

ODD = {"signal": "sig.nal", "noise": "no`ise", "gaps": "the gaps", "region": "in0"}


def written(spec: Model, data: Dataset, folder: Path) -> Member:
    learnt = train.learn(spec, data)
    columns = tuple(Column(feature.name, feature.kind) for feature in data.features)
    digest = model_files.write(
        Bundle(learnt.model, learnt.flavour, spec.task, columns, data.classes, Replay({}, []), ("pyspark",)), folder
    )
    assert model_files.why_unsafe(folder) is None
    return Member(pack(folder, digest=digest, features=tuple(column.name for column in columns)), data.classes)


def test_mllib_and_xgboost_answer_in_one_pass(spark: SparkSession, tmp_path: Path) -> None:
    data = dataset("multiclass", text=True, rows=200)
    features = tuple(replace(feature, name=ODD[feature.name]) for feature in data.features)
    data = replace(
        data,
        features=features,
        parts={
            name: replace(part, features=features, categories={"in0": part.categories["region"]})
            for name, part in data.parts.items()
        },
    )
    asked = {"numeric": {"impute": "mean"}, "categorical": {"encode": "ordinal", "min_rows": 5}}
    members = [
        written(model("multiclass", LOGISTIC, preprocessing=asked), data, tmp_path / "mllib"),
        written(model("multiclass", preprocessing=asked), data, tmp_path / "xgboost"),
    ]
    rows = data.test.frame().assign(customer=np.arange(200))
    rows.loc[7, "sig.nal"] = np.inf
    frame = spark.createDataFrame(rows)
    scored = score(FrameRows(frame, 2), members, keys=["customer"]).where("about IS NULL").toPandas()
    assert len(scored) == 400
    for number, member in enumerate(members):
        assert (loaded(member.package).way == "transform") is (number == 0)
        mine = scored[scored["member"] == number].sort_values("customer")
        assert list(mine.index[mine["score"].isna()]) == list(mine.index[mine["customer"] == 7])
        [batch] = frame.drop("customer").toArrow().combine_chunks().to_batches()
        found = mine[["score_gold", "score_iron", "score_zinc"]].to_numpy()
        expected = predictor(member.package)(batch)
        keep = np.arange(200) != 7
        np.testing.assert_allclose(found[keep], expected[keep], rtol=0, atol=1e-12)
        assert list(mine["prediction"][keep]) == [data.classes[n] for n in expected[keep].argmax(axis=1)]


def test_a_pipeline_with_foreign_stages_is_unsafe(spark: SparkSession, tmp_path: Path) -> None:
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import SQLTransformer

    calls = SQLTransformer(statement="SELECT *, java_method('java.lang.System', 'getenv', 'HOME') AS x FROM __THIS__")
    PipelineModel([calls]).save(str(tmp_path / "sparkml"))
    flavours = {"flavors": {"spark": {"model_data": "sparkml"}}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(flavours))
    assert "java_method" in (model_files.why_unsafe(tmp_path) or "")
    [metadata] = (tmp_path / "sparkml" / "metadata").glob("part-*")
    metadata.write_text(
        metadata.read_text()
        .replace("pyspark.ml.pipeline.PipelineModel", "os.path")
        .replace("org.apache.spark.ml.PipelineModel", "os.path")
    )
    assert "os.path" in (model_files.why_unsafe(tmp_path) or "")
