from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.dates import RunDates, as_of
from scorelake.errors import ContractBroken
from scorelake.tables import Gold, Silver
from scorelake.transform import gold
from scorelake.transform.visible import At, History, at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

D1, D2, D3 = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
SALES = Silver.model_validate(
    {
        "name": "silver.sales",
        "description": "sales",
        "columns": ["id BIGINT", "who STRING", "at TIMESTAMP", "amount DECIMAL(10,2)"],
        "keys": ["id"],
        "event_time": "at",
    }
)


def sales(spark: SparkSession, rows: list[tuple[int, str | None, datetime, str, date]]) -> At:
    """Sales of (id, who, at, amount, run date of the drop), as of any instant."""
    stored = [(n, who, when, Decimal(amount), as_of(drop), drop) for n, who, when, amount, drop in rows]
    ddl = "id BIGINT, who STRING, at TIMESTAMP, amount DECIMAL(10,2), available_at TIMESTAMP, run_date DATE"
    return at({"silver.sales": History(spark.createDataFrame(stored, ddl), SALES)})


def gold_contract(*columns: str, **more: Any) -> Gold:
    return Gold.model_validate({"name": "gold.g", "description": "g", "columns": list(columns), **more})


def collected(frame: DataFrame) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in frame.collect()), key=str)


def test_each_slice_sees_what_was_visible_at_its_end(spark: SparkSession) -> None:
    noon = datetime(2024, 1, 1, 12)
    rows = sales(
        spark,
        [
            (1, "a", noon, "10", D1),
            (1, "a", noon, "11", D3),  # a correction
            (2, "b", noon, "5", D2),  # a day late
        ],
    )
    contract = gold_contract("who STRING", "total DECIMAL(20,2)", "d DATE")
    query = """
        SELECT who, sum(amount) AS total, :run_date AS d FROM silver.sales
        WHERE at < :as_of AND at >= :data_start - INTERVAL 7 DAYS GROUP BY who
    """
    built = gold.build(spark, query, contract, RunDates(D1, D3), rows)
    assert built.columns == ["who", "total", "d", "available_at", "run_date"]
    assert collected(built) == [
        ("a", Decimal("10.00"), D1, as_of(D1), D1),
        ("a", Decimal("10.00"), D2, as_of(D2), D2),
        ("a", Decimal("11.00"), D3, as_of(D3), D3),
        ("b", Decimal("5.00"), D2, as_of(D2), D2),
        ("b", Decimal("5.00"), D3, as_of(D3), D3),
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 'x' AS who", "missing: total; not in the contract: none"),
        ("SELECT 'x' AS who, 1 AS total, 2 AS more", "missing: none; not in the contract: more"),
        ("SELECT 'x' AS who, 1.5D AS total", "total is DOUBLE, expected BIGINT; cast in the query"),
    ],
)
def test_a_result_that_is_not_the_contract_is_refused(spark: SparkSession, query: str, message: str) -> None:
    with pytest.raises(ContractBroken, match=rf"gold\.g: .*{message}"):
        gold.build(spark, query, gold_contract("who STRING", "total BIGINT"), [D1], sales(spark, []))


def test_narrower_integers_and_nulls_fit_and_a_decimal_without_room_fails(spark: SparkSession) -> None:
    contract = gold_contract("n BIGINT", "d DECIMAL(4,2)", "nothing STRING")
    query = "SELECT 1 AS n, CAST({} AS DECIMAL(10,2)) AS d, NULL AS nothing"
    built = gold.build(spark, query.format("12.34"), contract, [D1], sales(spark, []))
    assert collected(built.select("n", "d", "nothing")) == [(1, Decimal("12.34"), None)]
    with pytest.raises(Exception, match="NUMERIC_VALUE_OUT_OF_RANGE"):
        gold.build(spark, query.format("1234.56"), contract, [D1], sales(spark, [])).collect()


@pytest.mark.parametrize(
    ("availability", "expected"),
    [
        (None, as_of(D2)),
        ({"column": "at"}, as_of(D2)),
        ({"column": "at", "history": True}, datetime(2024, 1, 1, 12)),
        ({"delay": "1 hour", "history": True}, datetime(2024, 1, 1, 13)),
    ],
)
def test_gold_is_known_at_the_end_of_its_slice_unless_the_contract_says_otherwise(
    spark: SparkSession, availability: dict[str, Any] | None, expected: datetime
) -> None:
    contract = gold_contract("at TIMESTAMP", event_time="at", availability=availability)
    built = gold.build(spark, "SELECT TIMESTAMP '2024-01-01 12:00:00' AS at", contract, [D2], sales(spark, []))
    assert collected(built.select("available_at")) == [(expected,)]


def test_a_python_function_builds_a_slice(spark: SparkSession) -> None:
    rows = sales(spark, [(1, "a", datetime(2024, 1, 1), "10", D2)])

    def per_customer(table: Any, run_date: date) -> DataFrame:
        counts: DataFrame = table("silver.sales").groupBy("who").count().withColumnRenamed("count", "n")
        return counts

    built = gold.build_with(per_customer, gold_contract("who STRING", "n BIGINT"), [D1, D2], rows)
    assert collected(built.select("who", "n", "run_date")) == [("a", 1, D2)]


# ------------------------------------------------------------------ labels

POPULATION = "SELECT DISTINCT who FROM silver.sales WHERE at >= :as_of - INTERVAL 200 DAYS AND at < :as_of"
CHURNED = """
    SELECT p.who, IF(count(s.id) = 0, 1, 0) AS label
    FROM population AS p
    LEFT JOIN silver.sales AS s ON s.who = p.who AND s.at >= :as_of AND s.at < :label_end
    GROUP BY p.who
"""


def label_contract(
    horizon: str = "60 days", delay: str = "1 day", every: str = "7 days", to: str = "2024-03-01"
) -> Gold:
    label = {"population": "everybody", "cutoffs": {"from": "2024-01-02", "to": to, "every": every}}
    return gold_contract("who STRING", "label INT", keys=["who"], label={**label, "horizon": horizon, "delay": delay})


def test_the_worked_check_of_observation_and_label(spark: SparkSession) -> None:
    """Sales at t-200d, t-100d, t-10d and t belong to one customer; t-201d and t+60d to another."""
    cutoff = date(2024, 6, 30)
    t = as_of(cutoff)
    days = timedelta(days=1)
    events = [
        *(
            (1, "a", t - 200 * days, "10"),
            (2, "a", t - 100 * days, "20"),
            (3, "a", t - 10 * days, "60"),
            (4, "a", t, "5"),
        ),
        *((5, "b", t - 201 * days, "7"), (6, "b", t + 60 * days, "7"), (7, "c", t - days, "1")),
    ]
    rows = sales(spark, [(*event, event[2].date()) for event in events])
    query = """
        SELECT who, count(*) AS n, sum(amount) AS total, max(amount) AS largest,
          CAST(avg(amount) AS DECIMAL(10,2)) AS mean, datediff(:as_of, max(at)) AS recency,
          datediff(max(at), min(at)) / (count(*) - 1) AS gap
        FROM silver.sales WHERE at >= :as_of - INTERVAL 200 DAYS AND at < :as_of AND who <> 'c' GROUP BY who
    """
    columns = ["who STRING", "n BIGINT", "total DECIMAL(20,2)", "largest DECIMAL(10,2)", "mean DECIMAL(10,2)"]
    contract = gold_contract(*columns, "recency INT", "gap DOUBLE")
    built = gold.build(spark, query, contract, [cutoff], rows).drop("available_at", "run_date")
    assert collected(built) == [("a", 3, Decimal("90.00"), Decimal("60.00"), Decimal("30.00"), 10, 95.0)]

    everybody = "SELECT who FROM silver.sales"
    labels = gold.labels(spark, CHURNED, everybody, label_contract(), [cutoff], rows)
    assert collected(labels.select("who", "label")) == [("a", 0), ("b", 1), ("c", 1)]
    population = gold.population(spark, POPULATION, t, rows)
    assert collected(population) == [("a",), ("c",)]


def test_labels_belong_to_the_slice_in_which_they_become_known(spark: SparkSession) -> None:
    contract = label_contract(horizon="2 days", delay="0 days")
    rows = sales(spark, [(1, "a", datetime(2024, 1, 1), "1", D1), (2, "a", datetime(2024, 1, 3, 5), "1", D3)])
    labels = gold.labels(spark, CHURNED, POPULATION, contract, [D2], rows)
    known = datetime(2024, 1, 5)
    assert labels.columns == ["who", "label", "event_timestamp", "label_available_at", "available_at", "run_date"]
    assert collected(labels) == [("a", 0, as_of(D2), known, known, date(2024, 1, 4))]


def test_a_label_sees_nothing_that_arrives_after_it_is_known(spark: SparkSession) -> None:
    contract = label_contract(horizon="2 days", delay="1 day")
    in_window = datetime(2024, 1, 4)
    for drop, label in ((date(2024, 1, 5), 0), (date(2024, 1, 6), 1)):  # known at the end of January 5
        rows = sales(spark, [(1, "a", datetime(2024, 1, 1), "1", D1), (2, "a", in_window, "1", drop)])
        labels = gold.labels(spark, CHURNED, POPULATION, contract, [D2], rows)
        assert collected(labels.select("label")) == [(label,)]


def test_a_member_of_which_the_label_sql_says_nothing_has_a_null_label(spark: SparkSession) -> None:
    rows = sales(spark, [(1, "a", datetime(2024, 1, 1), "1", D1), (2, None, datetime(2024, 1, 1), "1", D1)])
    query = "SELECT CAST(NULL AS STRING) AS who, 1 AS label"
    labels = gold.labels(spark, query, POPULATION, label_contract(), [D2], rows)
    assert collected(labels.select("who", "label")) == [("a", None), (None, 1)]


def test_a_label_that_stands_twice_fails_the_write(spark: SparkSession) -> None:
    rows = sales(spark, [(1, "a", datetime(2024, 1, 1), "1", D1)])
    query = "SELECT 'a' AS who, n AS label FROM (SELECT explode(array(0, 1)) AS n)"
    labels = gold.labels(spark, query, POPULATION, label_contract(), [D2], rows)
    with pytest.raises(Exception, match=r"gold\.g: the label SQL returns several rows for one key"):
        labels.collect()


def test_a_population_without_the_labels_keys_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ContractBroken, match="population everybody returns no who"):
        gold.labels(spark, CHURNED, "SELECT 1 AS other", label_contract(), [D2], sales(spark, []))


@pytest.mark.parametrize(
    ("delay", "slice_of"), [("0 days", date(2024, 1, 31)), ("1 second", date(2024, 2, 1)), ("1 day", date(2024, 2, 1))]
)
def test_the_slice_of_a_label_ends_with_the_instant_at_which_it_is_known(delay: str, slice_of: date) -> None:
    label = label_contract(horizon="29 days", delay=delay).label
    assert label is not None
    assert gold.label_slice(D2, label) == slice_of
    assert gold.cutoffs_of(label, RunDates.single(slice_of)) == [D2]
    assert gold.cutoffs_of(label, RunDates.single(slice_of + timedelta(days=1))) == []
