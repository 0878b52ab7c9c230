from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.errors import ContractBroken
from scorelake.tables import Bronze, Silver
from scorelake.transform import silver
from scorelake.transform.silver import Candidates
from scorelake.transform.visible import History

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

D1, D2 = date(2024, 1, 1), date(2024, 1, 2)
T1, T2 = datetime(2024, 1, 2), datetime(2024, 1, 3)
SELECT = "SELECT k, at, v FROM bronze.t"
COLUMNS = ("k BIGINT", "at TIMESTAMP", "v DECIMAL(10,2)")


def bronze_contract(*columns: str, **source: Any) -> Bronze:
    described = {"kind": "csv", "path": "{run_date}.csv", "delivery": "events", "starts": D1, "delivers": "daily"}
    return Bronze.model_validate(
        {
            "name": "bronze.t",
            "description": "t",
            "columns": list(columns or ("k STRING", "at STRING", "v STRING")),
            "source": {**described, **source},
        }
    )


def silver_contract(columns: Sequence[str] = COLUMNS, **more: Any) -> Silver:
    return Silver.model_validate({"name": "silver.t", "description": "t", "columns": list(columns), **more})


def received(spark: SparkSession, contract: Bronze, rows: Iterable[tuple[Any, ...]]) -> DataFrame:
    """Bronze rows from (run date, values...); a single string among the values is a line that could not be split."""
    names = contract.column_names
    full = []
    for number, (day, *values) in enumerate(rows, 1):
        is_malformed = len(values) == 1 and len(names) > 1
        content = [*[None] * len(names), values[0]] if is_malformed else [*values, None]
        end = datetime(day.year, day.month, day.day + 1)
        full.append((*content, None, "in.csv", number, day, end, datetime(2025, 1, 1), "run-1"))
    ddl = ", ".join(column.ddl for column in contract.columns)
    provenance = "source_file STRING, source_row BIGINT, run_date DATE, available_at TIMESTAMP, ingested_at TIMESTAMP"
    return spark.createDataFrame(full, f"{ddl}, raw STRING, extra MAP<STRING,STRING>, {provenance}, run_id STRING")


def judged(found: Candidates, *names: str) -> list[tuple[Any, ...]]:
    """The named columns of each row in the order of arrival, and the names of the rules that it fails."""
    rows = found.frame.select(*names, "source_row", *(flag.alias(rule) for rule, flag in found.rules)).collect()
    rows.sort(key=lambda row: row["source_row"])
    return [
        (
            *row[: len(names)],
            [rule for (rule, _), failed in zip(found.rules, row[len(names) + 1 :], strict=True) if failed],
        )
        for row in rows
    ]


def test_columns_are_cast_and_what_does_not_parse_is_told(spark: SparkSession) -> None:
    bronze = bronze_contract()
    rows = received(
        spark,
        bronze,
        [
            (D1, "1", "2024-01-01 10:00:00", "1.50"),
            (D1, "x", "2024-01-01T10:00:00+02:00", None),
            (D2, "99999999999999999999", "12:30", "1e2"),
            (D2, "cannot be split"),
        ],
    )
    found = silver.candidates(spark, SELECT, silver_contract(), bronze, rows)
    assert judged(found, "k", "at", "v") == [
        (1, datetime(2024, 1, 1, 10), Decimal("1.50"), []),
        (None, datetime(2024, 1, 1, 8), None, ["k parses as BIGINT"]),
        (None, None, Decimal("100.00"), ["k parses as BIGINT", "at parses as TIMESTAMP"]),
        (None, None, None, ["malformed"]),
    ]
    assert found.frame.select(*found.columns).columns == [
        *("k", "at", "v", "source_file", "source_row", "run_date", "available_at", "ingested_at", "run_id")
    ]
    as_received = found.received
    assert as_received.schema.simpleString() == rows.schema.simpleString()
    assert sorted(as_received.collect(), key=str) == sorted(rows.collect(), key=str)


PARSES = [
    ("int", "2147483647", True),
    ("int", "2147483648", False),
    ("int", " 7 ", True),
    ("int", "7.0", False),
    ("bigint", "9223372036854775808", False),
    ("double", "1e400", False),
    ("double", "-1e400", False),
    ("double", "1e-400", True),
    ("double", "NaN", True),
    ("double", "-Infinity", True),
    ("double", "1d", False),
    ("double", "0x1p3", False),
    ("double", ".5", True),
    ("float", "1e39", False),
    ("decimal(10,2)", "99999999.99", True),
    ("decimal(10,2)", "100000000.00", False),
    ("decimal(10,2)", "NaN", False),
    ("boolean", "yes", True),
    ("boolean", "2", False),
    ("date", "0001-01-01", True),
    ("date", "9999-12-31", True),
    ("date", "0000-12-31", False),
    ("date", "10000-01-01", False),
    ("date", "2024-02-30", False),
    ("date", "2024", False),
    ("date", "2024-01-01 and more", False),
    ("timestamp", "0001-01-01 00:00:00", True),
    ("timestamp", "9999-12-31 23:59:59.999999", True),
    ("timestamp", "2024-01-01", True),
    ("timestamp", "2024-01-01T10:00:00Z", True),
    ("timestamp", "2024-01-01 10:00:00 America/New_York", True),
    ("timestamp", "2024-01-01 25:00:00", False),
    ("timestamp", "2024", False),
    ("timestamp", "10:00", False),
    ("timestamp", "now", False),
    ("array<int>", "[1, null]", True),
    ("array<int>", "[1", False),
    ("array<int>", '[1, "x"]', False),
    ("struct<a:int,b:array<int>>", '{"a": null, "b": [null]}', True),
    ("struct<a:int,b:array<int>>", '{"a": "x"}', False),
    ("struct<a:int,b:array<int>>", '{"b": [1, "x"]}', False),
    ("map<string,int>", '{"a": 1, "b": null}', True),
    ("map<string,int>", '{"a": 1.5}', False),
    ("timestamp", "0000-01-01 00:00:00", False),
    ("timestamp", "2024-01-01 10:60:00", False),
    ("timestamp", "2024-1--01 10:00:00", False),
    ("string", "", True),
    ("int", "", False),
]


def test_what_parses_as_what(spark: SparkSession) -> None:
    bronze = bronze_contract(*(f"c{n} STRING" for n in range(len(PARSES))))
    contract = silver_contract([f"c{n} {kind}" for n, (kind, _, _) in enumerate(PARSES)])
    rows = received(spark, bronze, [(D1, *(text for _, text, _ in PARSES)), (D1, *([None] * len(PARSES)))])
    told, empty = judged(silver.candidates(spark, "SELECT * FROM bronze.t", contract, bronze, rows))
    failed = {int(rule.split()[0][1:]) for rule in told[-1]}
    assert [(*PARSES[n][:2], n not in failed) for n in range(len(PARSES))] == PARSES
    assert empty == ([],)


def test_local_times_follow_the_zone_of_the_source(spark: SparkSession) -> None:
    bronze = bronze_contract("at STRING", "b STRING", time_zone="America/New_York")
    contract = silver_contract(["at TIMESTAMP", "b TIMESTAMP"])
    texts = [
        ("2024-01-10 12:00:00", datetime(2024, 1, 10, 17)),
        ("2024-07-10 12:00:00", datetime(2024, 7, 10, 16)),
        ("2024-03-10 02:30:00", None),  # skipped when the clocks went forward
        ("2024-11-03 01:30:00", datetime(2024, 11, 3, 5, 30)),  # shown twice: the first
        ("2024-07-10 12:00:00Z", datetime(2024, 7, 10, 12)),
    ]
    rows = received(spark, bronze, [(D1, text, text) for text, _ in texts])
    found = silver.candidates(spark, "SELECT at, CAST(b AS TIMESTAMP) AS b FROM bronze.t", contract, bronze, rows)
    told = judged(found, "at", "b")
    assert [(at, b) for at, b, _ in told] == [(instant, instant) for _, instant in texts]
    gap = ["at parses as TIMESTAMP", "b parses as TIMESTAMP"]
    assert [rules for *_, rules in told] == [[], [], gap, [], []]


def test_sql_never_aborts_and_tells_which_column_failed(spark: SparkSession) -> None:
    bronze = bronze_contract("a STRING", "b STRING")
    query = """
        SELECT
          CAST(a AS INT) AS plain,
          CAST(a AS INT) / CAST(b AS INT) AS ratio,
          CASE WHEN a RLIKE '^[0-9]+$' THEN CAST(a AS INT) END AS guarded,
          COALESCE(TRY_CAST(a AS INT), -1) AS fallback,
          COALESCE(CAST(a AS INT), -1) AS careless,
          TRY_CAST(a AS INT) AS tried,
          to_date(b, 'yyyyMMdd') AS day,
          IF(b = '0', 0, bigint(b)) AS branch
        FROM bronze.t
    """
    columns = "plain INT, ratio DOUBLE, guarded INT, fallback INT, careless INT, tried INT, day DATE, branch BIGINT"
    rows = received(spark, bronze, [(D1, "6", "20240102"), (D1, "x", "y"), (D1, "6", "0"), (D1, None, None)])
    found = silver.candidates(spark, query, silver_contract(columns.split(", ")), bronze, rows)
    told = [[rule.split()[0] for rule in rules] for (rules,) in judged(found)]
    assert told == [[], ["plain", "ratio", "careless", "tried", "day", "branch"], ["ratio", "day"], []]
    values = judged(found, "guarded", "fallback", "branch")
    assert [row[:3] for row in values] == [(6, 6, 20240102), (None, -1, None), (6, 6, 0), (None, -1, None)]


def test_markers_mean_each_rows_own_run_date(spark: SparkSession) -> None:
    bronze = bronze_contract("k STRING", "b STRING")
    query = """SELECT :run_date AS d, :as_of AS a, :data_start AS s, :data_end AS e,
        count(*) OVER (PARTITION BY k) AS n FROM bronze.t"""
    contract = silver_contract(["d DATE", "a TIMESTAMP", "s TIMESTAMP", "e TIMESTAMP", "n BIGINT"])
    rows = received(spark, bronze, [(D1, "1", "x"), (D2, "1", "x"), (D2, "1", "y")])
    found = silver.candidates(spark, query, contract, bronze, rows)
    assert judged(found, "d", "a", "s", "e", "n") == [
        (D1, T1, datetime(2024, 1, 1), T1, 1, []),
        (D2, T2, datetime(2024, 1, 2), T2, 2, []),
        (D2, T2, datetime(2024, 1, 2), T2, 2, []),
    ]


def test_a_joined_table_counts_as_of_each_rows_own_instant(spark: SparkSession) -> None:
    bronze = bronze_contract("k STRING", "b STRING")
    lookup = Silver.model_validate(
        {"name": "silver.p", "description": "p", "columns": ["id BIGINT", "valid_to STRING"], "keys": ["id"]}
    )
    versions = spark.createDataFrame(
        [(1, "old", T1, D1), (1, "new", T2, D2), (2, "late", datetime(2024, 1, 4), date(2024, 1, 3))],
        "id BIGINT, valid_to STRING, available_at TIMESTAMP, run_date DATE",
    )
    query = """SELECT `a row`.k, valid_to AS name
        FROM bronze.t AS `a row` LEFT JOIN silver.p AS `a price` ON `a price`.id = CAST(`a row`.k AS BIGINT)"""
    rows = received(spark, bronze, [(D1, "1", ""), (D2, "1", ""), (D2, "2", ""), (D2, None, ""), (D2, "x", "")])
    found = silver.candidates(
        spark,
        query,
        silver_contract(["k STRING", "name STRING"]),
        bronze,
        rows,
        others={"silver.p": History(versions, lookup)},
    )
    assert judged(found, "name") == [("old", []), ("new", []), (None, []), (None, []), (None, [])]


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_one_winner_a_key_in_a_drop(spark: SparkSession, partitions: int) -> None:
    bronze = bronze_contract()
    at = "2024-01-01 10:00:00"
    rows = received(
        spark,
        bronze,
        [
            (D1, "1", at, "1"),
            (D1, "1", at, "2"),  # greatest value wins
            (D1, "1", at, "2"),
            (D1, "1", "2024-01-01 11:00:00", "x"),  # does not parse: does not compete
            (D2, "1", at, "1"),  # another drop
            (D2, None, at, "1"),
            (D2, None, at, "1"),
            (D2, "2", at, "1"),
            (D2, "2", "2024-01-01 09:00:00", "9"),  # older
        ],
    )
    contract = silver_contract(keys=["k"], event_time="at")
    found = silver.candidates(spark, SELECT, contract, bronze, rows.repartition(partitions))
    assert [rules for (rules,) in judged(found)] == [
        ["superseded_in_drop"],
        [],
        ["duplicate"],
        ["v parses as DECIMAL(10,2)"],
        [],
        [],
        [],
        [],
        ["superseded_in_drop"],
    ]


def test_the_declared_order_decides_before_the_total_order(spark: SparkSession) -> None:
    bronze = bronze_contract()
    rows = received(spark, bronze, [(D1, "1", None, "1"), (D1, "1", None, "2"), (D1, "1", None, None)])
    contract = silver_contract(keys=["k"], deduplicate_by=["v ASC"])
    found = silver.candidates(spark, SELECT, contract, bronze, rows)
    assert [rules for (rules,) in judged(found)] == [[], ["superseded_in_drop"], ["superseded_in_drop"]]


@pytest.mark.parametrize(
    ("availability", "expected"),
    [
        ({"column": "at"}, [T1, datetime(2024, 1, 5), None]),
        ({"column": "at", "history": True}, [datetime(2024, 1, 1), datetime(2024, 1, 5), None]),
        ({"delay": "1 day", "history": True}, [datetime(2024, 1, 2), datetime(2024, 1, 6), None]),
    ],
)
def test_availability_is_as_the_contract_says(
    spark: SparkSession, availability: dict[str, Any], expected: list[datetime | None]
) -> None:
    bronze = bronze_contract()
    rows = received(spark, bronze, [(D1, "1", "2024-01-01", "1"), (D1, "1", "2024-01-05", "1"), (D1, "1", None, "1")])
    contract = silver_contract(event_time="at", availability=availability)
    told = judged(silver.candidates(spark, SELECT, contract, bronze, rows), "available_at")
    assert [at for at, _ in told] == expected
    assert [rules for _, rules in told] == [[], [], ["at says when the row was known"]]


def test_deletes_are_marked(spark: SparkSession) -> None:
    bronze = bronze_contract()
    rows = received(spark, bronze, [(D1, "1", None, "-1"), (D1, "2", None, "1"), (D1, "3", None, None)])
    found = silver.candidates(spark, SELECT, silver_contract(delete_when="v < 0"), bronze, rows)
    assert [gone for gone, _ in judged(found, "is_deleted")] == [True, False, False]
    assert found.columns[3] == "is_deleted"


def test_a_result_that_is_not_the_contract_is_refused(spark: SparkSession) -> None:
    bronze = bronze_contract()
    with pytest.raises(ContractBroken, match="missing: v; not in the contract: w"):
        silver.candidates(
            spark, "SELECT k, at, v AS w FROM bronze.t", silver_contract(), bronze, received(spark, bronze, [])
        )


def test_a_python_transform_carries_the_received_row(spark: SparkSession) -> None:
    bronze = bronze_contract()
    rows = received(spark, bronze, [(D1, "1", None, "x")])
    found = silver.candidates_of(
        lambda frame: frame.select("k", "at", "v", silver.RECEIVED), silver_contract(), bronze, rows
    )
    assert judged(found, "k") == [(1, ["v parses as DECIMAL(10,2)"])]
    with pytest.raises(ContractBroken, match="carry it along"):
        silver.candidates_of(lambda frame: frame.select("k", "at", "v"), silver_contract(), bronze, rows)
