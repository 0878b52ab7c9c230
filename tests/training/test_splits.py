"""Which rows teach and which judge: by time with a gap, by entity, and only when their label was known."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from scorelake.errors import ConfigError
from scorelake.models import EntitySplit, StratifiedSplit, TemporalSplit, TrailingSplit, Unseen
from scorelake.training.splits import with_split

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

HORIZON = timedelta(days=28)
TEMPORAL = TemporalSplit(kind="temporal", validation_from=date(2026, 3, 31), test_from=date(2026, 5, 31))
VALIDATION, TEST = datetime(2026, 4, 1), datetime(2026, 6, 1)
SECOND = timedelta(seconds=1)
EVER = datetime(2030, 1, 1)


def labels(spark: SparkSession, instants: list[datetime]) -> DataFrame:
    rows = [(n, t, t + HORIZON) for n, t in enumerate(instants)]
    return spark.createDataFrame(rows, "customer bigint, event_timestamp timestamp, label_available_at timestamp")


def parts(frame: DataFrame) -> dict[int, str]:
    return {row["customer"]: row["split"] for row in frame.collect()}


def test_label_windows_never_reach_into_the_next_part(spark: SparkSession) -> None:
    instants = [
        VALIDATION - HORIZON,
        VALIDATION - HORIZON + SECOND,
        VALIDATION - SECOND,
        VALIDATION,
        TEST - HORIZON,
        TEST - HORIZON + SECOND,
        TEST,
    ]
    found = with_split(labels(spark, instants), TEMPORAL, horizon=HORIZON, known_by=EVER, seed=0)
    assert parts(found) == {0: "train", 3: "validation", 4: "validation", 6: "test"}


def test_trailing_parts_end_with_the_newest_label_that_can_be_known(spark: SparkSession) -> None:
    week, delay = timedelta(weeks=1), timedelta(days=2)
    split = TrailingSplit(kind="trailing", validation=2 * week, test=3 * week)
    weeks = [VALIDATION + n * week for n in range(20)]
    known_by = weeks[-1] + HORIZON + delay
    found = with_split(labels(spark, weeks), split, horizon=HORIZON, delay=delay, known_by=known_by, seed=0)
    train, validation, test = range(7), (11, 12), (17, 18, 19)  # between them the label's four weeks
    named = {"train": train, "validation": validation, "test": test}
    assert parts(found) == {n: name for name, weeks_of in named.items() for n in weeks_of}
    later = with_split(labels(spark, weeks), split, horizon=HORIZON, delay=delay, known_by=known_by + week, seed=0)
    assert [n for n, part in parts(later).items() if part == "test"] == [18, 19]


def test_label_enters_only_when_it_was_known(spark: SparkSession) -> None:
    instants = [TEST, TEST + SECOND]
    found = with_split(labels(spark, instants), TEMPORAL, horizon=HORIZON, known_by=TEST + HORIZON, seed=0)
    assert parts(found) == {0: "test"}


def test_gap_may_be_longer_but_not_shorter_than_the_horizon(spark: SparkSession) -> None:
    longer = TEMPORAL.model_copy(update={"gap": timedelta(days=40)})
    instants = [VALIDATION - HORIZON, VALIDATION - timedelta(days=40)]
    assert parts(with_split(labels(spark, instants), longer, horizon=HORIZON, known_by=EVER, seed=0)) == {1: "train"}
    shorter = TEMPORAL.model_copy(update={"gap": timedelta(days=27)})
    with pytest.raises(ConfigError, match="27 days is shorter than the label's horizon, 4 weeks"):
        with_split(labels(spark, instants), shorter, horizon=HORIZON, known_by=EVER, seed=0)


def test_entities_kept_out_are_in_test_alone(spark: SparkSession) -> None:
    split = TEMPORAL.model_copy(update={"unseen": Unseen(keys=("customer",), share=0.25)})
    instants = [VALIDATION - HORIZON, VALIDATION, TEST]
    rows = [(n, t, t + HORIZON) for n in range(400) for t in instants]
    frame = spark.createDataFrame(rows, "customer bigint, event_timestamp timestamp, label_available_at timestamp")
    found: dict[int, list[str]] = {}
    for row in with_split(frame, split, horizon=HORIZON, known_by=EVER, seed=3).collect():
        found.setdefault(row["customer"], []).append(row["split"])
    assert {tuple(sorted(parts)) for parts in found.values()} == {("test",), ("test", "train", "validation")}
    assert sum(parts == ["test"] for parts in found.values()) / 400 == pytest.approx(0.25, abs=0.07)


def test_each_part_holds_its_share_of_each_label_and_whole_entities(spark: SparkSession) -> None:
    split = StratifiedSplit(kind="stratified", keys=("cus.tomer",), validation=0.2, test=0.3)
    rows = spark.range(2000).selectExpr(
        "if(id < 4, null, id div 2) as `cus.tomer`",
        "timestamp'2026-01-01' as event_timestamp",
        "timestamp'2026-02-01' as label_available_at",
        "if(id div 2 % 100 = 0, id % 2, 0) as label",  # 9 or 10 of 1,000 entities
    )
    found = with_split(rows, split, horizon=HORIZON, known_by=EVER, seed=3).toPandas()
    assert len(found) == 2000
    assert found.groupby("cus.tomer", dropna=False)["split"].nunique().max() == 1
    assert found[found["label"] == 1]["split"].value_counts().to_dict() == {"train": 5, "test": 3, "validation": 2}
    shares = found["split"].value_counts() / 2000
    assert shares.to_dict() == pytest.approx({"train": 0.5, "test": 0.3, "validation": 0.2}, abs=0.002)


def test_entity_stays_in_its_part_and_shares_are_kept(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    split = EntitySplit(kind="entity", keys=("customer",), validation=0.2, test=0.3)
    twice = spark.range(4000).selectExpr(
        "id div 2 as customer",
        "timestamp'2026-01-01' + make_dt_interval(id % 2) as event_timestamp",
        "timestamp'2026-02-01' as label_available_at",
    )
    found = with_split(twice, split, horizon=HORIZON, known_by=EVER, seed=3)
    rows = found.groupBy("customer").agg(F.collect_set("split").alias("splits")).collect()
    assert len(rows) == 2000
    assert {len(row["splits"]) for row in rows} == {1}
    shares = {part: sum(row["splits"] == [part] for row in rows) / 2000 for part in ("train", "validation", "test")}
    assert shares == {
        "train": pytest.approx(0.5, abs=0.04),
        "validation": pytest.approx(0.2, abs=0.04),
        "test": pytest.approx(0.3, abs=0.04),
    }
    other = with_split(twice, split, horizon=HORIZON, known_by=EVER, seed=4)
    assert parts(found.where("customer < 50")) != parts(other.where("customer < 50"))
