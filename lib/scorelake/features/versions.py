"""From when to when each version of a row is in force.

Rows of equal identity are versions of one row; at t the one with the latest available_at <= t counts and no other.
So a version is in force from its own available_at until that of the next one, wherever the next one moved the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorelake.features import ordering
from scorelake.features.timeline import ALWAYS, FOREVER

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: numbers in a row fall evenly on the cells (Fibonacci hashing)."""


def in_force_until(
    identity: NDArray[np.int64],
    has_identity: NDArray[np.bool_] | None,
    since: NDArray[np.int64],
    later: Sequence[ordering.Compare],
) -> NDArray[np.int64] | None:
    """The instant at which each row is replaced, FOREVER where it never is; None when nothing is replaced.

    identity  rows of equal identity (shape: rows x words of the identity) are versions of one row
    later     what decides between versions of equal `since`, the most important first
    """
    rows = np.arange(len(identity)) if has_identity is None else np.flatnonzero(has_identity)
    several = rows[_repeated(identity[rows, 0])]
    if not len(several):
        return None
    words = [ordering.numbers(word) for word in identity[several].T[1:]]
    by = [*words, ordering.numbers(since[several]), *(_of(several, compare) for compare in later)]
    order = several[ordering.sort(identity[several, 0], by)]
    same = (identity[order[1:]] == identity[order[:-1]]).all(axis=1)
    until = np.full(len(identity), FOREVER, dtype=np.int64)
    until[order[:-1][same]] = since[order[1:][same]]
    return until


def declared_until(column: pa.Array) -> NDArray[np.int64] | None:
    """What the table itself says of when each row is replaced; null: never."""
    valid = ordering.validity(column)
    return ordering.integers(column) if valid is None else np.where(valid, ordering.integers(column), FOREVER)


def latest_only(until: NDArray[np.int64] | None, count: int) -> NDArray[np.bool_]:
    """Rows that no other version ever replaces: what counts with the second clock off."""
    return np.ones(count, dtype=bool) if until is None else until == FOREVER


def without_clock(count: int) -> NDArray[np.int64]:
    """`since` of rows whose table does not say when they became known."""
    return np.full(count, ALWAYS, dtype=np.int64)


def _of(rows: NDArray[np.int64], compare: ordering.Compare) -> ordering.Compare:
    return lambda few: compare(rows[few])


def _repeated(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values occur more than once.

    Counting them in cells sorts out nearly all that cannot, so that only the rest need sorting: a quarter of the time.
    """
    cells = (max(len(values), 2) * 4).bit_length()
    cell = ((values.view(np.uint64) * _GOLDEN) >> np.uint64(64 - cells)).view(np.int64)
    several = np.flatnonzero(np.bincount(cell, minlength=1)[cell] > 1)
    order = several[np.argsort(values[several])]
    in_order = values[order]
    same = in_order[1:] == in_order[:-1]
    repeated = np.zeros(len(values), dtype=bool)
    repeated[order[1:][same]] = True
    repeated[order[:-1][same]] = True
    return repeated
