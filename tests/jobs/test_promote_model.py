"""A person's word beside the gate: approval needs a passed gate, an override needs nobody but leaves its record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs import _registry, _relapse, evaluate_scores, promote_model, retrain, rollback
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.errors import GateRefused, MissingInput, UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.models import Rollback
from scorelake.nightly.graph import PERFORMANCE
from scorelake.settings import Settings
from scorelake.stores import ops, promotions
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.stores.promotions import Promotion
from scorelake.tables import Column
from tests.shop.night import settings_in
from tests.stores.test_model_registry import bundle, fitted, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.runs import Outcome

DAY = date(2024, 10, 18)
SCHEMAS = ("ops", "monitoring", "gold")
ADA = {"by": "Ada", "reason": "agreed with marketing"}


@pytest.fixture(scope="module")
def settings(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The shop's definitions over an empty lake; four versions of `churn` are registered, none is champion."""
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    home: Path = tmp_path_factory.mktemp("approvals")
    settings = settings_in(home)
    registry, trained = _registry.connect(settings), fitted()
    for _ in range(4):
        registry.register("churn", bundle(trained), record())
    yield settings
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


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


# ------------------------------------------------------------------ by itself


def test_a_champion_whose_matured_nights_fell_leaves_once(spark: SparkSession, settings: Settings) -> None:
    lake, registry = Lake(spark, settings.lake), _registry.connect(settings)
    approved(spark, settings, "4", override=True)
    spec, limits = load_definitions(settings.conf_dir).models["churn"], Rollback(k=2, n=2)
    nights = [DAY - timedelta(days=60 - n) for n in range(3)]
    rows = [matured(night, DAY, version="4", value=0.6) for night in nights]
    keep_performance(lake, rows, DAY)

    told = _relapse.judged(lake, registry, spec, limits, DAY - timedelta(days=1))
    assert told is None, "an evaluation of an earlier day moves nobody"
    told = _relapse.judged(lake, registry, spec, limits, DAY)
    assert told is not None
    assert told.startswith("churn: version 4 left, version 1 returned: 2 of its 2 newest matured nights have fallen")
    assert champion(settings) == "1"
    newest = promotions.history(lake, "churn")[0]
    assert (newest.kind, newest.former, newest.champion, newest.decided_by) == ("rollback", "4", "1", "evaluate_scores")
    assert _relapse.judged(lake, registry, spec, limits, DAY) is None, "version 1 has no matured night of its own"
    said = lake.read(ops.DECISIONS).where("gate = 'relapse'").collect()
    assert ("churn/4", "rollback", 2.0) in {(row["subject"], row["verdict"], row["value"]) for row in said}


def matured(night: date, day: date, *, version: str, value: float) -> dict[str, Any]:
    row = {column.name: None for column in evaluate_scores.COLUMNS}
    at = {"run_date": day, "score_date": night, "role": "champion", "model_version": version, "segment": "all"}
    judged = {"kind": "metric", "metric": "auc", "value": value, "low": value - 0.05, "high": value + 0.05, "rows": 900}
    return {**row, "model_name": "churn", **at, **judged, "reference": 0.8}


def keep_performance(lake: Lake, rows: list[dict[str, Any]], day: date) -> None:
    columns = evaluate_scores.COLUMNS
    frame = lake.spark.createDataFrame(
        [tuple(row[column.name] for column in columns) for row in rows], ", ".join(column.ddl for column in columns)
    )
    lake.create(PERFORMANCE, columns, partitioned_by=["run_date"])
    lake.replace_slices(frame, PERFORMANCE, Mark("made up", "test", (day,)))


def test_what_the_lake_knows_becomes_the_policys_answer(spark: SparkSession, settings: Settings) -> None:
    """The newest version was registered on DAY - 30 as its tag says; since then 3 labels became known."""
    lake, registry = Lake(spark, settings.lake), _registry.connect(settings)
    newest = registry.history("churn")[0].version
    registry.client.set_model_version_tag("churn", newest, _registry.RUN_DATE, (DAY - timedelta(days=30)).isoformat())
    label = "gold.churn_60d"
    columns = (Column(name="label", type="int"), Column(name="run_date", type="date"))
    days = [DAY - timedelta(days=ago) for ago in (30, 29, 1, 0, -1)]
    lake.create(label, columns, partitioned_by=["run_date"])
    frame = spark.createDataFrame([(n % 2, day) for n, day in enumerate(days)], "label int, run_date date")
    lake.replace_slices(frame, label, Mark("made up", "test", tuple(days)))

    def known() -> retrain.Known:
        definitions = load_definitions(settings.conf_dir)
        repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
        return retrain.known(lake, registry, definitions, repo, "churn", DAY)

    found = known()
    assert (found.trained_on, found.new_labels, found.label_rate) == (days[0], 3, pytest.approx(2 / 3))
    assert (found.drift, found.decay, found.failed) == (None, None, ())

    def say(gate: str, subject: str, day: date, verdict: str) -> None:
        ops.record_decisions(lake, [Decision(gate, subject, day, "status", None, None, verdict, f"{gate} {verdict}")])
        runs.begin()

    say("drift", "churn/1", DAY, "ALERT")
    say("performance", "churn/1", DAY, "decay")
    say("drift", "next_spend/1", DAY, "ALERT")
    say("data", "silver.sales", days[1], "fail")
    say("data", "silver.sales", days[2], "fail")
    say("data", "silver.sales", days[2], "pass")  # repaired
    say("data", "silver.sales", days[0], "fail")  # learnt from already
    say("data", "silver.nobody_reads_it", days[1], "fail")
    found = known()
    assert (found.drift, found.decay) == ("drift ALERT", "performance decay")
    assert found.failed == (f"silver.sales of {days[1]}",)
