"""A whole night on definitions that the platform has never seen: the shop, through every job."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs import (
    build_features,
    build_gold,
    ingest_bronze,
    maintain_tables,
    report_drift,
    run_nightly,
    score_batch,
    verify_pit,
)
from scorelake.dates import RunDates
from scorelake.errors import MissingInput
from scorelake.nightly import checks
from scorelake.stores.lake import columns_of
from tests.shop.land import YEAR
from tests.shop.night import NIGHTS, TRAINED_AT, Shop, settings_in
from tests.shop.slices import digests_of

SILVER = ("sales", "events", "customers")


def counted(shop: Shop, table: str, day: str = "run_date") -> dict[date, int]:
    return {row[0]: row[1] for row in shop.lake.read(table).groupBy(day).count().collect()}


def test_every_step_ends_well(shop: Shop) -> None:
    assert {name: (outcome.exit_code, outcome.failed) for name, outcome in shop.outcomes.items()} == dict.fromkeys(
        shop.outcomes, (0, ())
    )


def test_definitions_have_no_mistake(shop: Shop) -> None:
    mistakes, warnings = checks.thorough(shop.settings)
    assert mistakes == []
    assert ["plain `feast apply` loses" in warning.message for warning in warnings] == [True]


def test_rows_of_landed_files_are_rows_of_bronze(shop: Shop) -> None:
    marks = shop.lake.marks("bronze.sales", "ingest_bronze")
    recorded = {name: rows for _, mark in marks.values() for name, (_, _, rows) in mark.notes["files"].items()}
    stored = shop.lake.read("bronze.sales").groupBy("source_file").count().collect()
    assert {row["source_file"]: row["count"] for row in stored} == {k: n for k, n in recorded.items() if n}


@pytest.mark.parametrize("table", SILVER)
def test_accepted_and_quarantined_rows_are_those_of_bronze(shop: Shop, table: str) -> None:
    place = ["run_date", "source_file", "source_row"]
    bronze = shop.lake.read(f"bronze.{table}").select(place)
    kept = shop.lake.read(f"silver.{table}").select(place)
    rejected = shop.lake.read(f"quarantine.{table}").select(place)
    both = kept.unionAll(rejected)
    assert bronze.exceptAll(both).isEmpty()
    assert both.exceptAll(bronze).isEmpty()


def test_bad_rows_are_kept_with_what_is_wrong_with_them(shop: Shop) -> None:
    rejected = shop.lake.read("quarantine.sales")
    reasons = {reason for row in rejected.select("reasons").collect() for reason in row["reasons"]}
    assert any("parses as" in reason for reason in reasons)
    assert "malformed" in reasons
    assert rejected.where("raw IS NOT NULL").count() >= 1


def test_every_entity_has_features_and_a_score_every_night(shop: Shop) -> None:
    features = counted(shop, "features.shop_v1")
    assert set(features) == set(NIGHTS)
    for model in ("churn", "next_spend"):
        assert counted(shop, f"scores.{model}", "score_date") == features
        served = shop.lake.read(f"scores.{model}").where("served")
        assert served.count() == sum(features.values())
        assert served.select("model_version").distinct().count() == 1


def test_a_binary_score_is_a_probability_with_bucket_and_decision(shop: Shop) -> None:
    rows = shop.lake.read("scores.churn")
    wrong = rows.where("score < 0 OR score > 1 OR decision <> CAST(score >= 0.5 AS INT) OR bucket NOT BETWEEN 1 AND 5")
    assert wrong.isEmpty()
    best = rows.groupBy("score_date", "bucket").agg(F.min("score").alias("low"), F.max("score").alias("high"))
    for one, two in ((1, 2), (4, 5)):
        pairs = best.alias("a").join(best.alias("b"), on="score_date")
        assert pairs.where(f"a.bucket = {one} AND b.bucket = {two} AND a.low < b.high").isEmpty()


def test_scores_meet_their_labels_once_these_are_known(shop: Shop) -> None:
    told = shop.lake.read("monitoring.performance").where("model_name = 'churn'")
    served = told.where("metric = 'auc' AND role = 'served' AND segment = 'all'")
    by_night = {row["score_date"]: row for row in served.where("kind = 'metric'").collect()}
    assert NIGHTS.first in by_night
    assert by_night[NIGHTS.first]["rows"] > 20
    assert by_night[NIGHTS.first]["value"] > 0.6
    assert any("immature" in note for note in shop.outcomes["nights"].notes)


def test_performance_is_told_from_every_side(shop: Shop) -> None:
    told = shop.lake.read("monitoring.performance").where("model_name = 'churn'")
    kinds = {row["kind"] for row in told.select("kind").distinct().collect()}
    assert kinds >= {"metric", "bucket", "business", "coverage", "immature", "proxy"}
    places = {row["segment"] for row in told.where("kind = 'metric'").select("segment").distinct().collect()}
    assert any(place.startswith("segment=") for place in places)
    [auc] = told.where("kind = 'metric' AND metric = 'auc' AND role = 'served' AND segment = 'all'").collect()
    assert 0.5 < auc["reference"] <= 1
    verdicts = shop.lake.read("ops.decisions").where("gate = 'performance' AND metric = 'auc'").collect()
    assert [(row["subject"], row["verdict"]) for row in verdicts if row["verdict"] != "insufficient"] == [
        ("churn/1", "pass")
    ]


def test_nights_compare_with_those_before_and_in_segments(shop: Shop) -> None:
    metrics = shop.lake.read("monitoring.drift_metrics").where("subject = 'churn' AND feature = 'score'")
    rows = {(row["against"], row["segment"], row["run_date"]): row for row in metrics.collect()}
    assert rows["last_nights", "all", NIGHTS.first]["status"] == "INSUFFICIENT"
    two_before, tonight = list(NIGHTS)[:2], rows["last_nights", "all", NIGHTS.last]
    assert tonight["n"] == sum(rows["training", "all", day]["m"] for day in two_before)
    segments = {segment for against, segment, _ in rows if against == "training" and segment != "all"}
    rows_of_segments = sum(rows["training", segment, NIGHTS.last]["m"] for segment in segments)
    assert 0 < rows_of_segments <= tonight["m"]


def test_drift_of_every_night_is_on_record_and_on_a_page(shop: Shop) -> None:
    whole = shop.lake.read("monitoring.drift_metrics").where("feature = '*' AND against = 'training'")
    assert {(row["subject"], row["run_date"]) for row in whole.collect()} == {
        (model, day) for model in ("churn", "next_spend") for day in NIGHTS
    }
    counts = shop.lake.read("monitoring.drift_counts").where("segment = 'all' AND feature = 'score'")
    by_night = counts.groupBy("subject", "run_date").agg(F.sum("rows")).collect()
    assert {row[2] for row in by_night} == set(counted(shop, "features.shop_v1").values())
    for model in ("churn", "next_spend"):
        for day in NIGHTS:
            page = Path(shop.settings.reports, "drift", model, f"{day}.html").read_text()
            assert f"{model}" in page
            assert f'href="{model}/{day}.html"' in Path(shop.settings.reports, "drift", "index.html").read_text()


def test_nothing_is_built_over_a_hole(shop: Shop) -> None:
    monday = RunDates.single(date(2024, 12, 23))  # Monday's sales were never landed
    before = shop.lake.version("gold.customer_value")
    for run, subject in ((build_gold.run, "gold.customer_value"), (build_features.run, "shop_v1")):
        outcome = run(shop.spark, shop.settings, monday, frozenset([subject]))
        assert outcome.exit_code == 3
        assert "silver.sales has no slice 2024-12-23" in outcome.missing[0]
    assert shop.lake.version("gold.customer_value") == before
    told = shop.settings.model_copy(update={"allow_missing": ("bronze.sales", "bronze.events")})
    assert build_gold.run(shop.spark, told, monday, frozenset(["gold.customer_value"])).exit_code == 0


def test_counts_left_by_the_scoring_run_are_taken_and_wrong_ones_counted_again(shop: Shop) -> None:
    def judged() -> set[tuple[object, ...]]:
        rows = (
            shop.lake.read_slices("monitoring.drift_metrics", [NIGHTS.last]).where("subject = 'churn'").drop("run_id")
        )
        return set(map(tuple, rows.collect()))

    before = judged()
    _, mark = shop.lake.marks("scores.churn", "score_batch")[NIGHTS.last]
    counts = shop.lake.read_slices("monitoring.drift_counts", [NIGHTS.last]).where("subject = 'churn'")
    is_wrong = (F.col("feature") == "amount_sum_30d") & (F.col("segment") == "all") & (F.col("cell") == 1)
    wrong = counts.withColumn("rows", F.col("rows") + F.when(is_wrong, 7).otherwise(0))
    wrong = wrong.withColumn("run_id", F.lit(mark.run_id)).localCheckpoint()
    left = replace(mark, step="score_batch churn", dates=(NIGHTS.last,))
    shop.lake.replace_slices(wrong, "monitoring.drift_counts", left, also="subject = 'churn'")
    report_drift.run(shop.spark, shop.settings, RunDates.single(NIGHTS.last), frozenset(["churn"]))
    assert judged() == before


def test_every_gate_left_its_decisions(shop: Shop) -> None:
    rows = shop.lake.read("ops.decisions").select("gate", "verdict").distinct().collect()
    found = {(row["gate"], row["verdict"]) for row in rows}
    assert ("promotion", "promote") in found
    assert ("data", "pass") in found
    assert {gate for gate, _ in found} == {
        "data",
        "leakage",
        "pit",
        "promotion",
        "drift",
        "performance",
        "relapse",
    }


def test_every_step_of_the_nights_is_told_as_lineage(shop: Shop) -> None:
    told = [json.loads(line) for line in Path(shop.settings.lineage.file).read_text().splitlines()]
    ends = {(event["job"]["name"], event["run"]["runId"]): event for event in told if event["eventType"] != "START"}
    assert len(told) == 2 * len(ends)
    by_job = {job: event for (job, _), event in ends.items() if event["eventType"] == "COMPLETE"}
    assert {"build_gold.gold.customer_value", "build_features.shop_v1", "score_batch.churn"} <= set(by_job)

    def origins(job: str, table: str, column: str) -> set[tuple[str, str]]:
        [output] = [one for one in by_job[job]["outputs"] if one["name"].endswith(f"/{table}")]
        fields = output["facets"]["columnLineage"]["fields"][column]["inputFields"]
        return {("/".join(one["name"].rsplit("/", 2)[1:]), one["field"]) for one in fields}

    assert origins("build_gold.gold.customer_value", "gold/customer_value", "amount_sum") == {
        ("silver/sales", "amount")
    }
    features = by_job["build_features.shop_v1"]["outputs"][0]["facets"]["columnLineage"]["fields"]
    read = {one["name"].rsplit("/", 2)[-1] for field in features.values() for one in field["inputFields"]}
    assert read
    assert read <= {"sales", "events", "customers", "customer_value"}
    assert {column for _, column in origins("score_batch.churn", "scores/churn", "score")} <= {
        column.name for column in columns_of(shop.lake.read("features.shop_v1"))
    }


def test_a_night_that_is_done_does_nothing_again(shop: Shop) -> None:
    before = shop.lake.versions(["scores.churn", "silver.sales", "features.shop_v1", "monitoring.drift_metrics"])
    again = run_nightly.run(shop.spark, shop.settings, NIGHTS)
    assert again.written == {}
    assert shop.lake.versions(before) == before


def test_a_single_night_gives_the_rows_of_its_range(shop: Shop) -> None:
    def digest() -> dict[str, tuple[int, str]]:
        return digests_of(shop.lake.read("features.shop_v1"), "features.shop_v1")

    as_range = digest()
    build_features.run(shop.spark, shop.settings, RunDates.single(NIGHTS.first))
    assert digest() == as_range


def test_a_published_date_is_scored_with_its_own_version_again(shop: Shop) -> None:
    before = shop.lake.read("scores.churn").select("country", "score", "model_version").exceptAll
    score_batch.run(shop.spark, shop.settings, RunDates.single(NIGHTS.first), frozenset(["churn"]))
    assert before(shop.lake.read("scores.churn").select("country", "score", "model_version")).isEmpty()


def test_training_slices_name_their_content(shop: Shop) -> None:
    notes = shop.outcomes["training set"].notes
    assert any("training.churn of 2024-10-18" in note and "digest" in note for note in notes)
    late = shop.lake.read("training.churn").where(F.col("label_available_at") > F.lit("2024-10-19 00:00:00"))
    assert late.isEmpty()
    assert TRAINED_AT.last in counted(shop, "training.churn")


def test_features_are_proved_by_brute_force_and_a_wrong_one_is_found(shop: Shop) -> None:
    day = RunDates.single(NIGHTS.first)
    proved = verify_pit.run(shop.spark, shop.settings, day, sample=40)
    assert proved.exit_code == 0, proved.refused
    assert "0 of" in proved.notes[0]
    rows = shop.lake.read_slices("features.shop_v1", day)
    number = next(name for name, kind in rows.dtypes if kind == "bigint" and name not in ("run_id",))
    wrong = rows.withColumn(number, F.coalesce(F.col(number), F.lit(0)) + 1).localCheckpoint()
    _, mark = shop.lake.marks("features.shop_v1", "build_features")[NIGHTS.first]
    shop.lake.replace_slices(wrong, "features.shop_v1", replace(mark, step="sabotage", dates=(NIGHTS.first,)))
    try:
        refused = verify_pit.run(shop.spark, shop.settings, day, sample=40)
        assert refused.exit_code == 4
        assert number in refused.refused[1]
    finally:
        build_features.run(shop.spark, shop.settings, day)


def test_a_training_set_is_proved_as_well(shop: Shop) -> None:
    proved = verify_pit.run(shop.spark, shop.settings, TRAINED_AT, frozenset(["training.churn"]), sample=40)
    assert proved.exit_code == 0, proved.refused
    assert proved.notes[0].startswith("training.churn of 2024-10-18: 0 of")


def test_marks_say_what_a_commit_was_made_from(shop: Shop) -> None:
    _, mark = shop.lake.marks("scores.churn", "score_batch")[NIGHTS.last]
    assert mark.inputs["features.shop_v1"] >= 0
    assert mark.notes["model_version"] == "1"
    assert json.loads(mark.to_json())["scorelake"]["run_id"] == mark.run_id


def test_maintenance_changes_no_row(shop: Shop) -> None:
    before = counted(shop, "scores.churn", "score_date")
    outcome = maintain_tables.run(shop.spark, shop.settings, frozenset(["scores.churn", "monitoring.performance"]))
    assert len(outcome.notes) == 2
    assert counted(shop, "scores.churn", "score_date") == before


def test_a_missing_drop_names_the_path_looked_for(shop: Shop, tmp_path: Path) -> None:
    settings = settings_in(tmp_path).model_copy(update={"lake": shop.settings.lake})
    day = RunDates.single(NIGHTS.last)
    outcome = ingest_bronze.run(shop.spark, settings, day, frozenset(["bronze.sales"]))
    assert outcome.exit_code == 3
    assert f"{tmp_path}/landing/sales/2024-10-21/sales.csv" in outcome.missing[0]
    with pytest.raises(MissingInput, match=r"customers\.db is not there"):
        ingest_bronze.run(shop.spark, settings, RunDates.single(YEAR.first), frozenset(["bronze.customers"]))
