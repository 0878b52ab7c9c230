"""Arrow columns as the plain numbers that cells compare with, and such numbers as text a reader knows."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")
CLOCKS = ("date", "timestamp", "timestamp_ntz")
TEXT = "string"

_ARROW_NAMES = {
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.string(): TEXT,
    pa.large_string(): TEXT,
}
_EPOCH = dt.datetime(1970, 1, 1)


def spark_type(arrow: pa.DataType) -> str | None:
    """Spark's name of an Arrow type, None when such a column has no cells (arrays, maps, binary, ...)."""
    if pa.types.is_dictionary(arrow):
        return spark_type(arrow.value_type)
    if pa.types.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if pa.types.is_timestamp(arrow):
        return "timestamp" if arrow.tz else "timestamp_ntz"
    return _ARROW_NAMES.get(arrow)


def arrow_type(spark: str) -> pa.DataType:
    """The Arrow type that Spark hands over for a column of this type."""
    if spark.startswith("decimal("):
        precision, scale = map(int, spark[8:-1].split(","))
        return pa.decimal128(precision, scale)
    if spark.startswith("timestamp"):
        return pa.timestamp("us", "UTC" if spark == "timestamp" else None)
    return next(arrow for arrow, name in _ARROW_NAMES.items() if name == spark)


def can_be_profiled(spark: str) -> bool:
    """Whether a column of this Spark type (simpleString) has cells."""
    return spark in (*NUMBERS, *CLOCKS, TEXT, "boolean") or spark.startswith("decimal(")


def numbers(column: pa.Array) -> np.ndarray:
    """The column's physical values, of its own width; what stands in the place of a null is arbitrary."""
    kind = column.type
    if pa.types.is_boolean(kind):
        column = pc.cast(column, pa.uint8())
    elif pa.types.is_decimal(kind):
        return _unscaled(column)
    elif pa.types.is_timestamp(kind) and kind.unit != "us":
        column = pc.cast(column, pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_temporal(column.type):
        column = column.view(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    width = np.dtype(column.type.to_pandas_dtype())
    # Straight from the buffer: to_numpy would turn integers with nulls into floats.
    return np.frombuffer(column.buffers()[1] or b"", dtype=width)[column.offset : column.offset + len(column)]


def is_valid(column: pa.Array) -> np.ndarray | None:
    """One boolean a row from Arrow's own validity bits (NaN is valid); None when nothing is null."""
    if column.null_count == 0:
        return None
    bits = np.frombuffer(column.buffers()[0], dtype=np.uint8)
    unpacked = np.unpackbits(bits, count=column.offset + len(column), bitorder="little")
    return unpacked[column.offset :].view(bool)


def _unscaled(column: pa.Array) -> np.ndarray:
    """Decimals as integers: int64 where they fit, else Python integers (exact, slower)."""
    column = pc.cast(column, pa.decimal128(column.type.precision, column.type.scale))
    words = np.frombuffer(column.buffers()[1] or b"", dtype=np.int64).reshape(-1, 2)
    low, high = words[column.offset : column.offset + len(column)].T
    if column.type.precision <= 18 or bool(np.all(high == low >> 63)):
        return np.ascontiguousarray(low)
    return np.asarray(high.astype(object) * 2**64 + low.astype(np.uint64).astype(object))


def to_text(value: int | float, spark: str) -> str:
    """A physical value as the reader of a report knows it."""
    if spark.startswith("decimal("):
        return str(_decimal(value, spark))
    if spark == "date":
        return (_EPOCH + dt.timedelta(days=int(value))).date().isoformat()
    if spark in CLOCKS:
        return (_EPOCH + dt.timedelta(microseconds=int(value))).isoformat(sep=" ")
    if spark == "boolean":
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def to_double(value: int | float, spark: str) -> float:
    """A physical value in the column's own unit (a decimal's scale applied), for means and drawings."""
    if spark.startswith("decimal("):
        return float(_decimal(value, spark))
    return float(value)


def _decimal(unscaled: int | float, spark: str) -> Decimal:
    return Decimal(unscaled).scaleb(-int(spark[:-1].split(",")[1]), Context(prec=40))


def python_value(scalar: Any) -> int | float:
    """One element of `numbers` as the Python number a profile stores; -0.0 becomes 0.0."""
    plain = scalar.item() if isinstance(scalar, np.generic) else scalar
    return plain + 0.0 if isinstance(plain, float) else int(plain)
