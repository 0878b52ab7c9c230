"""What stands in a night's score table, and which row of an entity is served."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from scorelake.models import Scoring
from scorelake.scoring import arms
from scorelake.scoring.publish import REPEATED, Published, Role, judged, published, rejected

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NIGHT = date(2024, 1, 1)
KEYS = ("shop", "customer")
CANARY = {"challengers": ("challenger",), "canary": {"experiment": "spring", "percent": 40}}


def about(*roles: Role) -> Published:
    return Published(KEYS, roles or (Role("champion", "3"),), "churn", "hash", "run", datetime(2024, 1, 2), nights=1)


def answers(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    """Of (shop, customer, member, score): as the pass leaves them, with `is_covered` for member 0."""
    covered = {row[:2] for row in rows if row[2] == 1 and row[3] is not None}
    return spark.createDataFrame(
        [(*row[:2], NIGHT, *row[2:], row[:2] in covered if row[2] == 0 else None, None, None) for row in rows],
        "shop string, customer int, score_date date, member int, score double, is_covered boolean, "
        "about string, report binary",
    )


def by_hand(experiment: str, *texts: str) -> int:
    joined = "".join(f"{len(text.encode())}:{text}" for text in (experiment, *texts))
    return int.from_bytes(hashlib.sha256(joined.encode()).digest()[:8], "big") % 10_000


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=6), st.integers(-(2**31), 2**31 - 1)), min_size=30, max_size=60))
def test_an_arm_is_drawn_from_the_bytes_of_experiment_and_keys(spark: SparkSession, rows: list[Any]) -> None:
    frame = spark.createDataFrame(rows, "shop string, customer int")
    found = frame.select("shop", "customer", arms.draw("früh|ling", KEYS).alias("draw")).collect()
    assert [row["draw"] for row in found] == [by_hand("früh|ling", r["shop"], str(r["customer"])) for r in found]


def test_a_growing_share_moves_nobody_back(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("s", n) for n in range(2000)], "shop string, customer int")
    columns = [arms.arm("e", percent, KEYS).alias(f"p{percent}") for percent in (0, 10, 50, 100)]
    rows = frame.select(*columns).collect()
    shares = {name: {n for n, row in enumerate(rows) if row[name] == "challenger"} for name in rows[0].asDict()}
    assert shares["p0"] == set()
    assert shares["p10"] < shares["p50"] < shares["p100"] == set(range(2000))
    assert len(shares["p10"]) == pytest.approx(200, abs=50)


def test_each_entity_is_served_once_by_its_arm_and_else_by_the_champion(spark: SparkSession) -> None:
    rows = [("s", n, member, 0.5 if (n + member) % 10 else None) for n in range(300) for member in (0, 1, 2)]
    roles = (Role("champion", "3"), Role("challenger", "4"), Role("shadow", "5"))
    found = judged(answers(spark, rows), KEYS)
    table = published(found.where("reason IS NULL"), Scoring.model_validate(CANARY), about(*roles)).collect()
    by_entity = {n: [row for row in table if row["customer"] == n] for n in range(300)}
    for n, of_entity in by_entity.items():
        served = [row for row in of_entity if row["served"]]
        has_challenger, has_champion = (n + 1) % 10 != 0, n % 10 != 0
        is_challenged = by_hand("spring", "s", str(n)) < 4000
        if is_challenged and has_challenger:
            assert [row["role"] for row in served] == ["challenger"]
        elif has_champion:
            assert [row["role"] for row in served] == ["champion"]
        assert {row["arm"] for row in of_entity} == {"challenger" if is_challenged else "champion"}
    assert {row["model_version"] for row in table if row["role"] == "shadow"} == {"5"}


def test_a_challenger_that_was_given_up_has_no_rows_and_serves_nobody(spark: SparkSession) -> None:
    rows = [("s", n, member, 0.5) for n in range(50) for member in (0, 1)]
    roles = (Role("champion", "3"), Role("challenger", "4", is_alive=False))
    table = published(judged(answers(spark, rows), KEYS), Scoring.model_validate(CANARY), about(*roles)).collect()
    assert [(row["role"], row["served"]) for row in table] == [("champion", True)] * 50


def test_nothing_restated_is_served(spark: SparkSession) -> None:
    table = published(judged(answers(spark, [("s", 1, 0, 0.5)]), KEYS), Scoring(), about(Role("restated", "2")))
    assert [(row["role"], row["model_version"], row["served"]) for row in table.collect()] == [("restated", "2", False)]


def test_every_row_is_published_or_rejected_with_its_reason(spark: SparkSession) -> None:
    rows = [("s", 1, 0, 0.5), (None, 2, 0, 0.5), ("s", 3, 0, None), ("s", 4, 0, 0.5), ("s", 4, 0, 0.7)]
    found = judged(answers(spark, [*rows, (None, 2, 0, 0.5)]), KEYS)
    refused = rejected(found.where("reason IS NOT NULL"), about()).collect()
    table = published(found.where("reason IS NULL"), Scoring(), about()).collect()
    assert [(row["shop"], row["customer"]) for row in table] == [("s", 1)]
    assert sorted((row["customer"], row["reason"].split(":")[0]) for row in refused) == [
        (2, "null in the entity key"),
        (2, "null in the entity key"),
        (3, "no finite score"),
        (4, REPEATED),
        (4, REPEATED),
    ]
    assert {(row["role"], row["model_version"]) for row in refused} == {("champion", "3")}


def test_buckets_decisions_and_reviews_stand_beside_the_score(spark: SparkSession) -> None:
    rows = [("s", n, 0, n / 10) for n in range(10)]
    scoring = Scoring.model_validate({"buckets": 5, "cut": 0.5, "review": (0.3, 0.5)})
    table = published(judged(answers(spark, rows), KEYS), scoring, about()).collect()
    by_score = {row["score"]: row for row in table}
    assert [by_score[n / 10]["bucket"] for n in range(10)] == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert [n for n in range(10) if by_score[n / 10]["decision"]] == [5, 6, 7, 8, 9]
    assert [n for n in range(10) if by_score[n / 10]["review"]] == [3, 4]


@pytest.mark.parametrize("nights", [1, 2])
@pytest.mark.parametrize("members", [1, 2])
def test_buckets_are_numbered_within_a_night_and_a_role(spark: SparkSession, nights: int, members: int) -> None:
    one = answers(spark, [("s", n, member, n / 10 + member) for n in range(4) for member in range(members)])
    frame = one
    for later in range(1, nights):
        frame = frame.unionByName(
            one.withColumns({"score_date": F.date_add("score_date", later), "score": F.col("score") + 5})
        )
    roles = (Role("champion", "3"), Role("shadow", "4"))[:members]
    told = replace(about(*roles), nights=nights)
    table = published(judged(frame, KEYS), Scoring(buckets=4), told).collect()
    found = Counter((row["customer"], row["bucket"]) for row in table)
    assert found == {(n, 4 - n): nights * members for n in range(4)}


def test_a_score_at_a_declared_edge_is_in_the_bucket_above(spark: SparkSession) -> None:
    rows = [("s", n, 0, n / 10) for n in range(10)]
    table = published(judged(answers(spark, rows), KEYS), Scoring(buckets=(0.2, 0.5)), about()).collect()
    assert [row["bucket"] for row in sorted(table, key=lambda row: row["score"])] == [3, 3, 2, 2, 2, 1, 1, 1, 1, 1]


def test_each_version_decides_by_its_own_cut_unless_the_model_file_names_one(spark: SparkSession) -> None:
    frame = answers(spark, [("s", 1, 0, 0.4), ("s", 1, 1, 0.4), ("s", 1, 2, 0.4)])
    roles = about(Role("champion", "3", cut=0.4), Role("challenger", "4", cut=0.41), Role("shadow", "5"))
    found = published(frame, Scoring(), roles).collect()
    assert {row["role"]: row["decision"] for row in found} == {"champion": 1, "challenger": 0, "shadow": None}
    found = published(frame, Scoring(cut=0.3), roles).collect()
    assert {row["decision"] for row in found} == {1}
    assert "decision" not in published(frame, Scoring(), about()).columns
