"""`ops.promotions` is the truth of who is champion: one decision a key, one champion however many decide at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake.settings import LakeSettings
from scorelake.stores import promotions
from scorelake.stores.lake import Lake
from scorelake.stores.model_registry import ModelRegistry, connect
from scorelake.stores.promotions import Kind, Promotion
from tests.stores.test_model_registry import bundle, fitted, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake of its own: the session's catalog may hold the `ops` of another one."""
    spark.sql("DROP SCHEMA IF EXISTS ops CASCADE")
    yield Lake(spark, LakeSettings(root=str(tmp_path_factory.mktemp("lake"))))
    spark.sql("DROP SCHEMA IF EXISTS ops CASCADE")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """Three versions of `churn`."""
    home: Path = tmp_path_factory.mktemp("mlflow")
    found = connect(f"sqlite:///{home}/mlflow.db", artifact_root=str(home / "artifacts"))
    trained = fitted()
    for _ in range(3):
        found.register("churn", bundle(trained), record())
    return found


def promoting(lake: Lake, model: str, version: str, kind: Kind = "gate") -> Callable[[int], Promotion]:
    def decision(number: int) -> Promotion:
        newest = promotions.history(lake, model)
        former = newest[0].champion if newest else None
        return Promotion(model, number, kind, version, DAY, "promote", former, version, "gate", f"beats {former}")

    return decision


def test_a_key_is_decided_once(lake: Lake) -> None:
    first = promotions.decide(lake, "once", promoting(lake, "once", "1"))
    again = promotions.decide(lake, "once", promoting(lake, "once", "1"))
    assert (first.number, first.former) == (1, None)
    assert again == first == promotions.recorded(lake, "once", "1", DAY, "gate")
    by_hand = promotions.decide(lake, "once", promoting(lake, "once", "1", "override"))
    assert (by_hand.number, by_hand.former) == (2, "1")


def test_two_promoters_at_once_leave_one_champion_and_two_records(lake: Lake, registry: ModelRegistry) -> None:
    """Both have judged beside the champion of before when the first one commits: the second judges again."""
    promotions.decide(lake, "churn", promoting(lake, "churn", "1"))
    promotions.settle(lake, registry, "churn")
    both_judged = threading.Barrier(2)
    judged: list[str | None] = []

    def promote(version: str) -> None:
        decide = promoting(lake, "churn", version)
        is_first = True

        def decision(number: int) -> Promotion:
            nonlocal is_first
            found = decide(number)
            judged.append(found.former)
            if is_first:
                is_first = False
                both_judged.wait(60)
            return found

        promotions.decide(lake, "churn", decision)
        promotions.settle(lake, registry, "churn")

    promoters = [threading.Thread(target=promote, args=(version,)) for version in ("2", "3")]
    for promoter in promoters:
        promoter.start()
    for promoter in promoters:
        promoter.join()

    third, second, first = promotions.history(lake, "churn")
    assert [p.number for p in (first, second, third)] == [1, 2, 3]
    assert {second.challenger, third.challenger} == {"2", "3"}
    assert (second.former, third.former) == ("1", second.champion)
    assert judged.count("1") == 2
    assert registry.version_of("churn", "champion") == third.champion
    assert registry.former("churn") == (third.champion, second.champion)


def test_alias_that_a_killed_run_left_behind_follows_the_newest_record(lake: Lake, registry: ModelRegistry) -> None:
    newest = promotions.history(lake, "churn")[0].champion
    registry.promote("churn", "1")
    promotions.settle(lake, registry, "churn")
    assert registry.version_of("churn", "champion") == newest
    promotions.settle(lake, registry, "model without a record")


def test_rollback_may_be_recorded_twice_on_one_day(lake: Lake) -> None:
    def back(number: int) -> Promotion:
        return Promotion("swung", number, "rollback", "2", DAY, "rollback", "2", "1", "rollback", "scores fell")

    assert [promotions.decide(lake, "swung", back).number for _ in range(2)] == [1, 2]
