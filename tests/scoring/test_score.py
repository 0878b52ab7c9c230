"""Scores on Spark are what the model answers, row by row."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from scorelake.errors import ContractBroken
from scorelake.rows import FileRows, FrameRows, SliceFile
from scorelake.scoring.answers import escaped
from scorelake.scoring.members import Member, Observed
from scorelake.scoring.nulls import Nulls, rates
from scorelake.scoring.package import Package, pack
from scorelake.scoring.predictors import compile_model
from scorelake.scoring.score import score

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


def scored(frame: DataFrame, package: Package, *, classes: tuple[str, ...] = (), reasons: int = 0) -> DataFrame:
    """One model's answers by way of Spark, without what the tasks report."""
    member = Member(package, classes, reasons)
    return score(FrameRows(frame, tasks=2), [member], keys=["k`ey"]).where("about IS NULL")


def answers(scored: DataFrame, column: str, rows: pd.DataFrame) -> list[Any]:
    found = {row["k`ey"]: row[column] for row in scored.collect()}
    assert len(found) == len(rows)
    return [found[key] for key in rows["k`ey"]]


def native_scores(model: Any, rows: pd.DataFrame) -> list[float]:
    found = model.inplace_predict(as_floats(rows).astype("float32"), missing=np.nan)
    return list(found.astype("float64").tolist())


@pytest.fixture(scope="module")
def stored(spark: SparkSession, features: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> FileRows:
    """The same rows in three Parquet files of two nights, whose date stands in the path alone."""
    folder = tmp_path_factory.mktemp("slices")
    features.write.parquet(f"{folder}/night")
    paths = sorted(str(path) for path in folder.rglob("*.parquet"))
    nights = [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 2)]
    files = tuple(SliceFile(path, {"run_date": night}) for path, night in zip(paths, nights, strict=True))
    whole = features.selectExpr("*", "date'2024-01-01' AS run_date", "CAST(NULL AS INT) AS added_later")
    return FileRows(whole, files, tasks=2)


def test_a_booster_answers_bit_for_bit_as_natively(
    features: DataFrame, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    package, model = booster
    assert answers(scored(features, package), "score", rows) == native_scores(model, rows)


def test_files_read_in_the_workers_give_the_same_scores(
    stored: FileRows, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    package, model = booster
    for tasks in (1, 2, 7):
        found = score(replace(stored, tasks=tasks), [Member(package)], keys=["k`ey", "run_date", "added_later"])
        found = found.where("about IS NULL")
        assert answers(found, "score", rows) == native_scores(model, rows)
    assert {(row[0], row[1]) for row in found.select("run_date", "added_later").distinct().collect()} == {
        (date(2024, 1, 1), None),
        (date(2024, 1, 2), None),
    }


def test_classes_come_with_the_probability_of_each(
    features: DataFrame, rows: pd.DataFrame, classifier: tuple[Package, Any]
) -> None:
    package, model = classifier
    native = model.predict_proba(rows[list(FEATURES)].astype("float64"))
    found = scored(features, package, classes=("a", "b c", "d"))
    np.testing.assert_allclose(answers(found, "score_b_20_c", rows), native[:, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(answers(found, "score", rows), native.max(axis=1), rtol=0, atol=1e-12)
    assert answers(found, "prediction", rows) == model.predict(rows[list(FEATURES)].astype("float64")).tolist()


def test_the_order_and_number_of_partitions_change_nothing(
    features: DataFrame, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    package, model = booster
    reordered = features.select("größe", "`k``ey`", "`n.items`", "is_new")
    assert answers(scored(reordered.repartition(7), package), "score", rows) == native_scores(model, rows)


def test_all_reasons_of_a_score_add_up_to_its_log_odds(
    features: DataFrame, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    import xgboost

    package, model = booster
    found = scored(features, package, reasons=3).toPandas().set_index("k`ey").loc[rows["k`ey"]]
    data = xgboost.DMatrix(as_floats(rows).astype("float32"), feature_names=list(FEATURES))
    exact = model.predict(data, pred_contribs=True)
    told = found[[f"reason_{n}_contribution" for n in (1, 2, 3)]].to_numpy()
    log_odds = np.log(found["score"] / (1 - found["score"]))
    np.testing.assert_allclose(told.sum(axis=1) + exact[:, -1], log_odds, atol=1e-4)
    assert (np.abs(told[:, :-1]) >= np.abs(told[:, 1:])).all()
    assert found["reason_1"].tolist() == [FEATURES[n] for n in np.abs(exact[:, :-1]).argmax(axis=1)]


def test_an_infinite_feature_leaves_its_row_without_a_score_and_no_other(
    spark: SparkSession, booster: tuple[Package, Any]
) -> None:
    package, _ = booster
    schema = "`k``ey` string, is_new boolean, `n.items` bigint, `größe` double"
    values = [("inf", True, 1, float("inf")), ("-inf", True, 1, float("-inf")), ("nan", True, 1, float("nan"))]
    values += [("nulls", None, None, None), ("fine", True, 1, 0.5)]
    found = scored(spark.createDataFrame(values, schema), package)
    without = {row["k`ey"] for row in found.where("score IS NULL").collect()}
    assert without == {"inf", "-inf"}


def test_members_share_the_pass_and_a_failing_one_costs_only_itself(
    features: DataFrame, booster: tuple[Package, Any]
) -> None:
    package, _ = booster
    broken = Package("broken", FEATURES, b"no archive")
    members = [Member(package), Member(broken), Member(package, budget_seconds=0.0), Member(package, reasons=1)]
    found = score(FrameRows(features, tasks=1), members, keys=["k`ey"]).collect()
    by_member = Counter(row["member"] for row in found if row["about"] is None)
    assert by_member == {0: 500, 3: 500}
    told = {row["about"]: json.loads(row["report"]) for row in found if row["about"] is not None}
    assert [told[f"member {n}"]["failure"] for n in range(4)] == ["", "BadZipFile", "used its 0 s", ""]
    assert told["member 0"]["rows"] == 500
    assert {row["is_covered"] for row in found if row["member"] == 0} == {None}


def test_a_champion_that_fails_fails_the_pass_without_showing_rows(features: DataFrame) -> None:
    broken = Package("broken champion", FEATURES, b"no archive")
    with pytest.raises(Exception, match=r"the champion failed on a batch of .* rows: BadZipFile"):
        scored(features, broken).collect()


def test_observers_see_every_row_once_a_night_with_its_score(
    stored: FileRows, rows: pd.DataFrame, booster: tuple[Package, Any]
) -> None:
    package, _ = booster
    watched = {"nulls": Observed((*FEATURES, "added_later"), partial(Nulls, (*FEATURES, "added_later", "score")))}
    found = score(stored, [Member(package)], keys=["k`ey", "run_date"], night="run_date", observers=watched)
    told = found.where("about = 'nulls'").collect()
    assert {row["run_date"] for row in told} == {date(2024, 1, 1), date(2024, 1, 2)}
    shares = rates(bytes(row["report"]) for row in told)
    assert shares["added_later"] == 1
    assert shares["score"] == 0
    assert shares["größe"] == pytest.approx(rows["größe"].isna().mean())


def test_no_rows_are_scored_to_no_rows(features: DataFrame, booster: tuple[Package, Any]) -> None:
    package, _ = booster
    assert scored(features.where("false"), package).collect() == []


def test_a_missing_feature_is_named(features: DataFrame, booster: tuple[Package, Any]) -> None:
    package, _ = booster
    with pytest.raises(ContractBroken, match=r"no column n\.items;"):
        scored(features.drop("n.items"), package)


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
