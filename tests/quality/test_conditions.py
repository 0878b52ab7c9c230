"""Counts of the gate's single scan equal those of Great Expectations, expectation by expectation, slice by slice."""

from __future__ import annotations

import pytest

from scorelake.quality.gate import Subject, prepare
from scorelake.quality.verdicts import Result
from scorelake.tables import SLICE_COLUMN
from tests.quality.samples import COLUMNS, FIRST, SECOND, expect

COLUMN = [
    expect("column_values_to_be_between", column="amount", min_value=0, max_value=100),
    expect("column_values_to_be_between", column="price", min_value=0, strict_min=True),
    expect("column_values_to_be_between", column="at", min_value="2024-01-02", max_value="2024-12-31"),
    expect("column_values_to_be_in_set", column="code", value_set=["a1", "c"]),
    expect("column_values_to_be_in_set", column="id", value_set=[1, 2, 5]),
    expect("column_values_to_not_be_in_set", column="code", value_set=["b2"]),
    expect("column_values_to_be_null", column="at"),
    expect("column_values_to_not_be_null", column="id"),
    expect("column_values_to_not_be_null", column="id", mostly=0.75),
    expect("column_values_to_not_be_null", column="id", mostly=0.5),
    expect("column_value_lengths_to_be_between", column="code", min_value=2, max_value=2),
    expect("column_value_lengths_to_equal", column="code", value=2),
    expect("column_value_z_scores_to_be_less_than", column="price", threshold=1.0, double_sided=True),
    expect("column_value_z_scores_to_be_less_than", column="id", threshold=0.1, double_sided=False),
    expect("column_values_to_not_be_outliers", column="price", method="iqr", multiplier=0.5),
    expect("column_values_to_not_be_outliers", column="id", method="std", multiplier=0.5),
    expect("column_values_to_match_regex", column="code", regex="^[ab]"),
    expect("column_values_to_not_match_regex", column="code", regex="[0-9]$"),
    expect("column_values_to_match_regex_list", column="code", regex_list=["^a", "2$"], match_on="any"),
    expect("column_values_to_match_regex_list", column="code", regex_list=["^a", "1$"], match_on="all"),
    expect("column_values_to_not_match_regex_list", column="code", regex_list=["^a", "2$"]),
    expect("column_values_to_match_strftime_format", column="note", strftime_format="%Y-%m-%d"),
    expect("column_values_to_be_json_parseable", column="note"),
    expect(
        "column_values_to_match_json_schema", column="payload", json_schema={"properties": {"k": {"type": "number"}}}
    ),
    expect("column_values_to_be_unique", column="code"),
    expect("column_values_to_be_unique", column="amount"),
    expect("column_values_to_be_unique", column="id", mostly=0.5),
]
PAIRS = [
    expect("column_pair_values_to_be_equal", column_A="price", column_B="other", ignore_row_if=ignored)
    for ignored in ("both_values_are_missing", "either_value_is_missing", "neither")
] + [
    expect("column_pair_values_to_be_in_set", column_A="code", column_B="id", value_pairs_set=[("a1", 1), ("b2", 2)]),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="price", column_B="other"),
    expect("column_pair_values_a_to_be_greater_than_b", column_A="price", column_B="other", or_equal=True, mostly=0.5),
]
SEVERAL = [
    expect("multicolumn_sum_to_equal", column_list=["price", "other"], sum_total=3),
    expect("multicolumn_sum_to_equal", column_list=["price", "other"], sum_total=3, ignore_row_if="never"),
    expect("multicolumn_values_to_be_equal", column_list=["price", "other"]),
    expect("select_column_values_to_be_unique_within_record", column_list=["price", "other"]),
    expect(
        "select_column_values_to_be_unique_within_record",
        column_list=["price", "other"],
        ignore_row_if="any_value_is_missing",
    ),
    expect("compound_columns_to_be_unique", column_list=["id", "code"]),
    expect("compound_columns_to_be_unique", column_list=["id", "at"], ignore_row_if="never"),
    expect("compound_columns_to_be_unique", column_list=["id", "code"], ignore_row_if="any_value_is_missing"),
]
CONDITIONS = [
    {"row_condition": "id > 1 OR id IS NULL", "condition_parser": "spark"},
    {"row_condition": 'col("code")=="b2"', "condition_parser": "great_expectations"},
    {"row_condition": {"type": "comparison", "column": {"name": "code"}, "operator": "==", "parameter": "b2"}},
    {"row_condition": {"type": "nullity", "column": {"name": "at"}, "is_null": False}},
]
CONDITIONED = [
    expect(kind, **kwargs, **condition)
    for condition in CONDITIONS
    for kind, kwargs in (
        ("column_values_to_not_be_null", {"column": "id"}),
        ("column_values_to_be_unique", {"column": "id"}),
        ("column_values_to_be_between", {"column": "amount", "min_value": 2}),
        ("compound_columns_to_be_unique", {"column_list": ["id", "code"]}),
        ("column_pair_values_to_be_equal", {"column_A": "price", "column_B": "other"}),
        ("column_value_z_scores_to_be_less_than", {"column": "price", "threshold": 0.8, "double_sided": True}),
    )
]
TABLE = [
    expect("table_row_count_to_be_between", min_value=8, max_value=9),
    expect("table_row_count_to_equal", value=8),
    expect("table_column_count_to_equal", value=len(COLUMNS)),
    expect("table_column_count_to_be_between", min_value=20),
    expect("table_columns_to_match_set", column_set=list(COLUMNS)),
    expect("table_columns_to_match_ordered_list", column_list=list(reversed(COLUMNS))),
    expect("column_to_exist", column="code"),
    expect("column_values_to_be_of_type", column="id", type_="LongType"),
    expect("column_values_to_be_in_type_list", column="code", type_list=["LongType", "DoubleType"]),
    expect("column_min_to_be_between", column="price", min_value=0),
    expect("column_max_to_be_between", column="price", max_value=9),
    expect("column_max_to_be_between", column="at", max_value="2024-01-01T13:00:00"),
    expect("column_mean_to_be_between", column="price", min_value=3, max_value=4),
    expect("column_median_to_be_between", column="price", min_value=2, max_value=4),
    expect("column_sum_to_be_between", column="price", min_value=22),
    expect("column_stdev_to_be_between", column="price", max_value=4),
    expect("column_unique_value_count_to_be_between", column="code", max_value=4),
    expect("column_proportion_of_unique_values_to_be_between", column="code", max_value=0.6),
    expect("column_proportion_of_non_null_values_to_be_between", column="at", min_value=0.7),
    expect("column_distinct_values_to_be_in_set", column="code", value_set=["a1", "b2"]),
    expect("column_distinct_values_to_contain_set", column="code", value_set=["a1", "b2"]),
    expect("column_distinct_values_to_equal_set", column="code", value_set=["a1", "b2", "c", "é🙂"]),
    expect("column_most_common_value_to_be_in_set", column="code", value_set=["b2"]),
    expect(
        "column_quantile_values_to_be_between",
        column="id",
        quantile_ranges={"quantiles": [0.1, 0.5], "value_ranges": [[0, 2], [2, 4]]},
    ),
    expect("column_mean_to_be_between", column="price", min_value=3, row_condition="id > 1", condition_parser="spark"),
]


def _counts(result: Result) -> tuple[object, ...]:
    return result.success, result.rows, result.unexpected


def _counts_of_gx(found) -> tuple[object, ...]:
    return found.success, found.result["element_count"], found.result["unexpected_count"]


def _without_lists(result: dict[str, object]) -> dict[str, object]:
    """Without GX's samples of values, of which the gate keeps none."""
    return {key: value for key, value in result.items() if not key.startswith("partial_")}


def _named(expectations):
    return [each.model_copy(update={"meta": {"name": str(n)}}) for n, each in enumerate(expectations)]


def _judged(deliveries, expectations):
    gate = prepare(deliveries, Subject("silver.t", COLUMNS), expectations, [], (FIRST, SECOND))
    return gate.verdicts(gate.judge(deliveries), due=[])


@pytest.fixture(scope="module")
def slice_of(deliveries):
    columns = [f"`{name.replace('`', '``')}`" for name in COLUMNS]
    return lambda day: deliveries.where(deliveries[SLICE_COLUMN] == day).select(columns)


def test_row_level_counts_and_success_are_those_of_gx_in_every_slice(deliveries, slice_of, by_gx):
    expectations = _named(COLUMN + PAIRS + SEVERAL + CONDITIONED)
    for verdict in _judged(deliveries, expectations):
        found = by_gx(slice_of(verdict.run_date), expectations)
        for ours, theirs, expectation in zip(verdict.results, found, expectations, strict=True):
            assert _counts(ours) == _counts_of_gx(theirs), (verdict.run_date, expectation, theirs.exception_info)


def test_table_level_results_are_those_of_gx_in_every_slice(deliveries, slice_of, by_gx):
    expectations = _named(TABLE)
    for verdict in _judged(deliveries, expectations):
        found = by_gx(slice_of(verdict.run_date), expectations)
        for ours, theirs, expectation in zip(verdict.results, found, expectations, strict=True):
            plain = theirs.to_json_dict()
            result = _without_lists(plain["result"])
            assert (ours.success, _without_lists(ours.gx["result"])) == (plain["success"], result), expectation


def test_an_expectation_class_of_the_team_is_judged_as_gx_does(deliveries, slice_of, by_gx):
    from tests.quality import custom_expectations  # noqa: F401  importing registers it

    expectations = _named(
        [
            expect("column_values_to_be_even", column="id"),
            expect("column_values_to_be_above_average", column="price", mostly=0.4),
        ]
    )
    for verdict in _judged(deliveries, expectations):
        found = by_gx(slice_of(verdict.run_date), expectations)
        assert [_counts(ours) for ours in verdict.results] == [_counts_of_gx(theirs) for theirs in found]
        assert [ours.unexpected for ours in verdict.results] > [0, 0]
