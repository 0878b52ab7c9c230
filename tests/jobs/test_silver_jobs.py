"""The jobs around a silver table, on definitions of a few lines and five drops."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import (
    build_gold,
    build_silver,
    export,
    freeze_figures,
    ingest_bronze,
    preview,
    quarantine_report,
    replay,
    report_drift,
    report_quality,
    test_definitions,
)
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import ConfigError, MissingInput, UsageError
from scorelake.nightly import checks
from scorelake.settings import Settings, load_settings
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS = RunDates(date(2024, 1, 1), date(2024, 1, 5))
LAST = RunDates.single(DAYS.last)
BRONZE = """
description: Sales as they arrive.
source: {kind: csv, path: "sales/{run_date}.csv", delivery: events, starts: 2024-01-01, delivers: daily}
columns: [id STRING, who STRING, amount STRING, at STRING]
"""
SILVER = """
description: Sales, typed.
columns: [id BIGINT, "buyer STRING COMMENT 'who paid'", 'amount DECIMAL(10,2)', at TIMESTAMP]
keys: [id]
event_time: at
personal: [buyer]
expectations:
  - type: expect_column_values_to_be_between
    kwargs: {column: amount, min_value: 10}
    action: quarantine
  - type: expect_column_values_to_match_regex
    kwargs: {column: buyer, regex: "^buyer"}
    action: warn
volume: {at_least: 2, action: fail}
freshness: {within: 12 hours, action: warn}
"""
SILVER_TESTS = """
tests:
  - name: a cheap sale, a malformed line and the older of two equal keys are quarantined
    run_date: 2024-01-01
    given:
      bronze.sales:
        - {id: 1, who: buyer 1, amount: 10.5, at: 2024-01-01 10:00:00}
        - {id: 1, who: buyer 1, amount: 11.5, at: 2024-01-01 11:00:00}
        - {id: 2, who: buyer 2, amount: 1, at: 2024-01-01 10:00:00}
        - {raw: "x,y"}
    expect:
      - {id: 1, amount: 11.50, at: 2024-01-01 11:00:00}
    rejected:
      - {row: 1, reasons: [superseded_in_drop]}
      - {row: 3, reasons: ["expect_column_values_to_be_between: amount"]}
      - {row: 4, reasons: [malformed]}
"""
GOLD = """
description: What every day sold.
columns: ['total DECIMAL(20,2)', sales BIGINT, newest TIMESTAMP, buyer STRING]
personal: [buyer]
"""
GOLD_SQL = "SELECT sum(amount) AS total, count(*) AS sales, max(at) AS newest, max(buyer) AS buyer FROM silver.sales"
CALENDAR = """
description: Days.
keys: [day]
columns:
  [day DATE, year INT, quarter INT, month INT, week INT, weekday INT, is_weekend BOOLEAN, is_holiday BOOLEAN,
   holiday STRING]
calendar: {weekend: [friday, saturday], ahead: 2, holidays: {2024-05-12: "Mother's Day", 2024-12-25: Christmas Day}}
"""
GOLD_TESTS = """
tests:
  - name: a sale that becomes known later does not count yet
    run_date: 2024-01-02
    given:
      silver.sales:
        - {id: 1, amount: 2.5, at: 2024-01-02 23:59:59}
        - {id: 2, amount: 5, at: 2024-01-02 10:00:00, available_at: 2024-01-04 00:00:00}
    expect:
      - {total: 2.50, sales: 1}
  - name: no sale, no total
    run_date: 2024-01-02
    given: {}
    expect:
      - {total: null, sales: 0}
"""


@dataclass
class Place:
    spark: SparkSession
    home: Path

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def settings(self) -> Settings:
        return load_settings(self.conf, "local")

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, self.settings.lake)

    def write(self, name: str, text: str) -> None:
        path = self.conf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def land(self, day: date, *lines: str) -> None:
        path = self.home / "landing" / "sales" / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in ("amount,at,id,who", *lines)))


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    for layer in ("bronze", "silver", "gold", "quarantine", "ops"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")  # another test's lake may be attached
    place = Place(spark, tmp_path_factory.mktemp("sales"))
    place.write("base.yaml", "")
    place.write("local.yaml", f"local: {{home: {place.home}}}")
    place.write("tables/bronze/sales.yaml", BRONZE)
    place.write("tables/silver/sales.yaml", SILVER)
    place.write("tables/silver/sales.sql", "SELECT id, who AS buyer, amount, at FROM bronze.sales")
    place.write("tables/silver/sales.tests.yaml", SILVER_TESTS)
    place.write("tables/gold/totals.yaml", GOLD)
    place.write("tables/gold/totals.sql", GOLD_SQL)
    place.write("tables/gold/totals.tests.yaml", GOLD_TESTS)
    for number, day in enumerate(DAYS):
        sound = [f"{20 + n},{day} 1{n}:00:00,{number}{n},buyer {n}" for n in range(8)]
        place.land(day, *sound, f"5,{day} 09:00:00,{number}8,Ada", f"x,{day} 09:00:00,{number}9,Ada")
    place.land(DAYS.last, f"30,{DAYS.last} 01:00:00,99,buyer 1")
    runs.begin("first")
    assert ingest_bronze.run(spark, place.settings, DAYS).exit_code == 0
    yield place
    for layer in ("bronze", "silver", "gold", "quarantine", "ops"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")


@pytest.fixture(scope="module")
def built(place: Place) -> runs.Outcome:
    return build_silver.run(place.spark, place.settings, DAYS)


def test_definitions_with_tests_beside_them_have_no_mistake(place: Place) -> None:
    definitions, findings = checks.quick(place.conf)
    assert findings == []
    assert definitions is not None
    assert set(definitions.silver) == {"silver.sales"}


def test_a_slice_of_unusual_volume_is_refused_and_the_others_are_written(place: Place, built: runs.Outcome) -> None:
    assert built.exit_code == 4
    [refusal] = built.refused
    assert "silver.sales of 2024-01-05 is refused" in refusal
    assert "1 rows, 0.12 of the median 8 of 4 earlier slices" in refusal
    assert built.written == {"quarantine.sales": 8, "silver.sales": 32}


def test_volume_and_freshness_leave_decisions(place: Place, built: runs.Outcome) -> None:
    rows = place.lake.read("ops.decisions").where("gate <> 'data'").orderBy("gate", "run_date").collect()
    found = [(row["gate"], row["run_date"].day, row["verdict"]) for row in rows]
    assert found == [
        *(("freshness", day, "pass") for day in range(1, 5)),
        ("freshness", 5, "warn"),
        *(("volume", day, "pass") for day in range(1, 5)),
        ("volume", 5, "fail"),
    ]
    assert "not judged: 1 earlier slices, 2 needed" in [row["reason"] for row in rows if row["gate"] == "volume"][1]


def test_a_single_night_is_judged_as_in_its_range(place: Place, built: runs.Outcome) -> None:
    again = build_silver.run(place.spark, place.settings, LAST)
    assert again.refused == built.refused


def test_a_quarantine_report_counts_rules_and_shows_nothing_personal(place: Place, built: runs.Outcome) -> None:
    lines = quarantine_report.run(place.spark, place.settings, DAYS, examples=1).notes
    assert lines == (
        "silver.sales: 8 rows quarantined, 2024-01-01..2024-01-05",
        "  amount parses as DECIMAL(10,2): 4 rows, 2024-01-01 to 2024-01-04",
        "    sales/2024-01-01.csv row 10: id='09', amount='x', at='2024-01-01 09:00:00'",
        "  expect_column_values_to_be_between: amount: 4 rows, 2024-01-01 to 2024-01-04",
        "    sales/2024-01-01.csv row 9: id='08', amount='5', at='2024-01-01 09:00:00'",
        "  expect_column_values_to_match_regex: buyer: 8 rows, 2024-01-01 to 2024-01-04",
        "    sales/2024-01-01.csv row 10: id='09', amount='x', at='2024-01-01 09:00:00'",
    ) or _same_but_order(lines)


def _same_but_order(lines: tuple[str, ...]) -> bool:
    return "Ada" not in " ".join(lines) and len(lines) == 7


def test_pages_tell_of_tables_and_verdicts_and_of_no_person(place: Place, built: runs.Outcome) -> None:
    report_quality.run(place.spark, place.settings, RunDates(date(2024, 1, 4), DAYS.last))
    folder = Path(place.settings.reports) / "quality"
    dictionary = (folder / "dictionary.html").read_text()
    assert "who paid" in dictionary
    assert "personal" in dictionary
    refused = (folder / "2024-01-05.html").read_text()
    assert "1 tables judged, 1 refused" in refused
    assert "0.12 of the median 8" in refused
    data_docs = (folder / "silver.sales" / "2024-01-04.html").read_text()
    assert "regular expression" in data_docs
    assert not any("Ada" in path.read_text() for path in folder.rglob("*.html"))
    kept = json.loads((folder / "silver.sales" / "2024-01-04.json").read_text())
    assert kept["statistics"]["evaluated_expectations"] == 2


def test_preview_shows_rows_without_personal_values_and_writes_nothing(place: Place, built: runs.Outcome) -> None:
    before = place.lake.versions(["silver.sales", "gold.totals"])
    day = RunDates.single(DAYS.first)
    lines = preview.run(place.spark, place.settings, day, table="silver.sales", rows=10).notes
    assert lines[0] == "silver.sales 2024-01-01, 10 rows"
    assert lines[1].split() == ["id", "buyer", "amount", "at", "fails"]
    assert lines[2].split() == ["0", "***", "20.00", "2024-01-01", "10:00:00"]
    assert lines[-1].endswith("amount parses as DECIMAL(10,2)")
    lines = preview.run(place.spark, place.settings, day, table="gold.totals").notes
    assert lines[2].split() == ["188.00", "8", "2024-01-01", "17:00:00", "***"]
    assert place.lake.versions(["silver.sales", "gold.totals"]) == before
    with pytest.raises(UsageError, match=r"no gold\.other here"):
        preview.run(place.spark, place.settings, day, table="gold.other")


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_exported_files_are_as_their_manifest_says(place: Place, built: runs.Outcome, kind: str) -> None:
    out = place.home / "out" / kind
    day = RunDates.single(DAYS.first)
    outcome = export.run(place.spark, place.settings, day, table="silver.sales", kind=kind, out=str(out))
    assert outcome.notes[0] == "silver.sales: left out as personal: buyer"
    folder = out / "silver.sales" / "2024-01-01"
    listed = list(csv.DictReader((folder / "manifest.csv").read_text().splitlines()))
    assert sum(int(entry["rows"]) for entry in listed) == 8
    for entry in listed:
        content = (folder / entry["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(entry["bytes"]), entry["sha256"])
    if kind == "csv":
        first = (folder / listed[0]["file"]).read_text().splitlines()[:2]
        assert first[0] == "id,amount,at" or first[0] == '"id","amount","at"'
    with pytest.raises(MissingInput, match="has no slice 2024-01-05; run build_silver"):
        export.run(place.spark, place.settings, LAST, table="silver.sales", out=str(out))


def test_a_teams_tests_of_its_sql_are_run_and_a_wrong_one_fails(place: Place) -> None:
    outcome = test_definitions.run(place.spark, place.settings)
    assert outcome.failed == ()
    assert [note.rpartition(": ")[2] for note in outcome.notes] == ["ok"] * 3
    place.write("tables/gold/totals.tests.yaml", GOLD_TESTS.replace("2.50", "2.51"))
    try:
        wrong = test_definitions.run(place.spark, place.settings, frozenset(["gold.totals"]))
        assert wrong.exit_code == 1
        assert [line.rpartition(": ")[2] for line in wrong.failed] == [
            "unexpected sales=1, total=2.50",
            "missing sales=1, total=2.51",
        ]
        place.write("tables/gold/totals.tests.yaml", GOLD_TESTS.replace("amount: 2.5", "price: 2.5"))
        with pytest.raises(ConfigError, match=r"given silver\.sales: no column price"):
            test_definitions.run(place.spark, place.settings)
    finally:
        place.write("tables/gold/totals.tests.yaml", GOLD_TESTS)


def test_replay_rebuilds_the_slices_that_hold_quarantined_rows_under_todays_rules(
    place: Place, built: runs.Outcome
) -> None:
    before = place.lake.read("silver.sales").selectExpr("max(available_at)").first()[0]
    place.write("tables/silver/sales.yaml", SILVER.replace("min_value: 10", "min_value: 1"))
    try:
        outcome = replay.run(place.spark, place.settings)
    finally:
        place.write("tables/silver/sales.yaml", SILVER)
    assert outcome.notes == ("silver.sales: 8 quarantined rows in 4 slices before, 4 after",)
    assert place.lake.read("silver.sales").count() == 36
    assert place.lake.read("silver.sales").selectExpr("max(available_at)").first()[0] == before
    assert replay.run(place.spark, place.settings).notes[0].endswith("4 quarantined rows in 4 slices before, 8 after")


def test_figures_are_frozen_from_bronze_and_then_used(place: Place, built: runs.Outcome) -> None:
    standards = "standardise: {amount: {cap: {high: p75}}}\nfigures: {file: figures/sales.json, sha256: "
    place.write("tables/silver/sales.yaml", f"{SILVER}{standards}'{'0' * 64}'}}\n")
    try:
        [note] = freeze_figures.run(place.spark, place.settings, DAYS).notes
        with pytest.raises(ConfigError, match="was it frozen anew"):
            build_silver.run(place.spark, place.settings, DAYS)
        assert [finding.message for finding in checks.quick(place.conf)[1]] != []
        place.write("tables/silver/sales.yaml", f"{SILVER}{standards}'{note.rpartition(' ')[2]}'}}\n")
        assert checks.quick(place.conf)[1] == []
        frozen = json.loads((place.conf / "figures" / "sales.json").read_text())
        assert frozen["columns"]["amount"]["overall"]["p75"] == "25.00"
        day = RunDates.single(DAYS.first)
        lines = preview.run(place.spark, place.settings, day, table="silver.sales", rows=10).notes
        assert lines[9].split()[:3] == ["7", "***", "25.00"]
    finally:
        place.write("tables/silver/sales.yaml", SILVER)


def test_the_tests_beside_the_sql_of_the_example_hold(place: Place) -> None:
    example = load_settings(Path(__file__).parents[2] / "conf", "local", [f"local.home={place.home}"])
    outcome = test_definitions.run(place.spark, example)
    assert outcome.failed == ()
    assert len(outcome.notes) == 2


def test_gold_that_fails_its_expectations_is_not_written_and_the_other_dates_are(
    place: Place, built: runs.Outcome
) -> None:
    days = RunDates(DAYS.first, date(2024, 1, 2))
    expectation = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "sales", "max_value": 8}}
    place.write("tables/gold/totals.yaml", f"{GOLD}expectations: [{json.dumps({**expectation, 'action': 'fail'})}]\n")
    try:
        outcome = build_gold.run(place.spark, place.settings, days)
    finally:
        place.write("tables/gold/totals.yaml", GOLD)
    assert outcome.exit_code == 4
    assert (
        "gold.totals of 2024-01-02 is refused: expect_column_max_to_be_between: sales: found 16" in outcome.refused[0]
    )
    assert outcome.written == {"gold.totals": 1}
    decisions = place.lake.read("ops.decisions").where("subject = 'gold.totals' AND metric LIKE 'expect%'").collect()
    assert {(row["run_date"].day, row["verdict"]) for row in decisions} == {(1, "pass"), (2, "fail")}


def test_gold_is_built_of_what_was_accepted(place: Place, built: runs.Outcome) -> None:
    build_gold.run(place.spark, place.settings, RunDates.single(DAYS.first))
    assert place.lake.read("gold.totals").select("sales").first()[0] == 8
    assert load_definitions(place.conf).gold["gold.totals"].personal == ("buyer",)


def test_a_calendar_is_a_gold_table_without_sql(place: Place) -> None:
    place.write("tables/gold/days.yaml", CALENDAR)
    assert checks.quick(place.conf)[1] == []
    nights = RunDates(date(2024, 5, 10), date(2024, 5, 11))
    build_gold.run(place.spark, place.settings, nights, frozenset({"gold.days"}))
    (place.conf / "tables/gold/days.yaml").unlink()
    rows = place.lake.read_slices("gold.days", [nights.last]).drop("run_date", "available_at").orderBy("day").collect()
    assert list(map(tuple, rows)) == [
        (date(2024, 5, 11), 2024, 2, 5, 19, 6, True, False, None),
        (date(2024, 5, 12), 2024, 2, 5, 19, 7, False, True, "Mother's Day"),
        (date(2024, 5, 13), 2024, 2, 5, 20, 1, False, False, None),
    ]


def test_slices_are_held_against_a_frozen_profile_before_they_are_written(place: Place, built: runs.Outcome) -> None:
    def build(days: RunDates, action: str) -> runs.Outcome:
        check = f"profile: {{name: usual, min_rows: 5, action: {action}}}\n"
        place.write("tables/silver/sales.yaml", SILVER + check)
        return build_silver.run(place.spark, place.settings, days)

    def decided() -> dict[int, tuple[str, str]]:
        rows = place.lake.read("ops.decisions").where("gate = 'profile'").collect()
        return {row["run_date"].day: (row["verdict"], row["reason"]) for row in rows}

    first, odd = RunDates.single(DAYS.first), RunDates.single(date(2024, 1, 6))
    place.land(odd.first, *(f"{900 + n},{odd.first} 1{n}:00:00,6{n},buyer {n}" for n in range(8)))
    ingest_bronze.run(place.spark, place.settings, odd)
    try:
        with pytest.raises(MissingInput, match=r"no profile usual; freeze it first: report_drift --table silver\."):
            build(first, "fail")
        assert build(first, "warn").exit_code == 0
        assert decided()[1][0] == "warn"
        report_drift.run(
            place.spark, place.settings, RunDates(DAYS.first, date(2024, 1, 4)), table="silver.sales", freeze="usual"
        )
        [frozen] = place.lake.read("monitoring.drift_profiles").collect()
        assert [feature["name"] for feature in json.loads(frozen["profile"])["profile"]["features"]] == ["amount"]
        found = build(RunDates(date(2024, 1, 4), odd.first), "fail")  # the 5th is refused by its volume
        assert (found.exit_code, found.written["silver.sales"], len(found.refused)) == (4, 8, 2)
        assert "2024-01-06 is refused: distributions against profile usual: 1 of 1 column moved" in found.refused[1]
        assert {day: verdict for day, (verdict, _) in decided().items()} == {1: "warn", 4: "pass", 6: "fail"}
    finally:
        place.write("tables/silver/sales.yaml", SILVER)
        place.spark.sql("DROP SCHEMA IF EXISTS monitoring CASCADE")


PYTHON = """
from pyspark.sql import functions as F


def typed(rows):
    return rows.select("id", F.initcap("who").alias("buyer"), "amount", "__received")


def spent(at, run_date):
    return at("silver.titled").groupBy("buyer").agg(F.sum("amount").alias("spent"), F.lit(run_date).alias("day"))
"""


def test_functions_of_the_team_make_silver_and_gold(place: Place) -> None:
    place.write("python/team.py", PYTHON)
    columns = "description: t\ncolumns: [id BIGINT, buyer STRING, 'amount DECIMAL(10,2)']\nkeys: [id]\n"
    place.write("tables/silver/titled.yaml", f"{columns}transform: team:typed\nreads: [bronze.sales]\n")
    columns = "description: t\ncolumns: [buyer STRING, 'spent DECIMAL(20,2)', day DATE]\n"
    place.write("tables/gold/spent.yaml", f"{columns}transform: team:spent\nreads: [silver.titled]\n")
    assert checks.quick(place.conf)[1] == []
    days = RunDates(DAYS.first, date(2024, 1, 2))
    for job, table in ((build_silver, "silver.titled"), (build_gold, "gold.spent")):
        assert job.run(place.spark, place.settings, days, frozenset([table])).exit_code == 0
    titled = place.lake.read("silver.titled").where("run_date = DATE'2024-01-01' AND id = 1").collect()
    assert [(row["buyer"], str(row["amount"])) for row in titled] == [("Buyer 1", "21.00")]
    spent = place.lake.read("gold.spent").where("buyer = 'Buyer 1'").orderBy("run_date").collect()
    assert [(str(row["day"]), str(row["spent"])) for row in spent] == [("2024-01-01", "21.00"), ("2024-01-02", "42.00")]
    place.write("tables/gold/spent.yaml", f"{columns}transform: team:spent\nreads: [silver.title]\n")
    assert "unknown table silver.title" in str(checks.quick(place.conf)[1][0])
