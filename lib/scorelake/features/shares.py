"""Which share of all entities a row belongs to: the same for equal keys, whatever table or process they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pyarrow as pa

from scorelake.features import ordering

if TYPE_CHECKING:
    from numpy.typing import NDArray


def share_of(keys: Sequence[pa.Array], at: pa.Array, count: int) -> NDArray[np.int32]:
    """Numbers below `count`; rows with a null key, which match nothing, are spread by their instant."""
    mixed = np.zeros(len(at), dtype=np.uint64)
    for key in keys:
        mixed = _mix(mixed + _words(key))
    for key in keys:
        if (valid := ordering.validity(key)) is not None:
            mixed = np.where(valid, mixed, _mix(_words(at)))
    return np.asarray(mixed % np.uint64(count), dtype=np.int32)


def _words(column: pa.Array) -> NDArray[np.uint64]:
    """Equal for equal values; 0 or anything at a null."""
    if ordering.is_fixed(column.type):
        return ordering.integers(column).view(np.uint64)
    distinct, codes = ordering.dictionary(column)
    hashes = [crc32(repr(ordering.sort_key(value)).encode()) for value in distinct.to_pylist()]
    return np.asarray([*hashes, 0], dtype=np.uint64)[codes]


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of MurmurHash3: every bit of the input moves every bit of the output."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        words = words ^ (words >> np.uint64(33))
        words = words * np.uint64(factor)
    return words ^ (words >> np.uint64(33))
