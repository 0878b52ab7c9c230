"""Counting a batch: each row once, in the cell that the definition says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorelake.drift.build import build_arrow
from scorelake.drift.cells import CategoricalCells, NumericCells, ValueCells
from scorelake.drift.freeze import Cutting
from scorelake.drift.kernel import Counter, merge, problems
from scorelake.drift.profile import Profile

NUMBERS = st.one_of(
    st.none(), st.integers(-9, 9).map(float), st.sampled_from([0.5, math.nan, math.inf, -math.inf, -0.0])
)
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "c", "d", "é", "<script>"]))


def counted(profile: Profile, *batches: pa.RecordBatch, weight: str | None = None) -> Any:
    counter = Counter(profile, weight=weight)
    for batch in batches:
        counter.add(batch)
    return merge(profile, [counter.part(0)])


def cell_of(value: Any, cells: Any) -> int:
    """The definition, one value at a time."""
    size = len(cells.names)
    if value is None:
        return size - 1
    if isinstance(cells, CategoricalCells):
        return cells.top.index(value) if value in cells.top else cells.cell_of_rare(value)
    if math.isnan(value):
        return size - 2
    if isinstance(cells, ValueCells):
        return cells.values.index(value) if value in cells.values else size - 3
    assert isinstance(cells, NumericCells)
    if value < cells.low or value > cells.high:
        return 0 if value < cells.low else size - 3
    return 1 + sum(value > edge for edge in cells.edges)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(NUMBERS, TEXTS, TEXTS), min_size=1, max_size=30),
    st.lists(st.tuples(NUMBERS, TEXTS, TEXTS), max_size=30),
    st.integers(0, 4),
    st.integers(0, 7),
)
def test_counts_are_those_of_the_definition(
    before: list[tuple[Any, ...]], now: list[tuple[Any, ...]], max_values: int, skipped: int
) -> None:
    def table(rows: list[tuple[Any, ...]]) -> pa.Table:
        kinds = {"x": pa.float64(), "t": pa.string(), "s": pa.string()}
        return pa.table(
            {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(kinds.items())}
        )

    cutting = Cutting(bins=3, categories=2, max_values=max_values, max_segments=3)
    profile = build_arrow(table(before), ["x", "t"], segments=["s"], cutting=cutting)
    # A slice of a larger batch: values and validity bits then start in the middle of their buffers.
    batches = table(now).slice(min(skipped, len(now))).combine_chunks().to_batches()
    kept = now[min(skipped, len(now)) :]
    counts = counted(profile, *batches)
    for name, column in (("x", 0), ("t", 1)):
        for position, segment in enumerate(profile.segments):
            rows = [row for row in kept if segment in ("all", f"s={row[2]}")]
            expected = [0] * profile[name].width
            for row in rows:
                expected[cell_of(row[column], profile[name].cells)] += 1
            assert counts.of(name, position).rows.tolist() == expected


def test_batches_add_up_and_an_empty_one_adds_nothing() -> None:
    rows = pa.record_batch({"x": pa.array([1, 2, None]), "t": pa.array(["a", None, "b"])})
    profile = build_arrow(pa.table(rows), ["x", "t"])
    counts = counted(profile, rows, rows.slice(0, 0), rows.slice(1))
    assert counts.of("x").rows.tolist() == [1, 2, 0, 0, 2]
    assert counts.of("t").rows.tolist() == [1, 2, 0, 0, 2]


def test_a_dictionary_is_counted_like_its_texts() -> None:
    texts = pa.array(["a", None, "b", "z"])
    profile = build_arrow(pa.table({"t": ["a", "b"]}), ["t"])
    plain, encoded = (counted(profile, pa.record_batch({"t": t})) for t in (texts, texts.dictionary_encode()))
    assert plain.of("t").rows.tolist() == encoded.of("t").rows.tolist() == [1, 1, 0, 1, 1]
    with_null = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["a", None]))
    assert counted(profile, pa.record_batch({"t": with_null})).of("t").rows.tolist() == [1, 0, 0, 0, 2]


def test_more_cells_than_eight_bits_can_number() -> None:
    profile = build_arrow(pa.table({"x": list(range(1000))}), ["x"], cutting=Cutting(bins=500))
    assert profile["x"].counts == ((0, *[2] * 500, 0, 0, 0),)


def test_a_retried_task_counts_once() -> None:
    profile = build_arrow(pa.table({"x": [1, 2]}), ["x"])
    counter = Counter(profile)
    counter.add(pa.record_batch({"x": pa.array([1, 2])}))
    attempts = [counter.part(0), counter.part(1), counter.part(0)]
    assert merge(profile, attempts).of("x").rows.tolist() == [2, 2, 0, 0, 0]


def test_a_task_sends_eight_bytes_a_cell_and_segment() -> None:
    rows = pa.table({"x": list(range(100)), "s": ["a", "b"] * 50})
    profile = build_arrow(rows, ["x"], segments=["s"])
    assert len(Counter(profile).part(7)) == 8 + 8 * 3 * 24


def test_equal_weights_are_no_weights() -> None:
    rows = pa.record_batch({"x": pa.array([1, 2, 2, None]), "w": pa.array([3.0] * 4)})
    profile = build_arrow(pa.table(rows), ["x"])
    weighted = counted(profile, rows, weight="w").of("x")
    assert weighted.rows.tolist() == [1, 2, 0, 0, 1]
    assert (weighted.sum_w / weighted.sum_w.sum()).tolist() == [0.25, 0.5, 0, 0, 0.25]
    assert weighted.size == 4


def test_a_row_without_weight_weighs_nothing() -> None:
    rows = pa.record_batch({"x": pa.array([1, 2]), "w": pa.array([None, 2.0])})
    weighted = counted(build_arrow(pa.table(rows), ["x"]), rows, weight="w").of("x")
    assert (weighted.rows.tolist(), weighted.sum_w.tolist()) == ([1, 1, 0, 0, 0], [0, 2, 0, 0, 0])


def test_a_column_that_vanished_or_changed_its_type_is_named() -> None:
    profile = build_arrow(pa.table({"x": [1, 2], "y": [1.0, 2.0], "z": ["a", "b"]}), ["x", "y", "z"])
    assert problems(profile, {"x": "bigint", "y": "float"}) == {
        "y": "type is float, it was double at training",
        "z": "column is gone, it was string at training",
    }


def test_counts_of_a_feature_that_disagree_with_the_rows_are_replaced() -> None:
    rows = pa.record_batch({"x": pa.array([1, 2]), "y": pa.array([1, 1])})
    profile = build_arrow(pa.table(rows), ["x", "y"])
    short = counted(profile, rows.select(["x"]))
    assert short.disagreeing(2) == ["y"]
    again = short.replaced(counted(profile.only(["y"]), rows))
    assert again.disagreeing(2) == []
    assert np.array_equal(again.rows, counted(profile, rows).rows)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_any_unit_are_microseconds(unit: str) -> None:
    micros = pa.array([0, 1_000_000, None], pa.timestamp("us", "UTC"))
    profile = build_arrow(pa.table({"at": micros}), ["at"])
    rows = pa.record_batch({"at": micros.cast(pa.timestamp(unit, "UTC"))})
    assert counted(profile, rows).of("at").rows.tolist() == [1, 1, 0, 0, 1]
