"""Every row that enters the gate leaves it once: accepted, or quarantined with the names of the rules it failed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from scorelake.errors import ExpectationRaised
from scorelake.quality.gate import PLACE, Subject, prepare
from scorelake.quality.rules import Rule, implied
from tests.quality.samples import COLUMNS, DAYS, EMPTY, FIRST, ODD, SECOND, expect

SILVER = (*COLUMNS, *PLACE)


def run(frame, expectations, rules=(), *, stage, dates=DAYS, due=(), **limits):
    """Verdicts by date, accepted and quarantined rows."""
    gate = prepare(frame, Subject("silver.t", COLUMNS, **limits), expectations, list(rules), dates, kept=SILVER)
    staged = gate.staged(frame, stage)
    verdicts = gate.verdicts(staged, due)
    accepted = gate.accepted(staged, verdicts, SILVER)
    quarantined = gate.quarantined(staged, verdicts, frame.select(*PLACE, "code"))
    return {verdict.run_date: verdict for verdict in verdicts}, accepted, quarantined


@pytest.fixture
def stage(tmp_path):
    """Materialise as a job does: a Parquet folder."""
    numbers = iter(range(1000))

    def write(frame):
        place = str(tmp_path / str(next(numbers)))
        frame.write.parquet(place)
        return frame.sparkSession.read.schema(frame.schema).parquet(place)

    return write


def places(frame):
    return Counter((row["run_date"], row["source_row"]) for row in frame.select(*PLACE).collect())


def reasons(quarantined, day):
    rows = quarantined.where(F.col("run_date") == F.lit(day)).collect()
    return {row["source_row"]: row["reasons"] for row in rows}


def test_a_quarantined_row_leaves_with_the_names_of_all_rules_that_it_failed(deliveries, stage):
    expectations = [
        expect("column_values_to_not_be_null", "quarantine", column="id"),
        expect("column_values_to_match_regex", "quarantine", column="code", regex="^[a-c]"),
        expect("column_values_to_not_be_null", "warn", column="at"),
        expect("column_values_to_be_between", "warn", column="amount", min_value=0),
    ]
    verdicts, accepted, quarantined = run(deliveries, expectations, stage=stage)
    assert reasons(quarantined, FIRST) == {
        4: ["expect_column_values_to_not_be_null: id"],
        5: ["expect_column_values_to_not_be_null: id"],
        7: ["expect_column_values_to_match_regex: code"],
    }
    assert (verdicts[FIRST].rows, verdicts[FIRST].quarantined, verdicts[FIRST].accepted) == (8, 3, 5)
    assert accepted.where(F.col("run_date") == F.lit(FIRST)).count() == 5


def test_a_warning_that_a_quarantined_row_failed_too_stands_among_its_reasons(deliveries, stage):
    expectations = [
        expect("column_values_to_match_regex", "quarantine", column="code", regex="^[^a]"),
        expect("column_values_to_not_be_null", "warn", column="at"),
    ]
    _, _, quarantined = run(deliveries, expectations, stage=stage)
    assert reasons(quarantined, FIRST)[6] == [
        "expect_column_values_to_match_regex: code",
        "expect_column_values_to_not_be_null: at",
    ]


def test_quarantine_keeps_the_row_as_received(deliveries, stage):
    rules = [implied("malformed", F.col("code") == "c", settles=True)]
    _, _, quarantined = run(deliveries, [], rules, stage=stage)
    assert quarantined.columns == ["run_date", "source_file", "source_row", "code", "reasons"]
    assert {row["code"] for row in quarantined.collect()} == {"c"}


def test_rows_settled_by_the_engine_are_not_judged_by_expectations(deliveries, stage):
    losers = implied("superseded_in_drop", (F.col("code") == "b2") & (F.col("source_row") > 2), settles=True)
    unique = expect("column_values_to_be_unique", "quarantine", column="code")
    verdicts, _, quarantined = run(deliveries, [unique], [losers], stage=stage)
    assert reasons(quarantined, FIRST) == {
        1: ["expect_column_values_to_be_unique: code"],
        6: ["expect_column_values_to_be_unique: code"],
        3: ["superseded_in_drop"],
        8: ["superseded_in_drop"],
    }
    by_name = {result.rule: result for result in verdicts[FIRST].results}
    assert by_name["expect_column_values_to_be_unique: code"].rows == 6
    assert by_name["superseded_in_drop"].rows == 8


def test_uniqueness_is_of_the_slice(deliveries, stage):
    unique = expect("column_values_to_be_unique", "quarantine", column="amount")
    verdicts, _, _ = run(deliveries, [unique], stage=stage)
    assert [verdicts[day].quarantined for day in DAYS] == [0, 0, 0]


def test_columns_with_odd_names_are_judged(deliveries, stage):
    expectations = [
        expect("column_values_to_match_regex", "quarantine", column=ODD, regex="^x$"),
        expect("column_values_to_be_unique", "quarantine", column=ODD),
        expect("compound_columns_to_be_unique", "quarantine", column_list=[ODD, "code"], ignore_row_if="never"),
        expect("multicolumn_values_to_be_equal", "warn", column_list=[ODD, "code"]),
        expect(
            "column_values_to_not_be_null",
            "warn",
            column="id",
            row_condition={"type": "comparison", "column": {"name": ODD}, "operator": "==", "parameter": "x"},
        ),
        expect("column_unique_value_count_to_be_between", "warn", column=ODD, max_value=0),
    ]
    verdicts, accepted, quarantined = run(deliveries, expectations, stage=stage)
    found = {result.rule: result for result in verdicts[FIRST].results}
    assert found[f"expect_column_values_to_match_regex: {ODD}"].unexpected == 4
    assert found[f"expect_column_values_to_be_unique: {ODD}"].unexpected == 3
    assert found["expect_column_values_to_not_be_null: id"].rows == 3
    assert found[f"expect_column_unique_value_count_to_be_between: {ODD}"].observed == 0
    assert accepted.columns == list(SILVER)
    assert places(accepted) + places(quarantined) == places(deliveries)


def test_an_expectation_that_cannot_be_judged_is_an_error_with_its_name(deliveries, stage):
    with pytest.raises(ExpectationRaised, match="expect_column_values_to_be_between: code"):
        run(deliveries, [expect("column_values_to_be_between", column="code", min_value=1)], stage=stage)
    with pytest.raises(ExpectationRaised, match="expect_column_mean_to_be_between: nowhere"):
        run(deliveries, [expect("column_mean_to_be_between", column="nowhere", min_value=1)], stage=stage)
    kwargs = {"column": "id", "row_condition": "nowhere > 1", "condition_parser": "spark"}
    broken = expect("column_values_to_not_be_null", meta={"name": "row_condition"}, **kwargs)
    with pytest.raises(ExpectationRaised, match="row_condition"):
        run(deliveries, [broken], stage=stage)


@pytest.mark.slow  # its condition is Python, and every failing task is tried again
def test_an_expectation_that_breaks_on_a_row_is_named_without_the_row(deliveries, stage):
    schema = expect("column_values_to_match_json_schema", column="note", json_schema={"type": "object"})
    with pytest.raises(ExpectationRaised, match="match_json_schema: note") as caught:
        run(deliveries, [expect("column_values_to_not_be_null", column="id"), schema], stage=stage)
    assert "no date" not in str(caught.value)


def test_a_failed_expectation_of_action_fail_refuses_its_slice_alone(deliveries, stage):
    strict = expect("column_values_to_be_between", "fail", column="amount", min_value=-70, mostly=0.99)
    verdicts, accepted, quarantined = run(
        deliveries, [strict, expect("column_values_to_not_be_null", "quarantine", column="id")], stage=stage
    )
    assert not verdicts[FIRST].refused
    assert "1 of 6 rows fail" in str(verdicts[SECOND])
    assert {row["run_date"] for row in accepted.union(accepted).collect()} == {FIRST}
    assert {row["run_date"] for row in quarantined.collect()} == {FIRST}


def test_a_failed_table_level_expectation_is_about_the_accepted_rows(deliveries, stage):
    expectations = [
        expect("column_values_to_be_between", "quarantine", column="price", min_value=0),
        expect("column_min_to_be_between", "fail", column="price", min_value=0),
        expect("table_row_count_to_equal", "fail", value=7),
    ]
    verdicts, _, _ = run(deliveries, expectations, stage=stage)
    assert [verdicts[day].refused for day in (FIRST, SECOND)] == [False, False]
    assert verdicts[EMPTY].refused


def test_more_quarantined_rows_than_allowed_refuse_the_slice(deliveries, stage):
    nulls = expect("column_values_to_not_be_null", "quarantine", column="id")
    for allowed, refused in ((0.25, False), (0.24, True)):
        verdicts, _, _ = run(deliveries, [nulls], stage=stage, max_quarantined=allowed)
        assert verdicts[FIRST].refused is refused


def test_a_due_date_must_bring_an_accepted_row_unless_the_contract_allows_none(deliveries, stage):
    everything = implied("malformed", F.col("run_date") == F.lit(SECOND), settles=True)
    verdicts, _, _ = run(deliveries, [], [everything], stage=stage, due=DAYS)
    assert [verdicts[day].refused for day in DAYS] == [False, True, True]
    verdicts, _, _ = run(deliveries, [], [everything], stage=stage, due=DAYS, allow_empty=True)
    assert [verdicts[day].refused for day in DAYS] == [False, False, False]
    verdicts, _, _ = run(deliveries, [], stage=stage, due=[FIRST])
    assert not verdicts[EMPTY].refused


def test_decisions_have_a_row_a_rule_and_one_for_the_share_of_quarantined_rows(deliveries, stage):
    expectations = [
        expect("column_values_to_not_be_null", "quarantine", column="id", mostly=0.5),
        expect("column_max_to_be_between", "warn", column="price", max_value=5),
    ]
    verdicts, _, _ = run(deliveries, expectations, stage=stage, max_quarantined=0.5)
    by_metric = {d.metric: (d.value, d.threshold, d.verdict) for d in verdicts[FIRST].decisions()}
    assert by_metric == {
        "expect_column_values_to_not_be_null: id": (0.25, 0.5, "pass"),
        "expect_column_max_to_be_between: price": (9.0, None, "warn"),
        "quarantined share": (0.25, 0.5, "pass"),
    }


rows = st.lists(
    st.tuples(st.sampled_from([FIRST, SECOND]), st.one_of(st.none(), st.integers(-3, 3)), st.sampled_from("ab")),
    max_size=12,
)


def test_no_rule_fails_more_rows_than_it_judged_even_when_its_row_condition_rolls_dice(spark, stage):
    many = spark.createDataFrame([(FIRST, n) for n in range(400)], "run_date DATE, n INT")
    half = {"row_condition": "rand() < 0.5", "condition_parser": "spark"}
    expectations = [expect("column_values_to_be_between", "warn", column="n", max_value=0, mostly=0.9, **half)]
    gate = prepare(many, Subject("silver.t", ("n",)), expectations, [], [FIRST], kept=["n"])
    [verdict] = gate.verdicts(gate.staged(many, stage), ())
    [result] = verdict.results
    assert 100 < result.unexpected <= result.evaluated <= result.rows <= 400
    assert not result.success


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows, chance=st.floats(0, 1))
def test_accepted_and_quarantined_are_the_input_even_when_rules_and_values_roll_dice(spark, stage, rows, chance):
    ddl = "run_date DATE, source_file STRING, source_row BIGINT, n INT, s STRING"
    received = spark.createDataFrame([(day, f"{day}", place, n, s) for place, (day, n, s) in enumerate(rows)], ddl)
    frame = received.withColumn("r", F.rand())
    dice = Rule("dice", "quarantine", F.rand() < chance)
    expectations = [
        expect("compound_columns_to_be_unique", "quarantine", column_list=["n", "s"], ignore_row_if="never"),
        expect("column_values_to_be_between", "quarantine", column="r", min_value=0.3),
        expect(
            "column_values_to_be_null", "quarantine", column="s", row_condition="rand() < 0.2", condition_parser="spark"
        ),
    ]
    subject, columns = Subject("silver.t", ("n", "s", "r")), ["n", "s", "r", *PLACE]
    gate = prepare(frame, subject, expectations, [dice], [FIRST, SECOND], kept=columns)
    staged = gate.staged(frame, stage)
    verdicts = gate.verdicts(staged, ())
    accepted = gate.accepted(staged, verdicts, columns).collect()
    quarantined = gate.quarantined(staged, verdicts, received).collect()
    left = Counter((r["run_date"], r["source_row"], r["n"], r["s"]) for r in accepted)
    moved = Counter((r["run_date"], r["source_row"], r["n"], r["s"]) for r in quarantined)
    assert left + moved == Counter((day, place, n, s) for place, (day, n, s) in enumerate(rows))
    assert sum(verdict.quarantined for verdict in verdicts) == sum(moved.values())
    assert all(row["r"] >= 0.3 for row in accepted), "what is written is not what was judged"
    again = Counter((day, n, s) for day, n, s in rows)
    for row in quarantined:
        is_twin = again[row["run_date"], row["n"], row["s"]] > 1
        assert ("expect_compound_columns_to_be_unique: n, s" in row["reasons"]) is is_twin
