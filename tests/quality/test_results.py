"""Results as Great Expectations' own objects and page; values of personal columns stand nowhere."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from pyspark.sql import functions as F

from scorelake.quality.gate import Subject, prepare
from scorelake.quality.results import page, validation_result
from scorelake.quality.rules import implied
from tests.quality.samples import COLUMNS, FIRST, expect

EXPECTATIONS = [
    expect("column_values_to_not_be_null", "fail", column="id", mostly=0.9),
    expect("column_values_to_match_regex", "quarantine", column="note", regex="^2024"),
    expect("column_values_to_be_unique", "warn", column="note"),
    expect("column_most_common_value_to_be_in_set", "warn", column="note", value_set=["never"]),
    expect("column_distinct_values_to_be_in_set", "warn", column="note", value_set=["never"]),
    expect("column_max_to_be_between", "warn", column="price", max_value=1),
    expect("table_row_count_to_equal", "warn", value=8),
]


@pytest.fixture(scope="module")
def verdict(deliveries):
    subject = Subject("silver.t", COLUMNS, personal=frozenset({"note"}))
    gate = prepare(deliveries, subject, EXPECTATIONS, [implied("malformed", F.lit(False))], [FIRST])
    [verdict] = gate.verdicts(gate.judge(deliveries), due=[FIRST])
    return verdict


def test_the_suite_result_holds_every_expectation_with_its_counts(verdict):
    validation = validation_result(verdict, run_id="run-1", judged_at=datetime(2024, 1, 2))
    assert validation.success is False
    assert validation.statistics["evaluated_expectations"] == len(EXPECTATIONS)
    by_type = {each.expectation_config.type: each for each in validation.results}
    nulls = by_type["expect_column_values_to_not_be_null"]
    assert (nulls.success, nulls.result["element_count"], nulls.result["unexpected_count"]) == (False, 8, 2)
    assert nulls.expectation_config.severity == "critical"
    assert json.loads(json.dumps(validation.to_json_dict()))["suite_name"] == "silver.t"


def test_values_of_personal_columns_are_in_no_result_decision_or_page(verdict):
    validation = validation_result(verdict, run_id="run-1", judged_at=datetime(2024, 1, 2))
    html = page(validation)
    decisions = " ".join(map(str, verdict.decisions()))
    for text in (html, json.dumps(validation.to_json_dict()), decisions, str(verdict)):
        for value in ("no date", "2024-02-30", "2024-12-31", "xxxxxxxx"):
            assert value not in text
    assert "silver.t" in html
    assert "9" in {str(result.observed) for result in verdict.results} or "9.0" in decisions
