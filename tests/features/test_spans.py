from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorelake.features.exact import Digit
from scorelake.features.spans import LEAST, Spans
from scorelake.features.timeline import FOREVER, Instants, Timeline
from scorelake.features.windows import Ask, Questions, Windows

if TYPE_CHECKING:
    from collections.abc import Callable

DISTANT = 9_000_000_000_000_000
Row = tuple[int, int, int, int, int]
instants = st.one_of(st.integers(-3, 12), st.sampled_from([-DISTANT, DISTANT]))
rows = st.lists(
    st.tuples(st.integers(0, 2), instants, st.integers(-3, 12), st.integers(0, 9), st.integers(-2, 2)), max_size=60
)
questions = st.lists(st.tuples(st.integers(0, 2), instants), max_size=30)
lengths = st.sampled_from([None, 1, 3, 8, 1 << 61])


def _line(some: list[Row], *, replaced: bool) -> Timeline:
    code, at, since, stays, _ = (np.array([row[i] for row in some], dtype=np.int64) for i in range(5))
    until = np.where(stays < 5, since + stays, FOREVER) if replaced else None
    return Timeline(3, code, at, np.arange(len(code)), since, until)


@given(rows, questions, lengths, st.booleans())
def test_spans_say_what_every_window_holds(
    some: list[Row], asks: list[tuple[int, int]], length: int | None, replaced: bool
) -> None:
    some, asks = sorted(some), sorted(asks)
    line = _line(some, replaced=replaced)
    asked = Instants(*(np.array([ask[i] for ask in asks], dtype=np.int64) for i in range(2)))
    value = np.array([row[4] for row in some], dtype=np.int64)
    spans = Spans(line, asked)

    held = [
        [
            i
            for i, (row_code, at, since, stays, _) in enumerate(some)
            if row_code == code
            and at < t
            and (length is None or t - at <= length)
            and since <= t
            and not (replaced and stays < 5 and t >= since + stays)
        ]
        for code, t in asks
    ]
    (total,) = spans.over(spans.running([Digit(0, value)]), length)
    assert total.values.tolist() == [sum(some[i][4] for i in window) for window in held]
    assert spans.greatest(value, length).tolist() == [max((some[i][4] for i in w), default=LEAST) for w in held]
    distinct = spans.distinct(spans.by_value(value), length)
    assert distinct.tolist() == [len({some[i][4] for i in window}) for window in held]
    assert Questions(line, asked).last(length).tolist() == [max(window, default=-1) for window in held]
    assert Questions(line, asked).first(length).tolist() == [min(window, default=-1) for window in held]


COUNT, ASKED, DAY = 20_000, 5_000, 1_000_000


def _once(at: np.ndarray) -> Timeline:
    return Timeline(1, np.zeros_like(at), at, np.arange(len(at)), at)


def _again(at: np.ndarray, delivered: np.ndarray) -> Timeline:
    """Each row once more, by a version that is known later."""
    both = np.repeat(at, 2)
    since = np.stack([at, delivered], axis=1).ravel()
    until = np.stack([delivered, np.full(len(at), FOREVER)], axis=1).ravel()
    return Timeline(1, np.zeros_like(both), both, np.arange(len(both)), since, until)


HOT: dict[str, Callable[[np.ndarray], Timeline]] = {
    "delivered once": _once,
    "again a day later": lambda at: _again(at, at + DAY),
    "all again at the end": lambda at: _again(at, np.full(len(at), 400 * DAY)),
    "late": lambda at: Timeline(1, np.zeros_like(at), at, np.arange(len(at)), at + 200 * DAY),
}


@pytest.mark.parametrize("constant", [False, True], ids=["values differ", "values are equal"])
@pytest.mark.parametrize("delivery", list(HOT))
@pytest.mark.parametrize(
    "function", ["count", "sum", "mean", "min", "max", "count_distinct", "first", "last", "stddev"]
)
def test_one_hot_key_costs_memory_in_proportion_to_its_rows(function: str, delivery: str, constant: bool) -> None:
    """Row by row these windows would hold 25 million pairs of question and row."""
    at = np.sort(np.random.default_rng(1).integers(0, 365 * DAY, COUNT))
    line = HOT[delivery](at)
    asked = Instants(np.zeros(ASKED, dtype=np.int64), np.linspace(90 * DAY, 365 * DAY, ASKED).astype(np.int64))
    numbers = np.ones(len(line)) if constant else np.random.default_rng(2).normal(50, 20, len(line))
    column = pa.array(numbers)
    kind = pa.int64() if "count" in function else pa.float64()
    tracemalloc.start()
    try:
        for days in (7, 90, None):
            length = None if days is None else days * DAY
            Windows(Questions(line, asked), column).answer(Ask(function, function, "v", length, kind))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 600 * (len(line) + ASKED)
