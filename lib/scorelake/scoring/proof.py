"""That a fast way of asking a model answers as its own library does, on rows of the night."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scorelake.scoring.asking import one_number, without_infinite
from scorelake.scoring.package import Package, loaded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SAMPLE = 1_000
"""Rows of a night that both ways are asked for."""


def proved(package: Package, sample: pa.Table) -> tuple[Package, str | None]:
    """The package to score with, and why it is not the fast way if it cannot be.

    `sample` has the model's features among its columns. Infinite numbers are nulls here, as in the pass.
    """
    if loaded(package).way in ("library", "transform") or not sample.num_rows:
        return package, None
    difference = _difference(package, sample)
    if difference is None:
        return package, None
    reason = f"the fast way {difference} on {sample.num_rows:,} rows of the night; the library itself scored"
    return replace(package, is_fast=False), reason


def _difference(package: Package, sample: pa.Table) -> str | None:
    import numpy as np

    [rows] = sample.select(list(package.features)).combine_chunks().to_batches()
    batch, _ = without_infinite(rows)
    fast = loaded(package)
    try:
        found = fast.predict(batch)
    except Exception as error:
        return f"failed ({type(error).__name__})"
    expected = loaded(replace(package, is_fast=False)).predict(batch)
    if found.ndim == 1:
        expected = one_number(expected)
    if found.shape != expected.shape:
        return f"gave answers of shape {found.shape}, not {expected.shape}"
    if np.allclose(found, expected, rtol=0, atol=fast.tolerance, equal_nan=True):
        return None
    return f"differs by up to {_largest(found, expected):.1e}"


def _largest(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    import numpy as np

    return float(np.nanmax(np.abs(found - expected), initial=0.0))
