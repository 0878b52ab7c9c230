"""Input that was not made with the engine in mind: odd names, odd numbers, odd keys, odd clocks."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.errors import UsageError
from scorelake.features import history, oracle
from scorelake.features.asof import as_of
from scorelake.features.clock import quoted
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

NOON = datetime(2024, 3, 10, 12)
MICRO, DAY = timedelta(microseconds=1), timedelta(days=1)
CLOCKS: dict[str, Any] = {"event_time": "e", "available_at": "a"}


def _windows(column: str, *functions: str, length: timedelta | None = None) -> tuple[Window, ...]:
    return tuple(Window(function, function, column, length) for function in functions)


def _rows(spark: SparkSession, values: Sequence[Any], kind: str) -> DataFrame:
    """A value a second from noon on, known at once, all of one entity."""
    seconds = [NOON + timedelta(seconds=number) for number in range(len(values))]
    rows = [(1, t, t, value) for t, value in zip(seconds, values, strict=True)]
    return spark.createDataFrame(rows, f"k int, e timestamp, a timestamp, v {kind}")


def _ask(spark: SparkSession, t: datetime = NOON + DAY) -> DataFrame:
    return spark.createDataFrame([(1, t)], "k int, event_timestamp timestamp")


def _one(answers: DataFrame, *names: str) -> tuple[Any, ...]:
    (row,) = answers.collect()
    return tuple(row[name] for name in names)


# ---------------------------------------------------------------- names

NAMES = ("a.b", "tick`s", 'quo"te', "it's", "schlüssel 日本", "#at", "#key0", "#since", "x;--", "a b")


@pytest.mark.parametrize("by_file", [False, True], ids=["frame", "files"])
def test_columns_may_have_any_name(spark: SparkSession, tmp_path: Path, *, by_file: bool) -> None:
    keys = [(f"key {name}", f"key {name}") for name in NAMES[:3]]
    rows = spark.createDataFrame(
        [(NOON, NOON, *([1] * 3), *range(10)), (NOON, NOON, *([2] * 3), *range(10, 20))],
        ", ".join(
            [
                "`#event` timestamp, `the.clock` timestamp",
                *(f"{quoted(name)} int" for name, _ in keys),
                *(f"{quoted(name)} int" for name in NAMES),
            ]
        ),
    )
    if by_file:
        rows.write.parquet(str(tmp_path / "rows"))
        rows = spark.read.parquet(str(tmp_path / "rows"))
    shared: dict[str, Any] = {"event_time": "#event", "available_at": "the.clock", "is_scan": by_file}
    look = View("l.1", rows, dict(keys), **shared, lookups={f"f {name}": name for name in NAMES}, prefix="p.")
    windows = tuple(Window(f"w {name}", "sum", name, DAY) for name in NAMES)
    total = View("w`1", rows, dict(keys), **shared, row_keys=("#key0",), windows=windows)
    spine = spark.createDataFrame(
        [(2, 2, 2, NOON + MICRO, "x"), (1, 1, 2, NOON, "y")],
        ", ".join([*(f"{quoted(name)} int" for name, _ in keys), "`t.s` timestamp, `#at` string"]),
    )
    answers = as_of(spine, [look, total], timestamp="t.s", audit=True)
    assert answers.columns == [
        *spine.columns,
        *(f"p.f {name}" for name in NAMES),
        "p.l.1__event_time",
        "p.l.1__age",
        *(f"w {name}" for name in NAMES),
    ]
    found = {row["#at"]: tuple(row) for row in answers.collect()}
    assert found["x"] == (2, 2, 2, NOON + MICRO, "x", *range(10, 20), NOON, 1e-6, *range(10, 20))
    assert set(found["y"][5:]) == {None}
    stored = history.as_of_intervals(spine, look, history.intervals(look), timestamp="t.s", audit=True)
    assert sorted(map(tuple, stored.collect()), key=repr) == sorted(
        map(tuple, as_of(spine, [look], timestamp="t.s", audit=True).collect()), key=repr
    )


def test_names_that_differ_in_case_alone_are_refused(spark: SparkSession) -> None:
    rows = _rows(spark, [1], "int")
    view = View("v", rows, {"k": "k"}, **CLOCKS, lookups={"K": "v"})
    with pytest.raises(UsageError, match="columns K, k would stand twice"):
        as_of(_ask(spark), [view])


# ---------------------------------------------------------------- numbers

BIG = 2**62


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [BIG + 1, BIG + 2, BIG + 4]),
        ("bigint", [3, BIG + 1, BIG + 2, -BIG]),
        ("bigint", [-(2**63), 2**63 - 1]),
        ("decimal(38,3)", [Decimal(10) ** 33 + Decimal(n) / 1000 for n in (1, 2, 5)]),
        ("decimal(18,2)", [Decimal("9999999999999999.99"), Decimal("9999999999999999.97")]),
        ("decimal(38,38)", [Decimal("0." + "0" * 30 + "1"), Decimal("0." + "9" * 38)]),
        ("double", [1e200, 1e200 * (1 + 2**-40), 1e-200]),
        ("double", [5e-324, 1e-320, 0.0]),
    ],
)
def test_a_spread_beside_any_size_is_that_of_exact_arithmetic(
    spark: SparkSession, kind: str, values: list[Any]
) -> None:
    rows = _rows(spark, values, kind)
    view = View("v", rows, {"k": "k"}, **CLOCKS, windows=_windows("v", "variance", "stddev"))
    rules = oracle.Rules.of(view)
    truth = oracle.answers(rules, {"k": 1, "event_timestamp": NOON + DAY}, [row.asDict() for row in rows.collect()])
    variance, stddev = _one(as_of(_ask(spark), [view]), "variance", "stddev")
    assert truth["stddev"].agrees(stddev), (stddev, truth["stddev"].value)
    assert truth["variance"].agrees(variance), (variance, truth["variance"].value)


def test_a_spread_is_the_same_whatever_else_its_partition_holds(spark: SparkSession) -> None:
    values = [0.1 * number * (-1) ** number for number in range(60)]
    alone = _rows(spark, values, "double")
    beside = alone.unionAll(spark.createDataFrame([(2, NOON, NOON, 1e300)], alone.schema))
    view = View("v", alone, {"k": "k"}, **CLOCKS, windows=_windows("v", "variance", "stddev", "mean", "sum"))
    other = View("v", beside, {"k": "k"}, **CLOCKS, windows=view.windows)
    names = view.features
    assert _one(as_of(_ask(spark), [view]), *names) == _one(as_of(_ask(spark), [other]), *names)


def test_rows_of_one_instant_may_come_in_any_order(spark: SparkSession) -> None:
    values = [1e300, 0.1, -1e300, 0.7, 1e-3, 12.5, 3e299, 0.3]
    found = set()
    for order in (values, values[::-1], sorted(values)):
        rows = spark.createDataFrame([(1, NOON, NOON, v) for v in order], "k int, e timestamp, a timestamp, v double")
        functions = ("variance", "stddev", "sum", "mean", "min", "max", "count_distinct")
        view = View("v", rows.coalesce(1), {"k": "k"}, **CLOCKS, windows=_windows("v", *functions))
        found.add(_one(as_of(_ask(spark), [view]), *functions))
    assert len(found) == 1


def test_a_sum_of_doubles_beyond_their_range_is_infinite(spark: SparkSession) -> None:
    view = View("v", _rows(spark, [1.7e308, 1.7e308], "double"), {"k": "k"}, **CLOCKS, windows=_windows("v", "sum"))
    assert _one(as_of(_ask(spark), [view]), "sum") == (float("inf"),)
    view = View("v", _rows(spark, [-1.7e308] * 3 + [5.0], "double"), {"k": "k"}, **CLOCKS, windows=_windows("v", "sum"))
    assert _one(as_of(_ask(spark), [view]), "sum") == (float("-inf"),)
    view = View("v", _rows(spark, [1.7e308, 1e308, -1.6e308], "double"), {"k": "k"}, **CLOCKS, windows=view.windows)
    assert _one(as_of(_ask(spark), [view]), "sum") == (pytest.approx(1.1e308, rel=1e-15),)


@pytest.mark.parametrize("kind", ["decimal(38,0)", "decimal(38,18)", "decimal(38,36)", "decimal(9,9)", "decimal(18,0)"])
def test_means_and_sums_of_decimals_have_sparks_type_and_the_exact_value(spark: SparkSession, kind: str) -> None:
    scale = int(kind.split(",")[1][:-1])
    values = [Decimal(number).scaleb(-scale) for number in (1, 2, 2, 7, -5, 123456789)]
    rows = _rows(spark, values, kind)
    view = View("v", rows, {"k": "k"}, **CLOCKS, windows=_windows("v", "mean", "sum"))
    answers = as_of(_ask(spark), [view])
    expected = rows.selectExpr("avg(v) AS mean", "sum(v) AS sum")
    assert [kind for name, kind in answers.dtypes if name in ("mean", "sum")] == [kind for _, kind in expected.dtypes]
    truth = oracle.answers(
        oracle.Rules.of(view), {"k": 1, "event_timestamp": NOON + DAY}, [row.asDict() for row in rows.collect()]
    )
    mean, total = _one(answers, "mean", "sum")
    assert truth["mean"].agrees(mean)
    assert total == sum(values)
    assert Fraction(truth["mean"].value) == pytest.approx(Fraction(sum(values)) / 6)


def test_values_beyond_every_number_follow_spark(spark: SparkSession) -> None:
    inf, nan = float("inf"), float("nan")
    for values in ([inf, 1.0], [inf, -inf], [nan, inf], [-inf, -inf], [float("-0.0"), 0.0]):
        rows = _rows(spark, values, "double")
        functions = ("sum", "mean", "min", "max", "variance", "count_distinct")
        spark_says = rows.selectExpr(
            "sum(v) sum", "avg(v) mean", "min(v) min", "max(v) max", "var_samp(v) variance", "count(DISTINCT v) c"
        )
        view = View("v", rows, {"k": "k"}, **CLOCKS, windows=_windows("v", *functions))
        assert repr(_one(as_of(_ask(spark), [view]), *functions)).replace("-0.0", "0.0") == repr(
            tuple(spark_says.collect()[0])
        ).replace("-0.0", "0.0"), values


def test_the_longest_window_and_ttl_reach_everything(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, datetime(1, 1, 1), datetime(1, 1, 1), 5)], "k int, e timestamp, a timestamp, v int"
    )
    ever = timedelta(days=999_999_999)
    views = [
        View("w", rows, {"k": "k"}, **CLOCKS, windows=(Window("n", "count", "*", ever), Window("age", "age", "*"))),
        View("l", rows, {"k": "k"}, **CLOCKS, lookups={"v": "v"}, ttl=ever),
    ]
    t = datetime(9999, 12, 31, 23, 59, 59, 999999)
    assert _one(as_of(_ask(spark, t), views), "n", "v", "age") == (1, 5, (t - datetime(1, 1, 1)) / timedelta(seconds=1))


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("kind", ["array<double>", "struct<x:float>", "array<map<string,int>>"])
def test_a_key_that_holds_floats_or_maps_inside_is_refused(spark: SparkSession, kind: str) -> None:
    rows = spark.createDataFrame([], f"k {kind}, e timestamp, a timestamp, v int")
    spine = spark.createDataFrame([], f"k {kind}, event_timestamp timestamp")
    with pytest.raises(UsageError, match="cannot be compared exactly"):
        as_of(spine, [View("v", rows, {"k": "k"}, **CLOCKS, lookups={"v": "v"})])


def test_two_columns_of_the_spine_may_ask_for_one_kind_of_entity(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [("FRA", NOON, NOON, 1), ("LHR", NOON, NOON, 2)], "k string, e timestamp, a timestamp, v int"
    )
    spine = spark.createDataFrame([("FRA", "LHR", NOON)], "origin string, goal string, event_timestamp timestamp")
    views = [
        View(name, rows, {name: "k"}, **CLOCKS, lookups={"v": "v"}, prefix=f"{name}_") for name in ("origin", "goal")
    ]
    assert _one(as_of(spine, views), "origin_v", "goal_v") == (1, 2)


def test_a_foreign_key_may_lead_through_a_looked_up_value(spark: SparkSession) -> None:
    """Basket line -> product -> category: the category as of t, then what is known of that category at t."""
    products = spark.createDataFrame(
        [(7, NOON, NOON, "cat a"), (7, NOON + DAY, NOON + DAY, "cat b")],
        "p int, e timestamp, a timestamp, category string",
    )
    categories = spark.createDataFrame(
        [("cat a", NOON, NOON, 1), ("cat b", NOON, NOON, 2)], "c string, e timestamp, a timestamp, size int"
    )
    lines = spark.createDataFrame([(7, NOON), (7, NOON + DAY)], "product int, event_timestamp timestamp")
    found = as_of(lines, [View("p", products, {"product": "p"}, **CLOCKS, lookups={"category": "category"})])
    view = View("c", categories, {"category": "c"}, **CLOCKS, lookups={"size": "size"})
    assert sorted(row["size"] for row in as_of(found, [view]).collect()) == [1, 2]


# ---------------------------------------------------------------- clocks


def test_a_ttl_of_one_microsecond_reaches_one_microsecond(spark: SparkSession) -> None:
    rows = _rows(spark, [7], "int")
    views = [View("v", rows, {"k": "k"}, **CLOCKS, lookups={"v": "v"}, ttl=MICRO)]
    asked = [NOON - MICRO, NOON, NOON + MICRO, NOON + 2 * MICRO]
    assert [_one(as_of(_ask(spark, t), views), "v")[0] for t in asked] == [None, 7, 7, None]


def test_a_version_that_moves_its_row_past_t_takes_it_away(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, 1, NOON, NOON, 5), (1, 1, NOON + 9 * DAY, NOON + DAY, 6), (1, 2, NOON - DAY, NOON - DAY, 4)],
        "k int, r int, e timestamp, a timestamp, v int",
    )
    versioned: dict[str, Any] = {**CLOCKS, "row_keys": ("r",)}
    views = [
        View("l", rows, {"k": "k"}, **versioned, lookups={"v": "v"}),
        View("w", rows, {"k": "k"}, **versioned, windows=(Window("n", "count"), Window("s", "sum", "v"))),
    ]
    found = [
        _one(as_of(_ask(spark, t), views), "v", "n", "s") for t in (NOON + DAY - MICRO, NOON + DAY, NOON + 9 * DAY)
    ]
    assert found == [(5, 2, 9), (4, 1, 4), (6, 1, 4)]


def test_a_version_without_a_time_takes_its_row_away(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, 1, NOON, NOON, 5), (1, 1, None, NOON + DAY, 6), (None, 1, NOON, NOON + 2 * DAY, 7)],
        "k int, r int, e timestamp, a timestamp, v int",
    )
    view = View("l", rows, {"k": "k"}, **CLOCKS, row_keys=("r",), lookups={"v": "v"})
    assert [_one(as_of(_ask(spark, NOON + n * DAY), [view]), "v") for n in (0, 1, 2)] == [(5,), (None,), (None,)]


def test_a_deleted_row_returns_with_a_later_version(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON, 5, False), (1, NOON, NOON + DAY, 5, True), (1, NOON, NOON + 2 * DAY, 6, None)],
        "k int, e timestamp, a timestamp, v int, dead boolean",
    )
    versioned: dict[str, Any] = {**CLOCKS, "row_keys": ("k",), "deleted": "dead"}
    views = [
        View("l", rows, {"k": "k"}, **versioned, lookups={"v": "v"}),
        View("w", rows, {"k": "k"}, **versioned, windows=(Window("n", "count"),)),
    ]
    asked = [NOON + n * DAY + MICRO for n in range(3)]
    assert [_one(as_of(_ask(spark, t), views), "v", "n") for t in asked] == [(5, 1), (None, 0), (6, 1)]


@pytest.fixture(params=["Asia/Kolkata", "America/New_York"])
def process_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    os.environ["TZ"] = "UTC"
    time.tzset()


def test_answers_do_not_depend_on_the_zone_of_the_process(spark: SparkSession, process_zone: None) -> None:
    rows = spark.sql("SELECT 1 AS k, timestamp_micros(1710072000000000) AS e, timestamp_micros(1710072300000000) AS a")
    spine = spark.sql("SELECT 1 AS k, timestamp_micros(1710072300000000) AS event_timestamp")
    views = [
        View("l", rows, {"k": "k"}, **CLOCKS, lookups={"seen": "e"}),
        View("w", rows, {"k": "k"}, **CLOCKS, windows=(Window("first", "first", "e"), Window("age", "age"))),
    ]
    reach = (NOON, NOON + timedelta(minutes=5))
    answer = as_of(spine, views, between=reach).selectExpr("unix_micros(seen)", "unix_micros(first)", "age")
    assert [tuple(row) for row in answer.collect()] == [(1710072000000000, 1710072000000000, 300.0)]
