from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorelake.tables import Silver
from scorelake.transform import visible
from scorelake.transform.visible import SINCE, UNTIL, History

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY_0 = date(2024, 1, 1)
DDL = "world INT, k STRING, at TIMESTAMP, v INT, is_deleted BOOLEAN, available_at TIMESTAMP, run_date DATE"
COLUMNS = ["world INT", "k STRING", "at TIMESTAMP", "v INT"]


def contract(**more: Any) -> Silver:
    described = {"name": "silver.t", "description": "t", "columns": COLUMNS, "keys": ["world", "k"], "event_time": "at"}
    return Silver.model_validate({**described, **more})


def day(number: int) -> datetime:
    """The end of the drop of DAY_0 + number."""
    return datetime.combine(DAY_0, datetime.min.time()) + timedelta(days=number + 1)


Version = tuple[str | None, int | None, int | None, bool, int]
"""Key, event time in days, value, deleted, drop."""


def stored(spark: SparkSession, worlds: Iterable[Sequence[Version]]) -> DataFrame:
    rows = [
        (world, k, at if at is None else day(at), v, gone, day(drop), DAY_0 + timedelta(days=drop))
        for world, versions in enumerate(worlds)
        for k, at, v, gone, drop in versions
    ]
    return spark.createDataFrame(rows, DDL)


def seen(history: History, t: datetime, world: int = 0) -> list[tuple[Any, ...]]:
    rows = visible.visible_at(history, t).where(f"world = {world}").select("k", "v").collect()
    return sorted((tuple(row) for row in rows), key=str)


def as_known(versions: Sequence[Version], last_drop: int) -> list[tuple[str | None, int | None]]:
    """The rule of semantics.md, section 2, row by row: what is visible when drops up to `last_drop` have ended."""
    known = [version for version in versions if version[4] <= last_drop]
    of_key: dict[str, Version] = {}
    answer = [(k, v) for k, _, v, gone, _ in known if k is None and not gone]
    for version in known:
        k, at, v, _, drop = version
        if k is not None:
            rank = (drop, (at is not None, at or 0), (v is not None, v or 0))
            best = of_key.get(k)
            if best is None or rank > (
                best[4],
                (best[1] is not None, best[1] or 0),
                (best[2] is not None, best[2] or 0),
            ):
                of_key[k] = version
    answer += [(k, v) for k, _, v, gone, _ in of_key.values() if not gone]
    return sorted(answer, key=str)


# A tie between a deleting version and another with equal content is not generated: which of them counts is open.
VERSION = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.sampled_from([0, 1, None]),
    st.sampled_from([1, 2, None]),
    st.just(False),
    st.integers(0, 3),
)
DELETE = st.tuples(st.sampled_from(["a", "b"]), st.just(9), st.none(), st.just(True), st.integers(0, 3))
WORLD = st.lists(st.one_of(VERSION, VERSION, DELETE), max_size=8)


@given(worlds=st.lists(WORLD, min_size=100, max_size=100))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_visible_rows_are_those_of_the_rule(spark: SparkSession, worlds: list[list[Version]]) -> None:
    rows = stored(spark, worlds)
    unknown = History(rows, contract())
    known = unknown.knowing(visible.corrected_keys(unknown), count=1)
    for history, drop in itertools.product([unknown, known, visible.with_ends(known)], [0, 2]):
        found: dict[int, list[tuple[Any, ...]]] = {world: [] for world in range(len(worlds))}
        for row in visible.visible_at(history, day(drop)).select("world", "k", "v").collect():
            found[row["world"]].append((row["k"], row["v"]))
        expected = {world: as_known(versions, drop) for world, versions in enumerate(worlds)}
        assert {world: sorted(found[world], key=str) for world in found} == expected


@given(worlds=st.lists(WORLD, min_size=100, max_size=100))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_intervals_say_the_same_for_every_instant(spark: SparkSession, worlds: list[list[Version]]) -> None:
    rows = visible.intervals(History(stored(spark, worlds), contract())).collect()
    for drop in range(4):
        t = day(drop)
        found: dict[int, list[tuple[Any, ...]]] = {world: [] for world in range(len(worlds))}
        for row in rows:
            if row[SINCE] <= t and (row[UNTIL] is None or t < row[UNTIL]):
                found[row["world"]].append((row["k"], row["v"]))
        expected = {
            world: [pair for pair in as_known(versions, drop) if pair[0] is not None]
            for world, versions in enumerate(worlds)
        }
        assert {world: sorted(found[world], key=str) for world in found} == expected


def test_a_row_is_visible_from_its_available_at_on(spark: SparkSession) -> None:
    history = History(stored(spark, [[("a", 0, 1, False, 2)]]), contract())
    assert seen(history, day(2) - timedelta(microseconds=1)) == []
    assert seen(history, day(2)) == [("a", 1)]


def test_a_correction_moves_the_key_wholly(spark: SparkSession) -> None:
    history = History(stored(spark, [[("a", 1, 1, False, 1), ("a", 9, 2, False, 2)]]), contract())
    assert seen(history, day(1)) == [("a", 1)]
    assert seen(history, day(2)) == [("a", 2)]


def test_a_deleted_key_comes_back_with_a_later_version(spark: SparkSession) -> None:
    versions: list[Version] = [("a", 0, 1, False, 0), ("a", 0, 1, True, 1), ("a", 0, 3, False, 2)]
    history = History(stored(spark, [versions]), contract())
    assert [seen(history, day(n)) for n in range(3)] == [[("a", 1)], [], [("a", 3)]]


def test_without_keys_every_row_is_its_own(spark: SparkSession) -> None:
    history = History(stored(spark, [[("a", 0, 1, False, 0), ("a", 0, 1, False, 1)]]), contract(keys=[]))
    assert seen(history, day(1)) == [("a", 1), ("a", 1)]


SNAPSHOTS: list[Version] = [("a", 0, 1, False, 0), ("b", 0, 1, False, 0), ("a", 0, 2, False, 1), ("b", 0, 3, False, 3)]


def test_a_key_absent_from_the_newest_snapshot_is_gone(spark: SparkSession) -> None:
    history = History(stored(spark, [SNAPSHOTS]), contract(), snapshots=[DAY_0 + timedelta(days=n) for n in (0, 1, 3)])
    assert [seen(history, day(n)) for n in range(4)] == [[("a", 1), ("b", 1)], [("a", 2)], [("a", 2)], [("b", 3)]]


def test_an_empty_snapshot_deletes_everything(spark: SparkSession) -> None:
    dates = [DAY_0 + timedelta(days=n) for n in (0, 1, 2, 3)]
    history = History(stored(spark, [SNAPSHOTS]), contract(), snapshots=dates)
    assert [seen(history, day(n)) for n in (1, 2, 3)] == [[("a", 2)], [], [("b", 3)]]
    ends = {(row["k"], row["v"]): row[UNTIL] for row in visible.intervals(history).collect()}
    assert ends == {("a", 1): day(1), ("b", 1): day(1), ("a", 2): day(2), ("b", 3): None}


@pytest.mark.parametrize("availability", [None, {"column": "at", "history": True}])
def test_slices_are_pruned_only_where_no_row_can_be_known_earlier(
    spark: SparkSession, availability: dict[str, Any] | None
) -> None:
    rows = spark.createDataFrame([(0, "a", day(0), 1, False, day(0), DAY_0 + timedelta(days=9))], DDL)
    history = History(rows, contract(availability=availability))
    assert seen(history, day(1)) == ([] if availability is None else [("a", 1)])


def test_many_instants_sort_a_corrected_history_once(spark: SparkSession) -> None:
    history = History(stored(spark, [[("a", 0, 1, False, 0), ("a", 0, 2, False, 1)]]), contract())
    ended = visible.with_ends(history.knowing(visible.corrected_keys(history), count=1))
    ended = replace(ended, rows=ended.rows.localCheckpoint())
    assert [seen(ended, day(drop)) for drop in (0, 1)] == [[("a", 1)], [("a", 2)]]
    plan = visible.visible_at(ended, day(0))._jdf.queryExecution().toString()  # type: ignore[operator]
    assert "Window" not in plan
    assert "Exchange" not in plan


def test_a_history_without_corrections_is_not_sorted(spark: SparkSession) -> None:
    history = History(stored(spark, [[("a", 0, 1, False, 0)]]), contract())
    corrected = visible.corrected_keys(history)
    assert corrected.count() == 0
    known = history.knowing(corrected, count=0)
    plan = visible.visible_at(known, day(0))._jdf.queryExecution().toString()  # type: ignore[operator]
    assert "Window" not in plan
    assert "Exchange" not in plan
