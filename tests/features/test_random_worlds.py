"""The engine against brute force on a thousand small worlds a run, stacked so that Spark runs few jobs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from scorelake.features import oracle
from scorelake.features.asof import as_of
from scorelake.features.views import FUNCTIONS, View, Window
from tests.features import worlds
from tests.features.worlds import DAY, SHORT, THREE_DAYS, TTL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from pyspark.sql import DataFrame, Row, SparkSession

WORLDS = 520
RUNS = settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a seed does not shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ALL = sorted(FUNCTIONS)
LENGTHS = {"7s": SHORT, "1d": DAY, "3d": THREE_DAYS, "ever": None}
BY_K = {"world": "world", "k": "k"}
BY_BOTH = {"world": "world", "k": "k", "place": "place"}


def _windows(column: str, functions: Sequence[str]) -> tuple[Window, ...]:
    return tuple(
        Window(f"{function}_{column}_{name}", function, column, length)
        for function in functions
        for name, length in LENGTHS.items()
    )


def _views(rows: DataFrame) -> list[View]:
    """Over `rows`, which are Parquet files: views whose rows never move are read from these by the workers."""
    clocks = {"event_time": "e", "available_at": "a"}
    order = ("tie", "n", "x", "d", "wide", "s", "arr", "st", "day", "flag", "k", "place", "rid", "dead")
    values = {"x": "x", "n": "n", "d": "d", "s": "s", "arr": "arr", "st": "st", "day": "day", "flag": "flag"}
    versioned: dict[str, Any] = {**clocks, "row_keys": ("world", "rid"), "order": order, "deleted": "dead"}
    return [
        View("moving", rows, BY_K, **versioned, ttl=TTL, lookups=values, prefix="m_"),
        View("plain", rows, BY_K, **clocks, is_scan=True, lookups=values, prefix="p_"),
        View(
            "own",
            rows,
            BY_BOTH,
            **clocks,
            row_keys=("world", "k", "place", "rid"),
            lookups=values,
            prefix="o_",
            is_scan=True,
        ),
        View("blind", rows, BY_K, **versioned, second_clock=False, lookups=values, prefix="b_"),
        View("clockless", rows, BY_BOTH, event_time="e", available_at=None, lookups=values, prefix="c_", is_scan=True),
        View(
            "windows",
            rows,
            BY_K,
            **versioned,
            prefix="w_",
            windows=(
                *_windows("*", ("count", "age")),
                *_windows("x", ALL),
                *_windows("n", ALL),
                *_windows("d", ALL),
                *_windows("wide", ("sum", "mean", "min", "max", "count_distinct", "variance")),
                *_windows("s", ("min", "max", "first", "last", "count_distinct", "count")),
                *_windows("arr", ("max", "first", "count_distinct")),
                *_windows("st", ("min", "last", "count_distinct")),
            ),
        ),
        View(
            "unversioned",
            rows,
            BY_BOTH,
            **clocks,
            is_scan=True,
            prefix="u_",
            windows=(
                *_windows("x", ALL),
                *_windows("day", ("min", "max", "last")),
                *_windows("flag", ("min", "max", "count_distinct")),
            ),
        ),
        View(
            "blind_windows",
            rows,
            BY_K,
            **versioned,
            second_clock=False,
            prefix="v_",
            windows=_windows("n", ALL),
        ),
    ]


def _differences(views: Sequence[View], answers: Sequence[Row], all_worlds: worlds.Worlds) -> list[str]:
    by_world: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in all_worlds.rows:
        by_world[row["world"]].append(row)
    rules = [oracle.Rules.of(view) for view in views]
    found = []
    for row in answers:
        answer = row.asDict(recursive=True)
        for rule in rules:
            truth = oracle.answers(rule, answer, by_world[answer["world"]])
            found += [
                f"world {answer['world']} question {answer['q']}: {name} is {answer[name]!r}, not {true.value!r}"
                for name, true in truth.items()
                if not true.agrees(answer[name])
            ]
    return found


def _rows_of(answers: Sequence[Row], names: Sequence[str]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in answers), key=repr)


@RUNS
@given(seed=st.integers(0, 2**32))
def test_answers_equal_brute_force_on_random_worlds(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    all_worlds = worlds.build(seed, WORLDS)
    rows, spine = worlds.frames(spark, all_worlds)
    files = str(tmp_path_factory.mktemp("rows"))
    rows.write.mode("overwrite").parquet(files)
    views = _views(spark.read.parquet(files))

    answers = as_of(spine, views).collect()

    assert _differences(views, answers, all_worlds)[:5] == []
    assert _rows_of(answers, spine.columns) == _rows_of([*spine.collect()], spine.columns)


def test_nothing_that_is_learnt_after_t_changes_an_answer_at_t(spark: SparkSession) -> None:
    """Rows of 2024-03-31 and before: the future holds other events, corrections, deletes and moves."""
    until = worlds.STARTS[0] + THREE_DAYS
    some = worlds.build(17, 150)
    found = []
    for future in (some, worlds.with_another_future(some, 1, until), worlds.with_another_future(some, 2, until)):
        rows, spine = worlds.frames(spark, future)
        views = [view for view in _views(rows) if view.is_clocked]
        views = [replace(view, is_scan=False) for view in views]
        answers = as_of(spine.where(F.col("event_timestamp") <= F.lit(until)), views).collect()
        found.append(sorted(map(repr, answers)))
    assert len(found[0]) > 100
    assert found[0] == found[1] == found[2]
