from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorelake.features import timeline
from scorelake.features.reigns import reigns
from scorelake.features.timeline import FOREVER, Instants, Timeline

DISTANT = 9_000_000_000_000_000_000
instants = st.one_of(st.integers(-3, 12), st.sampled_from([-DISTANT, DISTANT]))
rows = st.lists(st.tuples(st.integers(0, 2), instants, st.integers(-3, 12), st.integers(0, 9)), max_size=90)
asked = st.tuples(st.integers(0, 2), instants)


def _line(some: list[tuple[int, int, int, int]], *, replaced: bool) -> Timeline:
    some = sorted(some)
    code, at, since, stays = (
        (np.array(column, dtype=np.int64) for column in zip(*some, strict=True))
        if some
        else (np.zeros(0, dtype=np.int64),) * 4
    )
    until = np.where(stays < 5, since + stays, FOREVER) if replaced else None
    return Timeline(3, code, at, np.arange(len(code)), since, until)


def _sees(line: Timeline, position: int, t: int) -> bool:
    assert line.since is not None
    return bool(line.since[position] <= t and (line.until is None or t < line.until[position]))


@given(rows, asked, st.booleans())
def test_search_finds_the_last_visible_row(
    some: list[tuple[int, int, int, int]], ask: tuple[int, int], replaced: bool
) -> None:
    line = _line(some, replaced=replaced)
    question = Instants(np.array([ask[0]]), np.array([ask[1]]))
    begin, end = line.axis.starts(question), line.axis.earlier(question)
    before = [i for i in range(len(line)) if line.code[i] == ask[0] and line.at[i] < ask[1] and _sees(line, i, ask[1])]
    assert line.last_visible(begin, end, question.at).tolist() == [before[-1] if before else -1]


@given(rows, asked, st.booleans())
def test_intervals_say_who_wins(some: list[tuple[int, int, int, int]], ask: tuple[int, int], replaced: bool) -> None:
    line = _line(some, replaced=replaced)
    code, t = ask
    found = reigns(line)
    here = [
        position
        for position, begin, end in zip(found.position, found.begin, found.end, strict=True)
        if line.code[position] == code and begin <= t < end
    ]
    seen = [i for i in range(len(line)) if line.code[i] == code and line.at[i] <= t and _sees(line, i, t)]
    assert here == seen[-1:]


def test_a_long_hidden_history_is_skipped_in_blocks() -> None:
    count = 200_000
    since = np.full(count, DISTANT)
    since[3] = 0
    line = Timeline(1, np.zeros(count, dtype=np.int64), np.arange(count), np.arange(count), since)
    t = np.full(1000, count)
    looks = 0
    original = timeline._block_may_be_seen

    def counted(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        return original(*arguments)  # type: ignore[arg-type]

    timeline._block_may_be_seen = counted  # type: ignore[assignment]
    try:
        found = line.last_visible(np.zeros(1000, dtype=np.int64), t, t)
    finally:
        timeline._block_may_be_seen = original
    assert set(found.tolist()) == {3}
    assert looks < 100


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_ranges_number_every_pair_in_order(some: list[tuple[int, int]]) -> None:
    begin, length = (
        (np.array(column, dtype=np.int64) for column in zip(*some, strict=True)) if some else (np.zeros(0, int),) * 2
    )
    pairs = [
        (i, n)
        for index, number in timeline.ranges(begin, begin + length)
        for i, n in zip(index.tolist(), number.tolist(), strict=True)
    ]
    assert pairs == [(i, b + k) for i, (b, size) in enumerate(some) for k in range(size)]
