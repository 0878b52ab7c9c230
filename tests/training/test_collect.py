"""From a labelled frame to arrays: values, kinds, order and bounds."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scorelake.errors import ContractBroken, ScorelakeError, UnfitTrainingSet
from scorelake.matrix import matrix
from scorelake.training import collect as module
from scorelake.training import spilled
from scorelake.training.collect import collect, extent, sample
from scorelake.training.dataset import Dataset, Feature

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START = datetime(2026, 1, 1)
LIMIT = 10**9
DDL = """shop string, customer bigint, event_timestamp timestamp, label_available_at timestamp, label int, split string,
         visits bigint, paid decimal(20,4), is_member boolean, ratio double, region string"""
FEATURES = ["ratio", "visits", "paid", "is_member", "region"]
SPLITS = ["train"] * 30 + ["validation"] * 24 + ["test"] * 26


def row(n: int) -> tuple[Any, ...]:
    """Row n: every third visit is null, every fifth region; values that float32 cannot hold exactly."""
    return (
        "s1" if n % 2 else "s2",
        n,
        START + timedelta(days=n),
        START + timedelta(days=n + 28),
        n % 2,
        SPLITS[n],
        None if n % 3 == 0 else 2**24 + n,
        Decimal(n) / 3,
        n % 4 == 0,
        math.nan if n == 7 else n / 7,
        None if n % 5 == 0 else f"r{n % 3}",
    )


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([row(n) for n in range(80)], DDL).cache()


def collected(frame: DataFrame, features: list[str] = FEATURES, **options: Any) -> Dataset:
    named = {"task": "binary", "keys": ["shop", "customer"], **options}
    found = extent(frame, features, **{name: named[name] for name in ("task", "keys", "dtype") if name in named})
    return collect(frame, found, **{"limit_bytes": LIMIT, **named})


def test_values_and_order_of_columns(frame: DataFrame) -> None:
    data = collected(frame, dtype="float64")
    assert data.features == (
        *(Feature(name, "number") for name in ("ratio", "visits", "paid", "is_member")),
        Feature("region", "category"),
    )
    assert [len(data.parts[part]) for part in ("train", "validation", "test")] == [30, 24, 26]
    wanted = {round(n / 7, 9): row(n) for n in range(80)}
    for ratio, visits, paid, member, region in data.test.frame().itertuples(index=False):
        _, _, _, _, _, split, *expected = wanted[round(ratio, 9)]
        assert split == "test"
        assert (math.isnan(visits) and expected[0] is None) or visits == expected[0]
        assert paid == pytest.approx(float(expected[1]), abs=1e-4)
        assert (member, region) == (expected[2], expected[4])
    assert data.test.frame().columns.tolist() == FEATURES
    assert list(data.train.frame().dtypes[:4]) == [np.float64] * 4


def test_narrow_matrix_rounds_exactly_as_scoring_does(frame: DataFrame) -> None:
    numbers = FEATURES[:4]
    ours = collected(frame, numbers).train.matrix
    assert ours.dtype == np.float32
    table = frame.where("split = 'train'").select(*numbers).toArrow().combine_chunks()
    theirs = matrix(table.to_batches()[0], numbers)
    by_row = {tuple(np.nan_to_num(values, nan=-1)) for values in theirs}
    assert {tuple(np.nan_to_num(values, nan=-1)) for values in ours} == by_row


def test_order_depends_on_rows_not_on_layout(frame: DataFrame) -> None:
    first = collected(frame)
    second = collected(frame.orderBy("paid", ascending=False).repartition(7))
    for part in first.parts:
        assert first.parts[part].matrix.tobytes() == second.parts[part].matrix.tobytes()
        assert first.parts[part].label.tobytes() == second.parts[part].label.tobytes()
        assert first.parts[part].entity.tobytes() == second.parts[part].entity.tobytes()
        assert (first.parts[part].categories["region"] == second.parts[part].categories["region"]).all()


def test_pieces_hold_the_same_rows_in_the_same_order(frame: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = collected(frame)
    monkeypatch.setattr(module, "_PIECE_BYTES", 2_500)
    pieces = collected(frame)
    for part in whole.parts:
        assert whole.parts[part].matrix.tobytes() == pieces.parts[part].matrix.tobytes()


def test_files_give_what_spark_gives(frame: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path / "table")
    frame.repartition(3).write.format("delta").save(place)
    stored = frame.sparkSession.read.format("delta").load(place)
    spark = collected(stored)
    monkeypatch.setattr(spilled, "LARGE_BYTES", 1)
    files = collected(stored, files=stored.inputFiles())
    assert files.features == spark.features
    for part in spark.parts:
        assert spark.parts[part].matrix.tobytes() == files.parts[part].matrix.tobytes()
        assert spark.parts[part].label.tobytes() == files.parts[part].label.tobytes()
        assert spark.parts[part].entity.tobytes() == files.parts[part].entity.tobytes()
        assert (spark.parts[part].categories["region"] == files.parts[part].categories["region"]).all()
    with pytest.raises(ScorelakeError, match="changed while it was read"):
        collected(stored, files=stored.inputFiles()[:1])
    with pytest.raises(ScorelakeError, match="grew while it was read"):
        collected(stored, files=stored.inputFiles() * 2)


def test_rows_of_one_entity_share_a_number(frame: DataFrame) -> None:
    data = collected(frame.withColumn("customer", frame.customer % 5))
    customers = [round(paid * 3) % 10 for paid in data.train.frame()["paid"]]  # shop and customer % 5 follow from it
    pairs = set(zip(customers, data.train.entity.tolist(), strict=True))
    assert len(pairs) == len({entity for _, entity in pairs}) == 10


def test_classes_are_ordered_as_numbers_when_they_are_numbers(frame: DataFrame) -> None:
    from pyspark.sql import functions as F

    numbered = collected(frame.withColumn("label", F.col("customer") % 3 + 9), task="multiclass")
    assert numbered.classes == ("9", "10", "11")
    assert set(numbered.train.label.tolist()) == {0.0, 1.0, 2.0}
    named = collected(frame.withColumn("label", F.concat(F.lit("c"), F.col("customer") % 3)), task="multiclass")
    assert named.classes == ("c0", "c1", "c2")


# ------------------------------------------------------------------ bad input


def test_more_than_the_limit_is_refused_before_anything_is_fetched(frame: DataFrame) -> None:
    with pytest.raises(ScorelakeError, match=r"limits.local_matrix_bytes = 100: raise it"):
        collected(frame, limit_bytes=100)


def test_label_that_is_null_is_refused(frame: DataFrame) -> None:
    with pytest.raises(UnfitTrainingSet, match=r"27 rows have no label"):
        collected(frame.selectExpr("* except (label)", "if(customer % 3 = 0, null, label) as label"))


def test_part_with_too_few_rows_is_refused(frame: DataFrame) -> None:
    with pytest.raises(UnfitTrainingSet, match="too few rows: train 3, validation 0, test 0"):
        collected(frame.where("customer < 3"))


def test_class_that_train_lacks_is_refused_without_its_name(frame: DataFrame) -> None:
    from pyspark.sql import functions as F

    late = frame.withColumn("label", F.when(F.col("customer") > 75, "secret").otherwise("c"))
    with pytest.raises(UnfitTrainingSet, match="test holds 1 classes that train does not") as raised:
        collected(late, task="multiclass")
    assert "secret" not in str(raised.value)


def test_text_label_of_a_binary_model_is_refused(frame: DataFrame) -> None:
    with pytest.raises(ContractBroken, match="must be 0/1 or BOOLEAN, found string"):
        collected(frame.selectExpr("* except (label)", "region as label"))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["ratio", "nothing"], "lacks features: nothing"),
        (["ratio", "label"], "features named like columns of the label: label"),
        (["first_seen"], "feature first_seen is timestamp; a model takes numbers"),
    ],
)
def test_feature_that_no_model_can_take_is_refused_by_name(frame: DataFrame, features: list[str], message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        collected(frame.selectExpr("*", "event_timestamp as first_seen"), features)


def test_a_sample_keeps_what_judges_whole_as_long_as_it_fits(frame: DataFrame) -> None:
    keys = ["shop", "customer"]
    found = extent(frame, ["visits"], task="binary", keys=keys)
    assert found.bytes == 80 * 4
    everything = sample(frame, found, keys=keys, limit_bytes=2 * found.bytes)
    assert everything.count() == 80
    small = sample(frame, found, keys=keys, limit_bytes=65 * 4)
    again = sample(frame.repartition(5), found, keys=keys, limit_bytes=65 * 4)
    rows = {tuple(row) for row in small.select("customer", "split").collect()}
    assert rows == {tuple(row) for row in again.select("customer", "split").collect()}
    kept = {split: sum(of == split for _, of in rows) for split in set(SPLITS)}
    assert 20 < kept["validation"] + kept["test"] < 45
    assert kept["train"] == 30  # there was room for all of train in the other half
