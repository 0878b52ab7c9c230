from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PythonException

from scorelake.errors import UsageError
from scorelake.features.asof import as_of
from scorelake.features.views import View, Window
from tests.features import worlds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

NOON = datetime(2024, 3, 10, 12)
MICRO, MINUTE, DAY = timedelta(microseconds=1), timedelta(minutes=1), timedelta(days=1)
ROWS = "k int, e timestamp, a timestamp, v bigint"
SPINE = "q int, k int, event_timestamp timestamp"


def _view(rows: DataFrame, **changes: Any) -> View:
    settings: dict[str, Any] = {"join_keys": {"k": "k"}, "event_time": "e", "available_at": "a"}
    if "windows" not in changes:
        settings["lookups"] = {"v": "v"}
    return View("events", rows, **{**settings, **changes})


def _asked(spark: SparkSession, instants: Sequence[datetime | None], key: int | None = 1) -> DataFrame:
    return spark.createDataFrame([(q, key, t) for q, t in enumerate(instants)], SPINE)


def _values(answers: DataFrame, *names: str) -> list[Any]:
    found = [
        row[names[0]] if len(names) == 1 else tuple(row[n] for n in names) for row in answers.orderBy("q").collect()
    ]
    return found


def test_an_event_is_seen_from_its_availability_until_its_ttl_inclusive(spark: SparkSession) -> None:
    year = 365 * DAY
    rows = spark.createDataFrame(
        [(1, NOON, NOON + 5 * MINUTE, 7), (1, NOON + 10 * DAY, NOON + 10 * DAY + 5 * MINUTE, 8)], ROWS
    )
    first = [NOON + 5 * MINUTE - MICRO, NOON + 5 * MINUTE]
    last = [NOON + 10 * DAY + year, NOON + 10 * DAY + year + MICRO]

    assert _values(as_of(_asked(spark, [*first, *last]), [_view(rows, ttl=year)]), "v") == [None, 7, 8, None]
    alone = _view(rows.where("v = 7"), ttl=year)
    assert _values(as_of(_asked(spark, [NOON + year, NOON + year + MICRO]), [alone]), "v") == [7, None]


def test_a_window_excludes_an_event_at_its_end_and_includes_one_at_its_beginning(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 7)], ROWS)
    view = _view(rows, windows=(Window("n", "count", "*", DAY),))
    spine = _asked(spark, [NOON, NOON + MICRO, NOON + DAY, NOON + DAY + MICRO])
    assert _values(as_of(spine, [view]), "n") == [0, 1, 1, 0]


def test_a_lookup_includes_an_event_at_its_instant(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 7)], ROWS)
    assert _values(as_of(_asked(spark, [NOON - MICRO, NOON]), [_view(rows)]), "v") == [None, 7]


def test_a_correction_changes_nothing_before_it_is_available(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 7), (1, NOON, NOON + 3 * DAY, 9)], ROWS)
    view = _view(rows, row_keys=("k",), windows=(Window("s", "sum", "v"),))
    assert _values(as_of(_asked(spark, [NOON + 3 * DAY - MICRO, NOON + 3 * DAY]), [view]), "s") == [7, 9]


def test_a_correction_takes_its_row_to_another_entity(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON, 7, "r"), (2, NOON, NOON + DAY, 7, "r")], "k int, e timestamp, a timestamp, v bigint, r string"
    )
    view = _view(rows, row_keys=("r",))
    t = [NOON, NOON + DAY - MICRO, NOON + DAY]
    assert _values(as_of(_asked(spark, t, key=1), [view]), "v") == [7, 7, None]
    assert _values(as_of(_asked(spark, t, key=2), [view]), "v") == [None, None, 7]


def test_a_delete_hides_its_row_from_its_availability_on(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON, 7, False), (1, NOON, NOON + DAY, None, True)],
        "k int, e timestamp, a timestamp, v bigint, dead boolean",
    )
    view = _view(rows, row_keys=("k",), deleted="dead")
    assert _values(as_of(_asked(spark, [NOON + DAY - MICRO, NOON + DAY]), [view]), "v") == [7, None]


def test_with_the_second_clock_off_the_latest_version_of_all_counts(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 7), (1, NOON, NOON + 9 * DAY, 9)], ROWS)
    view = _view(rows, row_keys=("k",), second_clock=False)
    assert _values(as_of(_asked(spark, [NOON - MICRO, NOON]), [view]), "v") == [None, 9]


def test_the_declared_tie_break_decides_and_null_loses(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON, 7, None), (1, NOON, NOON, 8, 1), (1, NOON, NOON, 9, 0)],
        "k int, e timestamp, a timestamp, v bigint, n int",
    )
    assert _values(as_of(_asked(spark, [NOON]), [_view(rows, order=("n",))]), "v") == [8]


def test_a_null_key_or_instant_gives_nulls_and_counts_too(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(None, NOON, NOON, 7), (1, NOON, NOON, 8)], ROWS)
    views = [_view(rows), _view(rows, windows=(Window("n", "count"),))]
    assert _values(as_of(_asked(spark, [NOON + DAY], key=None), views), "v", "n") == [(None, None)]
    assert _values(as_of(_asked(spark, [None], key=1), views), "v", "n") == [(None, None)]
    assert _values(as_of(_asked(spark, [NOON + DAY], key=5), views), "v", "n") == [(None, 0)]


def test_empty_sides_give_empty_answers(spark: SparkSession) -> None:
    rows = spark.createDataFrame([], ROWS)
    views = [
        _view(rows),
        _view(rows, windows=(Window("n", "count"), Window("s", "max", "v"), Window("d", "mean", "v"))),
    ]
    assert _values(as_of(_asked(spark, [NOON]), views), "v", "n", "s", "d") == [(None, 0, None, None)]
    assert as_of(_asked(spark, []), views).collect() == []


@pytest.mark.parametrize(
    ("type_name", "one", "other"),
    [
        ("string", "b|c", "b"),
        ("decimal(20,3)", Decimal("1.500"), Decimal("1.501")),
        ("date", date(2024, 1, 1), date(2024, 1, 2)),
        ("timestamp", NOON, NOON + MICRO),
        ("boolean", True, False),
        ("binary", bytearray(b"\x00\x01"), bytearray(b"\x00")),
        ("array<string>", ["a", None], ["a"]),
    ],
)
def test_keys_of_any_type_match_by_value(spark: SparkSession, type_name: str, one: Any, other: Any) -> None:
    rows = spark.createDataFrame(
        [(one, NOON, NOON, 1), (other, NOON, NOON, 2)], f"key {type_name}, e timestamp, a timestamp, v int"
    )
    spine = spark.createDataFrame(
        [(0, one, NOON), (1, other, NOON)], f"q int, k {type_name}, event_timestamp timestamp"
    )
    assert _values(as_of(spine, [_view(rows, join_keys={"k": "key"})]), "v") == [1, 2]


def test_composite_keys_do_not_collide_when_written_together(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [("a", "b|c", NOON, 1), ("a|b", "c", NOON, 2)], "x string, y string, e timestamp, v int"
    )
    spine = spark.createDataFrame(
        [(0, "a|b", "c", NOON), (1, "a", "b|c", NOON)], "q int, x string, y string, event_timestamp timestamp"
    )
    view = View("v", rows, {"y": "y", "x": "x"}, "e", None, lookups={"v": "v"})
    assert _values(as_of(spine, [view]), "v") == [2, 1]


def test_integer_keys_of_other_widths_match_and_other_types_are_refused(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 7)], "k bigint, e timestamp, a timestamp, v smallint")
    answers = as_of(_asked(spark, [NOON]), [_view(rows)])
    assert dict(answers.dtypes)["v"] == "smallint"
    assert _values(answers, "v") == [7]
    with pytest.raises(UsageError, match="key k is int in the spine and string in the source"):
        as_of(_asked(spark, [NOON]), [_view(rows.selectExpr("string(k) k", "e", "a", "v"))])
    floating = rows.selectExpr("double(k) k", "e", "a", "v")
    with pytest.raises(UsageError, match="cannot be compared exactly"):
        as_of(_asked(spark, [NOON]).selectExpr("q", "double(k) k", "event_timestamp"), [_view(floating)])


def test_an_integer_stays_an_integer_beside_nulls_and_columns_keep_their_order(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 2**62 + 1)], ROWS)
    spine = _asked(spark, [NOON, NOON - DAY])
    answers = as_of(spine, [_view(rows, prefix="b__"), _view(rows, join_keys={}, prefix="a__")], audit=True)
    audits = ["events__event_time", "events__age"]
    assert answers.columns == [
        *spine.columns,
        "b__v",
        *("b__" + a for a in audits),
        "a__v",
        *("a__" + a for a in audits),
    ]
    assert _values(answers, "b__v", "b__events__age") == [(2**62 + 1, 0.0), (None, None)]


def test_a_calendar_without_an_entity_joins_every_row(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(date(2024, 3, d), f"day {d}") for d in range(1, 29)], "day date, name string")
    view = View("calendar", rows, {}, "day", None, lookups={"name": "name"})
    spine = _asked(spark, [datetime(2024, 3, d, 5) for d in (3, 9, 20)], key=None)
    assert _values(as_of(spine, [view]), "name") == ["day 3", "day 9", "day 20"]


def test_a_sum_that_does_not_fit_a_bigint_names_its_feature(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON, 2**63 - 1), (1, NOON, NOON, 1)], ROWS)
    total = _view(rows, windows=(Window("revenue", "sum", "v"),))
    with pytest.raises(PythonException, match="feature revenue: a total does not fit"):
        as_of(_asked(spark, [NOON + DAY]), [total]).collect()
    mean = _view(rows, windows=(Window("m", "mean", "v"),))
    assert _values(as_of(_asked(spark, [NOON + DAY]), [mean]), "m") == [2.0**62]


def test_decimal_results_have_the_types_of_spark(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON, Decimal("0.01")), (1, NOON, NOON, Decimal("0.02")), (1, NOON, NOON, Decimal("0.02"))],
        "k int, e timestamp, a timestamp, v decimal(10,2)",
    )
    view = _view(rows, windows=(Window("s", "sum", "v"), Window("m", "mean", "v"), Window("x", "max", "v")))
    answers = as_of(_asked(spark, [NOON + DAY]), [view])
    assert [t for n, t in answers.dtypes if n in "smx"] == ["decimal(20,2)", "decimal(14,6)", "decimal(10,2)"]
    assert _values(answers, "s", "m", "x") == [(Decimal("0.05"), Decimal("0.016667"), Decimal("0.02"))]


def test_a_window_next_to_a_huge_value_inherits_none_of_its_rounding(spark: SparkSession) -> None:
    later, last = NOON + DAY, NOON + 3 * DAY
    rows = spark.createDataFrame(
        [(1, t, t, v) for t, v in ((NOON, 1e300), (later, 0.1), (later, float("nan")), (last, 0.1), (last, 0.2))],
        "k int, e timestamp, a timestamp, v double",
    )
    names = ("sum", "mean", "variance")
    view = _view(rows, windows=tuple(Window(name, name, "v", DAY) for name in names))
    ((total, mean, variance),) = _values(as_of(_asked(spark, [NOON + 3 * DAY + MICRO]), [view]), *names)
    assert (total, mean) == (0.1 + 0.2, (0.1 + 0.2) / 2)
    assert variance == pytest.approx(0.005, rel=1e-12)


def test_a_spread_far_below_the_size_of_its_values_is_exact(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, NOON, NOON, 1e9 + x) for x in (0.0, 1e-6, 2e-6)], "k int, e timestamp, a timestamp, v double"
    )
    view = _view(rows, windows=(Window("s", "stddev", "v"),))
    true = [1e9, 1e9 + 1e-6, 1e9 + 2e-6]
    centre = [x - 1e9 for x in true]
    mean = sum(centre) / 3
    expected = (sum((x - mean) ** 2 for x in centre) / 2) ** 0.5
    assert _values(as_of(_asked(spark, [NOON + DAY]), [view]), "s") == [pytest.approx(expected, rel=1e-9)]


def test_what_the_future_holds_changes_nothing(spark: SparkSession) -> None:
    now = NOON + DAY
    past = [(1, NOON + i * MINUTE, NOON + i * MINUTE, i) for i in range(50)]
    one = [(1, now + i * DAY, now + i * DAY, 2**40 + i) for i in range(1, 9)]
    other = [*((1, now + i * MINUTE, NOON, -i) for i in range(1, 7)), (1, NOON, now + MICRO, 5)]
    functions = ("sum", "mean", "stddev", "min", "max", "count_distinct", "first", "last", "age")
    answers = []
    for future in (one, other):
        rows = spark.createDataFrame([*past, *future], ROWS)
        windows = tuple(Window(f, f, "v", 2 * DAY) for f in functions)
        answers.append(
            _values(as_of(_asked(spark, [now]), [_view(rows), _view(rows, windows=windows)]), "v", *functions)
        )
    assert answers[0] == answers[1]


def test_answers_are_bit_identical_for_any_partitioning(spark: SparkSession) -> None:
    some = worlds.build(11, 80)
    rows, spine = worlds.frames(spark, some)
    keys = {"world": "world", "k": "k"}
    clocks: dict[str, Any] = {"event_time": "e", "available_at": "a", "row_keys": ("world", "rid")}
    functions = ("sum", "mean", "stddev", "min", "count_distinct", "last")
    views = [
        View("look", rows, keys, **clocks, lookups={"x": "x", "arr": "arr"}),
        View("win", rows, keys, **clocks, windows=tuple(Window(f, f, "x", worlds.THREE_DAYS) for f in functions)),
    ]
    found = []
    for partitions in (1, 2, 7):
        shuffled = [replace(view, rows=rows.repartition(partitions)) for view in views]
        answers = as_of(spine.repartition(partitions), shuffled, partitions=partitions).collect()
        found.append(sorted(repr(row) for row in answers))
    assert found[0] == found[1] == found[2]


def test_a_key_with_half_of_all_rows_neither_fails_nor_changes_an_answer(spark: SparkSession) -> None:
    rows = spark.range(200_000).selectExpr(
        "int(if(id % 2 = 0, 1, id % 1000 + 2)) AS k",
        "timestamp_micros(1700000000000000 + id * 1000000) AS e",
        "timestamp_micros(1700000000000000 + id * 1000000 + 500000) AS a",
        "id AS v",
    )
    last = datetime(2023, 11, 14, 22, 13, 20) + timedelta(seconds=200_000)
    windows = (
        Window("n", "count"),
        Window("s", "sum", "v"),
        Window("d", "count_distinct", "v"),
        Window("m", "max", "v"),
    )
    spine = _asked(spark, [last] * 3, key=1)
    answers = as_of(spine, [_view(rows), _view(rows, windows=windows, prefix="w_")])
    total = sum(range(0, 200_000, 2))
    assert _values(answers, "v", "w_n", "w_s", "w_d", "w_m") == [(199_998, 100_000, total, 100_000, 199_998)] * 3


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_answers_do_not_depend_on_the_zone_of_the_session(spark: SparkSession, zone: str) -> None:
    rows = spark.createDataFrame([(1, NOON, NOON + 5 * MINUTE, 7)], ROWS).cache()
    spine = _asked(spark, [NOON + 5 * MINUTE - MICRO, NOON + 5 * MINUTE, NOON + DAY + MICRO]).cache()
    view = _view(rows, windows=(Window("n", "count", "*", DAY), Window("age", "age")))
    expected = _values(as_of(spine, [_view(rows, ttl=DAY), view]), "v", "n", "age")
    calendar = View("c", rows.selectExpr("date(e) AS day", "v"), {}, "day", None, lookups={"v": "v"})
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        assert _values(as_of(spine, [_view(rows, ttl=DAY), view]), "v", "n", "age") == expected
        with pytest.raises(UsageError, match="a column without a zone means UTC here"):
            as_of(spine, [calendar])
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_a_known_range_of_instants_prunes_without_changing_answers(spark: SparkSession) -> None:
    some = worlds.build(5, 60)
    rows, spine = worlds.frames(spark, some)
    spine = spine.where("event_timestamp >= '2024-03-01'")
    keys = {"world": "world", "k": "k"}
    clocks: dict[str, Any] = {"event_time": "e", "available_at": "a"}
    views = [
        View("one", rows, keys, **clocks, ttl=worlds.TTL, lookups={"x": "x"}),
        View("two", rows, keys, **clocks, windows=(Window("n", "count", "*", worlds.DAY),)),
        View("three", rows, keys, **clocks, row_keys=("world", "rid"), lookups={"y": "x"}),
    ]
    reach = (datetime(2024, 3, 1), datetime(2025, 1, 1))
    pruned = sorted(repr(row) for row in as_of(spine, views, between=reach).collect())
    assert pruned == sorted(repr(row) for row in as_of(spine, views).collect())
    with pytest.raises(PythonException, match="the spine holds an instant outside"):
        as_of(spine, views, between=(datetime(2024, 6, 1), datetime(2025, 1, 1))).collect()


def test_columns_that_would_stand_twice_are_refused(spark: SparkSession) -> None:
    rows = spark.createDataFrame([], ROWS)
    with pytest.raises(UsageError, match="columns v would stand twice"):
        as_of(_asked(spark, []), [_view(rows), _view(rows)])


def test_a_number_is_expected_where_a_window_calculates(spark: SparkSession) -> None:
    rows = spark.createDataFrame([], "k int, e timestamp, a timestamp, v string")
    with pytest.raises(UsageError, match="sum of v, which is string; expected a number"):
        as_of(_asked(spark, []), [_view(rows, windows=(Window("s", "sum", "v"),))])
