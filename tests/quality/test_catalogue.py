"""What `check` says of expectations, without Spark."""

from __future__ import annotations

import pytest

from scorelake.quality.catalogue import classify, refusals, rule_name
from tests.quality.samples import expect

COLUMNS = ["id", "amount", "code"]


def reasons(*expectations):
    return [reason for _, reason in refusals(expectations, COLUMNS)]


@pytest.mark.parametrize(
    ("expectation", "level"),
    [
        (expect("column_values_to_not_be_null", column="id"), "row"),
        (expect("column_values_to_be_unique", column="id"), "row"),
        (expect("column_pair_values_to_be_equal", column_A="id", column_B="amount"), "row"),
        (expect("compound_columns_to_be_unique", column_list=["id", "code"]), "row"),
        (expect("column_values_to_be_of_type", column="id", type_="LongType"), "table"),
        (expect("column_mean_to_be_between", column="amount", min_value=1), "table"),
        (expect("table_row_count_to_be_between", min_value=1), "table"),
    ],
)
def test_row_level_is_what_has_a_spark_condition(expectation, level):
    assert classify(expectation) == level
    assert reasons(expectation) == []


@pytest.mark.parametrize(
    ("expectation", "reason"),
    [
        (expect("colunm_values_to_not_be_null", column="id"), "did you mean 'expect_column_values_to_not_be_null'?"),
        (expect("column_values_to_be_increasing", column="id"), "no order in Spark"),
        (expect("column_values_to_be_decreasing", column="id"), "no order in Spark"),
        (expect("column_values_to_match_like_pattern", column="code", like_pattern="a%"), "match_regex"),
        (expect("column_values_to_not_match_like_pattern", column="code", like_pattern="a%"), "match_regex"),
        (expect("column_values_to_match_like_pattern_list", column="code", like_pattern_list=["a%"]), "match_regex"),
        (expect("column_values_to_be_dateutil_parseable", column="code"), "declare the column as DATE"),
        (expect("column_values_to_be_in_set", column="code", value_set=["a", None]), "null in value_set"),
        (expect("table_row_count_to_equal_other_table", other_table_name="t"), "reads another table"),
        (expect("table_row_count_to_equal", "quarantine", value=1), "not quarantine"),
        (expect("column_values_to_be_of_type", "quarantine", column="id", type_="LongType"), "not quarantine"),
        (expect("column_values_to_be_between", column="amuont", min_value=1), "did you mean 'amount'?"),
        (expect("column_pair_values_to_be_equal", column_A="id", column_B="b"), "no column 'b'"),
        (expect("compound_columns_to_be_unique", column_list=["id", "b"]), "no column 'b'"),
        (expect("column_values_to_be_between", column="amount", minimum=1), "minimum: extra fields"),
        (expect("column_values_to_be_in_set", column="code"), "value_set: field required"),
        (expect("column_values_to_not_be_null", column="id", mostly=2), "mostly"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name_with_the_way_out(expectation, reason):
    found = reasons(expectation)
    assert len(found) == 1
    assert reason in found[0]
    assert expectation.type in found[0]


def test_two_expectations_of_one_name_must_be_told_apart():
    nulls = expect("column_values_to_not_be_null", column="id")
    named = expect("column_values_to_not_be_null", column="id", meta={"name": "id is there"})
    assert [at for at, _ in refusals([nulls, named, nulls], COLUMNS)] == [2]
    assert rule_name(named) == "id is there"
