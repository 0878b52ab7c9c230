"""Where the cells of a column lie: quantiles of the training sample, or one cell a value when there are few.

Pure numpy on the non-null values of one column; `build` brings the values from Spark or Arrow.
"""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scorelake.drift import physical
from scorelake.drift.cells import CategoricalCells, NumericCells, ValueCells, pack_hashes

SEEN_LIMIT = 100_000
"""Rare texts that a profile remembers (as hashes, 8 bytes each); beyond it no text counts as unseen."""


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How columns are cut. `max_values` 0 forces quantiles; the seed fixes the sample that edges come from."""

    bins: int = 20
    categories: int = 50
    max_values: int = 20
    max_segments: int = 50
    sample_rows: int = 100_000
    seed: int = 20_170


def ordered_cells(
    column: pa.Array, cutting: Cutting, *, low: pa.Scalar | None = None, high: pa.Scalar | None = None
) -> NumericCells | ValueCells:
    """Cells of a column of numbers, dates or booleans, from (a sample of) its values.

    `low` and `high` are the finite range of the whole reference, so that no reference row lies outside
    though the sample missed it. A column without a finite value gets no value cell: all is unseen.
    """
    values = finite(column)
    if len(values) == 0:
        return ValueCells(values=())
    ascending = np.sort(values)
    distinct = np.unique(ascending)
    if len(distinct) <= cutting.max_values:
        return ValueCells(values=tuple(map(physical.python_value, distinct)))
    least = physical.python_value(ascending[0] if low is None else _physical(low))
    greatest = physical.python_value(ascending[-1] if high is None else _physical(high))
    inner = {physical.python_value(edge) for edge in quantiles(ascending, cutting.bins)}
    edges = tuple(sorted(edge for edge in inner if least <= edge < greatest))
    return NumericCells(low=least, edges=edges, high=greatest)


def quantiles(ascending: np.ndarray, bins: int) -> list[int | float]:
    """The j/bins quantiles, `inverted_cdf`: elements of the data, so integers stay integers.

    Ranks are taken in integers: in floats 0.07 * 100 is above 7 and the edge would be one element late.
    """
    n = len(ascending)
    return [ascending[-(-n * j // bins) - 1] for j in range(1, bins)]


def finite(column: pa.Array) -> np.ndarray:
    """The physical values without null, NaN and infinities."""
    values = physical.numbers(column.drop_null())
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def category_cells(ranked: Iterable[str], cutting: Cutting) -> CategoricalCells:
    """Cells of a text column, from its distinct texts in order of rank (commonest first, ties by text)."""
    texts = list(ranked)
    top, rare = texts[: cutting.categories], texts[cutting.categories :]
    if len(texts) > SEEN_LIMIT:
        return CategoricalCells(top=tuple(top), is_open=True)
    return CategoricalCells(top=tuple(top), seen=pack_hashes(rare))


def ranked(column: pa.Array) -> list[str]:
    """Distinct texts of an Arrow column, commonest first, ties by text."""
    multiset = Multiset(text for text in column.to_pylist() if text is not None)
    return [text for text, _ in sorted(multiset.items(), key=lambda item: (-item[1], item[0]))]


def _physical(scalar: pa.Scalar) -> np.generic:
    element: np.generic = physical.numbers(pa.array([scalar], scalar.type))[0]
    return element
