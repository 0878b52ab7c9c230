"""What can be asked of a lake: what would run, how things stand, where a slice came from."""

from __future__ import annotations

import json
from datetime import date

import pytest

from jobs import backfill, explain, plan, status
from scorelake.dates import RunDates
from scorelake.errors import MissingInput, UsageError
from scorelake.stores import ops
from tests.shop.night import NIGHTS, Shop


def test_nothing_is_planned_for_nights_that_are_done(shop: Shop) -> None:
    before = shop.lake.versions(["silver.sales", "scores.churn"])
    assert plan.run(shop.spark, shop.settings, NIGHTS).notes == ("everything is up to date",)
    assert shop.lake.versions(["silver.sales", "scores.churn"]) == before


def test_a_plan_for_programs_is_one_object_a_line(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = RunDates.single(date(2024, 12, 22))
    plan.run(shop.spark, shop.settings, tomorrow, frozenset(["bronze.events", "churn"]), json=True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(item["table"], item["action"]) for item in found} >= {("bronze.events", "run"), ("scores.churn", "run")}
    assert {item["from"] for item in found} == {"2024-12-22"}


def test_a_slice_is_explained_up_to_its_files(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    explain.run(shop.spark, shop.settings, table="silver.sales", date=date(2024, 10, 21))
    told = capsys.readouterr().out
    assert "bronze.sales 2024-10-21  version" in told
    assert "sales/2024-10-21/sales.csv: " in told
    assert "features.shop_v1 2024-10-21  by build_features" in told


def test_a_slice_that_is_not_there_is_missing_and_a_wrong_name_is_told(shop: Shop) -> None:
    with pytest.raises(MissingInput, match=r"silver\.sales has no slice 2030-01-01"):
        explain.run(shop.spark, shop.settings, table="silver.sales", date=date(2030, 1, 1))
    with pytest.raises(UsageError, match=r"no table silver\.sale that a night writes"):
        explain.run(shop.spark, shop.settings, table="silver.sale", date=date(2024, 1, 1))


def test_status_tells_the_newest_slices_and_what_is_stale(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = status.run(shop.spark, shop.settings, stale_after="26h")
    assert fresh.exit_code == 0
    assert "no night is running" in fresh.notes
    assert "scores.churn" in capsys.readouterr().out
    stale = status.run(shop.spark, shop.settings, stale_after="0s")
    assert stale.exit_code == 3
    assert any(text.startswith("scores.churn was last written") for text in stale.missing)


def test_a_backfill_touches_nothing_that_is_current(shop: Shop) -> None:
    before = shop.lake.versions(["bronze.sales", "silver.sales", "gold.customer_value", "scores.churn"])
    assert backfill.run(shop.spark, shop.settings, NIGHTS).notes == ("everything is up to date",)
    assert shop.lake.versions(before) == before


def test_the_log_of_a_night_tells_why_each_step_ran(shop: Shop) -> None:
    steps = ops.last_run(shop.lake)
    assert {row["verdict"] for row in steps} <= {"done", "late"}
    assert all(row["reason"] or row["step"] == "materialize_features" for row in steps)


def test_status_tells_what_the_last_run_took(shop: Shop) -> None:
    ran = [row for row in ops.last_run(shop.lake) if row["attempts"]]
    assert all(row["cpu_seconds"] > 0 and row["peak_bytes"] > 2**27 for row in ran)
    [told] = [text for text in status.run(shop.spark, shop.settings).notes if "its steps took" in text]
    assert max(ran, key=lambda row: row["cpu_seconds"])["step"] in told
