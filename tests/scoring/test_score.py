"""Scores on Spark are what the model answers, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from scorelake.errors import ContractBroken
from scorelake.scoring.package import Package, pack
from scorelake.scoring.predictors import compile_model
from scorelake.scoring.score import escaped, score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FEATURES = ("größe", "n.items", "is_new")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    draw = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "k`ey": [f"a|{n}" for n in range(500)],
            "is_new": draw.random(500) < 0.5,
            "n.items": pd.array(draw.integers(0, 50, 500), dtype="Int64"),
            "größe": draw.normal(size=500),
        }
    )
    frame.loc[::7, "n.items"] = pd.NA
    frame.loc[::5, "größe"] = None
    return frame


@pytest.fixture(scope="module")
def features(spark: SparkSession, rows: pd.DataFrame) -> DataFrame:
    data = rows.astype(object).where(rows.notna(), None).values.tolist()
    return spark.createDataFrame(data, "`k``ey` string, is_new boolean, `n.items` bigint, `größe` double").repartition(
        3
    )


def as_floats(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    return rows[list(FEATURES)].astype("float64").to_numpy()


@pytest.fixture(scope="module")
def booster(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> tuple[Package, Any]:
    import mlflow.xgboost
    import xgboost

    label = (rows["n.items"].fillna(0) > 20).astype(int)
    data = xgboost.DMatrix(as_floats(rows).astype("float32"), label=label, feature_names=list(FEATURES))
    model = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, data, 10)
    folder = tmp_path_factory.mktemp("booster") / "model"
    mlflow.xgboost.save_model(model, str(folder), model_format="ubj", pip_requirements=["xgboost-cpu"])
    return pack(folder, digest="booster", features=FEATURES), model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> tuple[Package, Any]:
    import mlflow.sklearn
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    label = pd.cut(rows["n.items"].fillna(0).astype(float), [-1, 10, 30, 99], labels=["a", "b c", "d"]).astype(str)
    frame = rows[list(FEATURES)].astype("float64")
    model = make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)).fit(frame, label)
    folder = tmp_path_factory.mktemp("classifier") / "model"
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
        pyfunc_predict_fn="predict_proba",
        pip_requirements=["skops"],
    )
    return pack(folder, digest="classifier", features=FEATURES), model


def answers(scored: DataFrame, column: str, rows: pd.DataFrame) -> list[Any]:
    found = {row["k`ey"]: row[column] for row in scored.collect()}
    assert len(found) == len(rows)
    return [found[key] for key in rows["k`ey"]]


def test_a_booster_answers_bit_for_bit_as_natively(
    features: DataFrame, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    package, model = booster
    native = model.inplace_predict(as_floats(rows).astype("float32"), missing=np.nan)
    scored = score(features, package, keys=["k`ey"])
    assert scored.dtypes == [("k`ey", "string"), ("score", "double")]
    assert answers(scored, "score", rows) == native.astype("float64").tolist()


def test_any_other_model_answers_as_its_own_pyfunc(
    features: DataFrame, rows: pd.DataFrame, classifier: tuple[Package, Any]
) -> None:
    package, model = classifier
    native = model.predict_proba(rows[list(FEATURES)].astype("float64"))
    scored = score(features, package, keys=["k`ey"], classes=["a", "b c", "d"])
    assert scored.columns == ["k`ey", "score", "prediction", "score_a", "score_b_20_c", "score_d"]
    np.testing.assert_allclose(answers(scored, "score_b_20_c", rows), native[:, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(answers(scored, "score", rows), native.max(axis=1), rtol=0, atol=1e-12)
    assert answers(scored, "prediction", rows) == model.predict(rows[list(FEATURES)].astype("float64")).tolist()


def test_the_order_and_number_of_partitions_change_nothing(
    features: DataFrame, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    package, _ = booster
    reordered = features.select("größe", "`k``ey`", "`n.items`", "is_new")
    once = answers(score(features.coalesce(1), package, keys=["k`ey"]), "score", rows)
    assert answers(score(reordered.repartition(7), package, keys=["k`ey"]), "score", rows) == once


def test_no_rows_are_scored_to_no_rows(features: DataFrame, booster: tuple[Package, Any]) -> None:
    package, _ = booster
    assert score(features.where("false"), package, keys=["k`ey"]).collect() == []


def test_a_missing_feature_is_named(features: DataFrame, booster: tuple[Package, Any]) -> None:
    package, _ = booster
    with pytest.raises(ContractBroken, match=r"no column n\.items;"):
        score(features.drop("n.items"), package, keys=["k`ey"])


def test_a_booster_of_other_features_is_refused(booster: tuple[Package, Any], tmp_path: Path) -> None:
    import io
    import zipfile

    package, _ = booster
    zipfile.ZipFile(io.BytesIO(package.archive)).extractall(tmp_path)
    with pytest.raises(ContractBroken, match="was trained on"):
        compile_model(tmp_path, ("größe", "is_new", "n.items"))


@pytest.mark.parametrize(
    ("name", "column"), [("a", "a"), ("b c", "b_20_c"), ("é", "é"), ("x-1", "x_2d_1"), ("a_b", "a_b")]
)
def test_class_names_become_column_names_by_rule(name: str, column: str) -> None:
    assert escaped(name) == column
