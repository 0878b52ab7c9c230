"""The rows of many entities in order of event time, and which of them an instant can see.

Instants are microseconds since 1970 in UTC. An entity is a small integer ("code"). A row is visible at t when
`since` <= t < `until`: `since` is its available_at, `until` that of the version that replaced it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOREVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min
FANOUT_BITS = 3
"""Blocks of 8, 64, 512 ... rows carry the earliest `since` and latest `until` in them."""
PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Instants:
    """The questions: an entity and an instant each."""

    code: NDArray[np.int64]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.code)

    def back(self, micros: int) -> Instants:
        return Instants(self.code, self.at - micros)


class Scale:
    """Packs (code, instant) into single integers that order alike; instants beyond those given are clipped."""

    def __init__(self, codes: int, at: NDArray[np.int64]) -> None:
        self._least = int(at.min()) if len(at) else 0
        self._span = int(at.max()) - self._least + 2 if len(at) else 1
        self._instants: NDArray[np.int64] | None = None
        if codes * self._span >= FOREVER:
            in_order = np.sort(at)
            self._instants = in_order[np.r_[True, in_order[1:] != in_order[:-1]]]
            self._span = len(self._instants) + 1

    def pack(self, code: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._instants is not None:
            return code * self._span + np.searchsorted(self._instants, at)
        return code * self._span + (np.clip(at, self._least, self._least + self._span - 1) - self._least)

    def first(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """What no instant of an entity lies below."""
        return code * self._span


class Axis:
    """Ascending (code, instant) pairs, so that one binary search finds both."""

    def __init__(self, scale: Scale, packed: NDArray[np.int64]) -> None:
        self._scale = scale
        self._packed = packed

    def earlier(self, asked: Instants) -> NDArray[np.int64]:
        """How many pairs lie before each instant: all of smaller codes and the entity's own with at < t."""
        return np.searchsorted(self._packed, self._scale.pack(asked.code, asked.at))

    def starts(self, asked: Instants) -> NDArray[np.int64]:
        """How many pairs belong to smaller codes."""
        return np.searchsorted(self._packed, self._scale.first(asked.code))


@dataclass(frozen=True)
class Timeline:
    """Rows sorted by (code, at, ...); `rows` says where each came from, `codes` is above every code asked or held.

    `since` None: visible from when they happened on. `until` None: no row was ever replaced.
    """

    codes: int
    code: NDArray[np.int64]
    at: NDArray[np.int64]
    rows: NDArray[np.int64]
    since: NDArray[np.int64] | None = None
    until: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.code)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Timeline:
        """Some of the rows, in the same order."""
        since = None if self.since is None else self.since[chosen]
        until = None if self.until is None else self.until[chosen]
        if until is not None and not bool((until != FOREVER).any()):
            until = None
        return Timeline(self.codes, self.code[chosen], self.at[chosen], self.rows[chosen], since, until)

    @cached_property
    def axis(self) -> Axis:
        scale = Scale(self.codes, self.at)
        return Axis(scale, scale.pack(self.code, self.at))

    def is_visible(self, position: NDArray[np.int64], t: NDArray[np.int64]) -> NDArray[np.bool_]:
        seen = np.ones(len(position), dtype=bool)
        if self.since is not None:
            seen &= self.since[position] <= t
        if self.until is not None:
            seen &= t < self.until[position]
        return seen

    def last_visible(self, begin: NDArray[np.int64], end: NDArray[np.int64], t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Greatest position in [begin, end) that t can see; -1 where there is none."""
        return _search(self, begin, end, t)

    @cached_property
    def blocks(self) -> list[tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]]:
        """Earliest since and latest until of blocks of 8**level rows, from level 0 on."""
        levels = [(self.since, self.until)]
        length = len(self)
        while length > 1:
            since, until = levels[-1]
            length = (length + (1 << FANOUT_BITS) - 1) >> FANOUT_BITS
            levels.append((_reduce(np.minimum, since), _reduce(np.maximum, until)))
        return levels

    def visible_pairs(
        self, begin: NDArray[np.int64], end: NDArray[np.int64], t: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(index of question, position) for every position in [begin, end) that t can see, in order.

        Comes in chunks of bounded size; a question's pairs are never split between chunks.
        """
        for asked, position in ranges(begin, end):
            seen = self.is_visible(position, t[asked])
            yield asked[seen], position[seen]


def _reduce(combine: np.ufunc, values: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    if values is None:
        return None
    return np.asarray(combine.reduceat(values, np.arange(0, len(values), 1 << FANOUT_BITS)))


def _search(
    line: Timeline, begin: NDArray[np.int64], end: NDArray[np.int64], t: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Walk back from `end`, over blocks that hold nothing visible in one step each.

    Few rows are hidden, so that most questions are answered by their first look; the blocks keep a history that was
    loaded at once from costing a walk through all of it.
    """
    found = np.full(len(t), -1, dtype=np.int64)
    asked = np.flatnonzero(end > begin)
    if not len(asked):
        return found
    first, at, level = begin[asked], t[asked], np.zeros(len(asked), dtype=np.int64)
    look = end[asked] - 1
    top = len(line.blocks) - 1 if (line.since is not None or line.until is not None) else 0
    while len(asked):
        seen = _block_may_be_seen(line, look >> (level * FANOUT_BITS), level, at)
        hit = seen & (level == 0)
        found[asked[hit]] = look[hit]
        look = np.where(seen, look, look - (np.int64(1) << (level * FANOUT_BITS)))
        ends_larger_block = (look + 1) & ((np.int64(1) << ((level + 1) * FANOUT_BITS)) - 1) == 0
        level = np.where(seen, level - 1, level + (ends_larger_block & (level < top)))
        left = ~hit & (look >= first)
        asked, first, at, level, look = asked[left], first[left], at[left], level[left], look[left]
    return found


def _block_may_be_seen(
    line: Timeline, block: NDArray[np.int64], level: NDArray[np.int64], t: NDArray[np.int64]
) -> NDArray[np.bool_]:
    seen = np.ones(len(block), dtype=bool)
    if line.since is None and line.until is None:
        return seen
    for depth in np.unique(level):
        here = np.flatnonzero(level == depth)
        since, until = line.blocks[depth]
        if since is not None:
            seen[here] &= since[block[here]] <= t[here]
        if until is not None:
            seen[here] &= t[here] < until[block[here]]
    return seen


def ranges(begin: NDArray[np.int64], end: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(index, number) for every number in [begin[i], end[i]), ordered, in chunks of bounded size."""
    length = np.maximum(end - begin, 0)
    total = np.cumsum(length)
    done = 0
    while done < len(length):
        base = total[done - 1] if done else 0
        stop = int(np.searchsorted(total, base + PAIRS_AT_ONCE, side="right"))
        stop = max(stop, done + 1)
        few = length[done:stop]
        index = np.repeat(np.arange(done, stop), few)
        offset = np.arange(len(index)) - np.repeat(total[done:stop] - base - few, few)
        yield index, begin[index] + offset
        done = stop
