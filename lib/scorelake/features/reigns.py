"""When each row is the one that an as-of read finds: the latest visible row of its entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scorelake.features.timeline import FOREVER, Instants, Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Reigns:
    """Row at `position` wins for t in [begin, end); intervals of one entity never overlap, a row may own several."""

    position: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Reigns:
        return Reigns(self.position[chosen], self.begin[chosen], self.end[chosen])


def reigns(line: Timeline) -> Reigns:
    """The intervals of all rows of a timeline."""
    appears = line.at if line.since is None else np.maximum(line.at, line.since)
    if line.until is None:
        return _simple(line, appears)
    mended = np.zeros(line.codes, dtype=bool)
    mended[line.code[line.until != FOREVER]] = True
    plain, other = np.flatnonzero(~mended[line.code]), np.flatnonzero(mended[line.code])
    first = _moved(_simple(line.where(plain), appears[plain]), plain)
    second = _moved(_general(line.where(other), appears[other]), other)
    return Reigns(*(np.concatenate(pair) for pair in zip(_fields(first), _fields(second), strict=True)))


def _fields(some: Reigns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    return some.position, some.begin, some.end


def _moved(some: Reigns, positions: NDArray[np.int64]) -> Reigns:
    return Reigns(positions[some.position], some.begin, some.end)


def _simple(line: Timeline, appears: NDArray[np.int64]) -> Reigns:
    """Nothing is ever replaced: a row wins until any later row of its entity appears."""
    end = np.full(len(line), FOREVER, dtype=np.int64)
    has_later = line.code[1:] == line.code[:-1]
    end[:-1][has_later] = _soonest(line.code, appears)[1:][has_later]
    return _only_real(Reigns(np.arange(len(line)), appears, end))


def _soonest(code: NDArray[np.int64], appears: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least of each row's and all later rows' instants of the same entity, by doubling steps."""
    least, step = appears.copy(), 1
    while step < len(code):
        same = code[step:] == code[:-step]
        if not same.any():
            break
        least[:-step] = np.where(same, np.minimum(least[:-step], least[step:]), least[:-step])
        step *= 2
    return least


def _general(line: Timeline, appears: NDArray[np.int64]) -> Reigns:
    """Ask who wins at every instant at which anything appears or is replaced."""
    if line.until is None:
        return _simple(line, appears)
    leaves = line.until != FOREVER
    code = np.concatenate([line.code, line.code[leaves]])
    at = np.concatenate([appears, line.until[leaves]])
    order = np.lexsort((at, code))
    code, at = code[order], at[order]
    fresh = np.ones(len(code), dtype=bool)
    fresh[1:] = (code[1:] != code[:-1]) | (at[1:] != at[:-1])
    asked = Instants(code[fresh], at[fresh])
    winner = line.last_visible(line.axis.starts(asked), line.axis.earlier(asked.back(-1)), asked.at)
    changes = np.ones(len(winner), dtype=bool)
    changes[1:] = (winner[1:] != winner[:-1]) | (asked.code[1:] != asked.code[:-1])
    winner, code, begin = winner[changes], asked.code[changes], asked.at[changes]
    end = np.full(len(begin), FOREVER, dtype=np.int64)
    goes_on = code[1:] == code[:-1]
    end[:-1][goes_on] = begin[1:][goes_on]
    return _only_real(Reigns(winner, begin, end).where(winner >= 0))


def _only_real(some: Reigns) -> Reigns:
    return some.where(some.begin < some.end)
