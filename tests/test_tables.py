"""Contracts: what may be declared, and what is refused before any data is read."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from scorelake.tables import Bronze, Cutoffs, Gold, Silver, check_name, parse_column, quoted
from scorelake.tables.judging import parse_share

SOURCE = {"kind": "csv", "path": "x/{run_date}.csv", "delivery": "events", "starts": "2024-01-01", "delivers": "daily"}


def silver(**changes: Any) -> Silver:
    given = {"name": "silver.x", "description": "d", "columns": ["a BIGINT", "t TIMESTAMP", "f DOUBLE"]}
    return Silver.model_validate({**given, **changes})


@pytest.mark.parametrize(
    ("ddl", "name", "kind", "comment"),
    [
        ("a BIGINT", "a", "bigint", ""),
        ("`odd.``name` DECIMAL(10, 2) COMMENT 'paid, in EUR'", "odd.`name", "decimal(10,2)", "paid, in EUR"),
        ("x ARRAY<STRUCT<a: INT, b: STRING>>", "x", "array<struct<a:int,b:string>>", ""),
        ("größe LONG", "größe", "bigint", ""),
    ],
)
def test_a_column_is_a_line_of_ddl(ddl: str, name: str, kind: str, comment: str) -> None:
    column = parse_column(ddl)
    assert (column.name, column.type, column.comment) == (name, kind, comment)
    assert parse_column(column.ddl) == column


@pytest.mark.parametrize("ddl", ["a", "a FOO", "a INT, b INT", "", "a INT) USING csv --"])
def test_what_is_no_column_is_refused(ddl: str) -> None:
    with pytest.raises(ValueError, match="column"):
        parse_column(ddl)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["a INT", "A INT"]}, "stand twice"),
        ({"columns": ["run_id STRING"]}, "reserved for the engine: run_id"),
        ({"columns": ["Run_Date DATE"]}, "reserved for the engine"),
        ({"columns": ["__rank INT"]}, "reserved for the engine: __rank"),
        ({"columns": ["`a b` INT"]}, "Delta stores no column named 'a b'"),
        ({"keys": ["b"]}, "keys: no such column: b"),
        ({"keys": ["f"]}, "floating point is no key: f"),
        ({"event_time": "a"}, "a clock must be TIMESTAMP, found BIGINT"),
        ({"personal": ["z"]}, "personal: no such column: z"),
        ({"retention": "6 days"}, "retention: a running job may still read files of the last 7 days"),
        ({"cluster_by": ["z"]}, "cluster_by: no such column: z"),
        ({"cluster_by": ["a", "a"]}, "cluster_by: a column stands twice: a, a"),
        ({"columns": ["a ARRAY<INT>"], "cluster_by": ["a"]}, "a is ARRAY<INT>, of which Delta knows no bounds"),
        ({"columns": [f"c{n} INT" for n in range(33)], "cluster_by": ["c32"]}, "first 32 columns; move c32 there"),
        ({"availability": {"delay": "1 day"}, "event_time": "t"}, "add history: true"),
        ({"availability": {"delay": "1 day", "history": True}}, "needs an event_time"),
        ({"availability": {}}, "either column or delay"),
        ({"max_quarantined": "120%"}, "less than or equal to 1"),
        ({"expectations": [{"type": "x", "action": "ignore"}]}, "'fail', 'quarantine' or 'warn'"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        silver(**changes)


def test_the_tie_break_comes_before_the_other_columns() -> None:
    assert silver(tie_break="f").total_order == ("f", "a", "t")
    assert silver().total_order == ("a", "t", "f")


def test_a_database_source_needs_a_bounded_query_unless_it_delivers_everything() -> None:
    def bronze(**changes: Any) -> Bronze:
        source = {"kind": "jdbc", "url": "jdbc:sqlite:s.db", "starts": "2024-01-01", **changes}
        return Bronze.model_validate(
            {"name": "bronze.x", "description": "d", "columns": ["a STRING"], "source": source}
        )

    bounded = "SELECT * FROM s WHERE at >= :data_start AND at < :data_end"
    bronze(query=bounded, delivery="events", delivers="daily")
    bronze(table="s", delivery="snapshot", delivers="daily")
    bronze(table="s", delivery="events", delivers="once")
    with pytest.raises(ValidationError, match="must filter by :data_start"):
        bronze(table="s", delivery="events", delivers="daily")
    with pytest.raises(ValidationError, match="either query or table"):
        bronze(table="s", query=bounded, delivery="events", delivers="daily")


@pytest.mark.parametrize(
    ("source", "columns", "message"),
    [
        ({"path": "sales.csv"}, ["a STRING"], "path: every drop would be the same file"),
        ({"path": "{run_date}/{hour}.csv"}, ["a STRING"], "path: only {run_date} may stand in braces"),
        ({"path": "{run_date}.csv", "manifest": "m.csv"}, ["a STRING"], "manifest: every drop would be the same file"),
        ({"encoding": "utf-16"}, ["a STRING"], "encoding: line ends cannot be found in utf-16"),
        ({"encoding": "latin-11"}, ["a STRING"], "encoding: unknown: latin-11"),
        ({"time_zone": "Mars/Olympus"}, ["a STRING"], "unknown time zone 'Mars/Olympus'"),
        ({"optional": ["b"]}, ["a STRING"], "optional: no such column: b"),
        ({}, ["a STRING", "b INT"], "csv has no types, so its columns are STRING: b"),
    ],
)
def test_a_file_source_that_cannot_work_is_refused(source: dict[str, Any], columns: list[str], message: str) -> None:
    described = {"kind": "csv", "path": "{run_date:%Y%m%d}/*.csv", "delivery": "events", "delivers": "daily"}
    described |= {"starts": date(2024, 1, 1), **source}
    with pytest.raises(ValidationError) as failure:
        Bronze.model_validate({"name": "bronze.t", "description": "t", "columns": columns, "source": described})
    assert message in str(failure.value)


def test_the_order_of_a_drop_names_columns() -> None:
    assert silver(deduplicate_by=["a", "t DESC"]).drop_order == [("a", False), ("t", True)]
    for item, message in (("a DOWN", "expected a column"), ("gone DESC", "no such column: gone")):
        with pytest.raises(ValidationError, match=message):
            silver(deduplicate_by=[item])


def test_a_label_table_has_keys_and_a_label() -> None:
    label = {"population": "p", "cutoffs": {"from": "2024-01-07", "to": "2024-01-31", "every": "7 days"}}
    label |= {"horizon": "28 days", "delay": "1 day"}
    given = {"name": "gold.l", "description": "d", "columns": ["k BIGINT", "label INT"], "label": label}
    table = Gold.model_validate({**given, "keys": ["k"]})
    assert table.label is not None
    assert table.label.horizon == timedelta(days=28)
    with pytest.raises(ValidationError, match="needs keys"):
        Gold.model_validate(given)
    with pytest.raises(ValidationError, match="label: no such column"):
        Gold.model_validate({**given, "keys": ["k"], "columns": ["k BIGINT"]})


def test_cutoffs_run_from_the_first_to_at_most_the_last() -> None:
    cutoffs = Cutoffs.model_validate({"from": "2024-01-07", "to": "2024-01-20", "every": "7 days"})
    assert cutoffs.dates() == [date(2024, 1, 7), date(2024, 1, 14)]
    for wrong in ({"to": "2024-01-01"}, {"every": "12 hours"}, {"every": "0 days"}):
        with pytest.raises(ValidationError):
            Cutoffs.model_validate({"from": "2024-01-07", "to": "2024-01-20", "every": "7 days", **wrong})


def test_shares_may_be_written_as_percent() -> None:
    assert parse_share("2.5%") == 0.025
    assert parse_share(0.5) == 0.5


@pytest.mark.parametrize("name", ["", "a-b", "../x", "A", "1a", "a b", "a;drop"])
def test_a_name_that_sql_or_a_path_could_misread_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        check_name(name)


def test_any_text_can_be_one_identifier() -> None:
    assert quoted("a`b.c") == "`a``b.c`"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["day DATE", "moon STRING"]}, "a calendar does not say moon"),
        ({"columns": ["day DATE", "week STRING"]}, "a calendar does not say week; it says day DATE"),
        ({"keys": []}, "those of a calendar are"),
        ({"calendar": {"weekend": ["someday"]}}, "monday"),
        ({"transform": "days:all_days", "reads": ["silver.x"]}, "neither transform nor label"),
    ],
)
def test_a_calendar_says_what_it_knows_of_days(changes: dict[str, Any], message: str) -> None:
    sound = {"name": "gold.days", "description": "d", "columns": ["day DATE"], "keys": ["day"], "calendar": {}}
    assert Gold.model_validate(sound).calendar is not None
    with pytest.raises(ValidationError, match=message):
        Gold.model_validate({**sound, **changes})
