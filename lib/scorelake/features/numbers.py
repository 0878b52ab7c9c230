"""Columns as exact digits, and exact totals back as Spark's types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scorelake.errors import FeatureOverflow
from scorelake.features import exact, ordering

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_IN_DOUBLE = 1 << 53
_SAFE = 1 << 61


def digits(column: pa.Array, rows: NDArray[np.int64]) -> list[exact.Digit]:
    """Exact digits of some rows of a numeric column; a NaN or infinite value counts as zero."""
    kind = column.type
    if pa.types.is_floating(kind):
        values = ordering.floats(column)[rows]
        return exact.of_floats(np.where(np.isfinite(values), values, 0.0))
    if ordering.is_decimal(kind) and kind.precision > ordering.NARROW_DECIMAL:
        return exact.of_words(_words(column)[rows])
    return exact.of_integers(ordering.integers(column)[rows])


def as_doubles(column: pa.Array) -> NDArray[np.float64]:
    """A numeric column as doubles; a decimal by its digits (times 10**scale). Exact below 2**53."""
    kind = column.type
    if pa.types.is_floating(kind):
        return ordering.floats(column)
    if ordering.is_decimal(kind) and kind.precision > ordering.NARROW_DECIMAL:
        low, high = _words(column).T
        wide = high * 2.0**64 + low.astype(np.uint64).astype(np.float64)
        return np.asarray(np.where(high == low >> 63, low.astype(np.float64), wide))  # small negatives would cancel
    return ordering.integers(column).astype(np.float64)


def as_integers(column: pa.Array, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows of an integer or decimal column as Python's own integers, a decimal by its digits."""
    if ordering.is_decimal(column.type) and column.type.precision > ordering.NARROW_DECIMAL:
        words = _words(column)[rows]
        return np.asarray(words[:, 1].astype(object) * (1 << 64) + words[:, 0].astype(np.uint64).astype(object))
    return ordering.integers(column)[rows].astype(object)


def quotient(total: NDArray[Any], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """total / count as doubles, rounded once."""
    if total.dtype != object and (not len(total) or int(np.abs(total).max()) < EXACT_IN_DOUBLE):
        return np.asarray(total / count)
    pairs = zip(total.tolist(), count.tolist(), strict=True)
    return np.array([whole_sum / rows for whole_sum, rows in pairs], dtype=np.float64)


def divided(total: NDArray[Any], count: NDArray[np.int64], more_digits: int) -> NDArray[Any]:
    """total * 10**more_digits / count as integers, halves away from zero."""
    factor = 10**more_digits
    largest = max((abs(int(total.max())), abs(int(total.min()))), default=0) if len(total) else 0
    if total.dtype == object or largest * factor >= _SAFE:
        total, count = total.astype(object), count.astype(object)
    size = (2 * abs(total) * factor + count) // (2 * count)
    return np.asarray(np.where(total < 0, -size, size))


def whole(total: NDArray[Any], empty: NDArray[np.bool_], kind: pa.DataType, name: str) -> pa.Array:
    """Exact totals as a bigint or decimal column, null where empty; raises FeatureOverflow when one does not fit."""
    limit = 10**kind.precision - 1 if ordering.is_decimal(kind) else (1 << 63) - 1
    filled = np.where(empty, 0, total)
    least, greatest = (int(filled.min()), int(filled.max())) if len(filled) else (0, 0)
    if greatest > limit or least < -limit - (not ordering.is_decimal(kind)):
        raise FeatureOverflow(f"feature {name}: a total does not fit {kind}; cast the column to a wider decimal")
    if (least > -_SAFE and greatest < _SAFE) or not ordering.is_decimal(kind):
        return ordering.from_integers(filled.astype(np.int64), kind, ~empty)
    raw = b"".join(int(value).to_bytes(16, "little", signed=True) for value in filled)
    nulls = pa.array(~empty).buffers()[1]
    return pa.Array.from_buffers(kind, len(filled), [nulls, pa.py_buffer(raw)])


def _words(column: pa.Array) -> NDArray[np.int64]:
    words = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    return words[column.offset : column.offset + len(column)]
