"""A matrix that needs no memory of its own: large ones lie in a scratch file, of which only what is used is resident.

Pages of the file that are not needed right now are handed back by `release`; the kernel keeps what it has room for and
writes out the rest. The file has no name, so nothing is left behind however the process ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE_BYTES = 64 * 2**20
"""Matrices from this on lie in a file; smaller ones are not worth one."""


def is_large(matrix: NDArray[Any]) -> bool:
    return matrix.nbytes >= LARGE_BYTES


def allocated(rows: int, columns: int, dtype: str) -> NDArray[np.floating[Any]]:
    """A matrix of zeros, column by column in memory; its scratch file lies in the folder for temporary files."""
    size = prod((rows, columns, np.dtype(dtype).itemsize))
    if size < LARGE_BYTES:
        return np.zeros((rows, columns), dtype, order="F")
    with tempfile.TemporaryFile(prefix="scorelake-matrix-") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, not a dead process later
        place = mmap.mmap(file.fileno(), size)
    return np.frombuffer(place, dtype).reshape((rows, columns), order="F")


def release(matrix: NDArray[Any]) -> None:
    """Give back the memory of the file behind `matrix`, which keeps its values; any other matrix stays as it is."""
    base: Any = matrix
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
