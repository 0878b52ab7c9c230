"""A person's word beside the gate: approval needs a passed gate, an override needs nobody but leaves its record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs import _registry, promote_model, rollback
from scorelake.dates import RunDates
from scorelake.errors import GateRefused, MissingInput, UsageError
from scorelake.settings import Settings
from scorelake.stores import promotions
from scorelake.stores.lake import Lake
from scorelake.stores.promotions import Promotion
from tests.shop.night import settings_in
from tests.stores.test_model_registry import bundle, fitted, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.runs import Outcome

DAY = date(2024, 10, 18)
ADA = {"by": "Ada", "reason": "agreed with marketing"}


@pytest.fixture(scope="module")
def settings(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The shop's definitions over an empty lake; four versions of `churn` are registered, none is champion."""
    spark.sql("DROP SCHEMA IF EXISTS ops CASCADE")
    home: Path = tmp_path_factory.mktemp("approvals")
    settings = settings_in(home)
    registry, trained = _registry.connect(settings), fitted()
    for _ in range(4):
        registry.register("churn", bundle(trained), record())
    yield settings
    spark.sql("DROP SCHEMA IF EXISTS ops CASCADE")


def approved(spark: SparkSession, settings: Settings, version: str, **options: Any) -> Outcome:
    given = {"approve": version, **ADA, **options}
    return promote_model.run(spark, settings, RunDates.single(DAY), frozenset({"churn"}), **given)


def gate_said(lake: Lake, version: str, verdict: str, *, beside: str | None) -> None:
    promotions.decide(
        lake, "churn", lambda n: Promotion("churn", n, "gate", version, DAY, verdict, beside, beside, "gate", "5 gates")
    )


def champion(settings: Settings) -> str | None:
    return _registry.connect(settings).version_of("churn", "champion")


def test_approval_needs_a_gate_that_has_passed_beside_the_present_champion(
    spark: SparkSession, settings: Settings
) -> None:
    lake = Lake(spark, settings.lake)
    with pytest.raises(GateRefused, match="version 1 has not met the gate"):
        approved(spark, settings, "1")
    gate_said(lake, "1", "await approval", beside=None)
    gate_said(lake, "2", "refuse", beside=None)
    gate_said(lake, "3", "await approval", beside=None)
    with pytest.raises(GateRefused, match=r"the gate said refuse \(5 gates\); see --override"):
        approved(spark, settings, "2")
    assert champion(settings) is None

    outcome = approved(spark, settings, "1")
    assert outcome.notes == ("churn version 1: approval by Ada: agreed with marketing",)
    assert champion(settings) == "1"
    assert approved(spark, settings, "1").notes == outcome.notes
    with pytest.raises(GateRefused, match="judged beside version none, but the champion is 1 now"):
        approved(spark, settings, "3")

    assert approved(spark, settings, "2", override=True).exit_code == 0
    assert champion(settings) == "2"
    newest = promotions.history(lake, "churn")[0]
    assert (newest.kind, newest.former, newest.champion, newest.decided_by) == ("override", "1", "2", "Ada")
    said = lake.read("ops.decisions").where("metric = 'override'").select("subject", "reason").collect()
    assert [tuple(row) for row in said] == [("churn/2", "Ada: agreed with marketing")]

    rollback.run(spark, settings, RunDates.single(DAY), frozenset({"churn"}), reason="scores fell")
    assert champion(settings) == "1"
    newest = promotions.history(lake, "churn")[0]
    assert (newest.kind, newest.former, newest.champion, newest.reason) == ("rollback", "2", "1", "scores fell")


def test_version_that_does_not_exist_is_not_approved(spark: SparkSession, settings: Settings) -> None:
    with pytest.raises(MissingInput, match="model churn has no version 9"):
        approved(spark, settings, "9", override=True)


@pytest.mark.parametrize(
    "options", [{"by": None}, {"reason": None}, {"approve": None}, {"approve": None, "by": None, "override": True}]
)
def test_words_without_a_name_or_a_reason_are_a_wrong_call(
    spark: SparkSession, settings: Settings, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="--approve VERSION"):
        approved(spark, settings, "1", **options)
