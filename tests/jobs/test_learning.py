"""Where a model is trained follows from the model file, the rows and the limit of this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import _learning
from scorelake.errors import ScorelakeError
from scorelake.rows import FrameRows
from scorelake.settings import Limits
from scorelake.training import train
from tests.training.made_up import NUMBERS, model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 3000


@pytest.fixture(scope="module")
def stored(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """A training table on disk, as build_training_set leaves it."""
    place = str(Path(tmp_path_factory.mktemp("training")) / "rows")
    spark.sql(
        f"""SELECT id AS customer_id, TIMESTAMP '2026-01-01' AS event_timestamp, randn(1) AS signal, randn(2) AS noise,
                   IF(id % 3 = 0, NULL, randn(3)) AS gaps, CAST(randn(1) + randn(4) > 0 AS INT) AS label,
                   CASE WHEN id % 10 < 6 THEN 'train' WHEN id % 10 < 8 THEN 'validation' ELSE 'test' END AS split
            FROM range({ROWS})"""
    ).write.parquet(place)
    return spark.read.parquet(place)


def learning(rows: DataFrame, engine: str, limit: int) -> tuple[dict[str, int], object, tuple[str, ...]]:
    spec = model("binary", {"name": "xgboost", "engine": engine})
    data, learner, notes = _learning.rows_and_learner(
        spec, FrameRows(rows, tasks=2), list(NUMBERS), ["customer_id"], Limits(local_matrix_bytes=limit)
    )
    return {name: len(part) for name, part in data.parts.items()}, learner, notes


WHOLE = {"train": 1800, "validation": 600, "test": 600}
BYTES = ROWS * len(NUMBERS) * 4


@pytest.mark.parametrize("engine", ["auto", "local"])
def test_rows_that_fit_are_learnt_here(stored: DataFrame, engine: str) -> None:
    assert learning(stored, engine, BYTES) == (WHOLE, train.learn, ())


def test_rows_that_do_not_fit_are_learnt_by_the_cluster_and_judged_by_a_sample(stored: DataFrame) -> None:
    rows, learner, notes = learning(stored, "auto", BYTES // 2)
    assert learner is not train.learn
    assert 1300 < sum(rows.values()) <= ROWS // 2
    assert notes[0] == "churn: trained by Spark on 2,400 rows"
    assert f"test {rows['test']:,} of 600" in notes[1]


def test_a_model_file_may_insist_on_either(stored: DataFrame) -> None:
    rows, learner, notes = learning(stored, "spark", BYTES)
    assert (rows, learner is train.learn, len(notes)) == (WHOLE, False, 1)
    with pytest.raises(ScorelakeError, match=r"above limits\.local_matrix_bytes = 100: raise it, let Spark train"):
        learning(stored, "local", 100)
