"""Order of values as Spark sees it (null least, NaN greatest, -0.0 equal to 0.0), as 64-bit integers for numpy.

Fixed-width values map to integers that order alike and map back; all others (strings, binary, wide decimals, arrays,
structs) get their rank among the values at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

type_is = pa.types
NARROW_DECIMAL = 18
"""Decimals of at most so many digits fit a 64-bit integer."""

Compare = Callable[["NDArray[np.int64]"], "Sequence[NDArray[np.int64]]"]
"""From row numbers to sort keys, least important first (as np.lexsort wants them)."""


@dataclass(frozen=True)
class Ranked:
    """A column as integers that order as its values do; what stands at a null is meaningless."""

    keys: NDArray[np.int64]
    valid: NDArray[np.bool_] | None
    restore: Callable[[NDArray[np.int64]], pa.Array]


def is_decimal(kind: pa.DataType) -> bool:
    return bool(type_is.is_decimal128(kind))


def validity(column: pa.Array) -> NDArray[np.bool_] | None:
    """True where not null; None when there is no null."""
    if column.null_count == 0:
        return None
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def integers(column: pa.Array) -> NDArray[np.int64]:
    """The 64-bit content of an integer, boolean, date, timestamp or narrow decimal column; 0 or anything at a null."""
    kind = column.type
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    if is_decimal(kind):
        words = np.frombuffer(column.buffers()[1], dtype=np.int64)
        return words.reshape(-1, 2)[column.offset : column.offset + len(column), 0]
    if type_is.is_boolean(kind):
        return np.asarray(pc.fill_null(column, False).cast(pa.int8()).to_numpy(zero_copy_only=False), dtype=np.int64)
    width = kind.bit_width
    raw = np.frombuffer(column.buffers()[1], dtype=f"i{width // 8}")[column.offset : column.offset + len(column)]
    return np.asarray(raw, dtype=np.int64)


def floats(column: pa.Array) -> NDArray[np.float64]:
    """A float or double column as doubles; 0 or anything at a null."""
    if not len(column):
        return np.zeros(0)
    width = column.type.bit_width
    raw = np.frombuffer(column.buffers()[1], dtype=f"f{width // 8}")[column.offset : column.offset + len(column)]
    return np.asarray(raw, dtype=np.float64)


def ranked(column: pa.Array) -> Ranked:
    """Sort keys of a column and the way back."""
    kind = column.type
    if type_is.is_floating(kind):
        return Ranked(_float_keys(floats(column)), validity(column), lambda keys: pa.array(_floats_of(keys), kind))
    if is_fixed(kind):
        return Ranked(integers(column), validity(column), lambda keys: from_integers(keys, kind))
    return _dictionary_ranked(column)


def from_integers(values: NDArray[np.int64], kind: pa.DataType, valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """Back from 64-bit content to an Arrow column; the opposite of `integers`."""
    mask = None if valid is None else ~valid
    if is_decimal(kind):
        words = np.empty((len(values), 2), dtype=np.int64)
        words[:, 0], words[:, 1] = values, values >> 63
        nulls = None if mask is None else pa.array(~mask).buffers()[1]
        return pa.Array.from_buffers(kind, len(values), [nulls, pa.py_buffer(words.tobytes())])
    if type_is.is_boolean(kind):
        return pa.array(values != 0, mask=mask)
    plain = pa.array(values.astype(f"i{kind.bit_width // 8}"), mask=mask)
    return plain if plain.type == kind else plain.view(kind)


def is_fixed(kind: pa.DataType) -> bool:
    """Whether values fit a 64-bit integer exactly."""
    if is_decimal(kind):
        return bool(kind.precision <= NARROW_DECIMAL)
    return bool(type_is.is_integer(kind) or type_is.is_boolean(kind) or type_is.is_temporal(kind))


def identities(column: pa.Array) -> NDArray[np.int64]:
    """Numbers that are equal where values are; anything at a null."""
    if type_is.is_floating(column.type):
        return _float_keys(floats(column))
    return integers(column) if is_fixed(column.type) else dictionary(column)[1]


def _float_keys(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """IEEE bits, with those of negative numbers turned round; every NaN becomes the one positive NaN."""
    bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.int64)
    return np.where(bits < 0, bits ^ np.int64(0x7FFFFFFFFFFFFFFF), bits)


def _floats_of(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(keys < 0, keys ^ np.int64(0x7FFFFFFFFFFFFFFF), keys).view(np.float64)


def _dictionary_ranked(column: pa.Array) -> Ranked:
    distinct, codes = dictionary(column)
    order = _sorted_positions(distinct)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    in_order = distinct.take(pa.array(order))
    keys = rank[codes] if len(rank) else codes
    return Ranked(keys, validity(column), lambda wanted: in_order.take(pa.array(wanted)))


def dictionary(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Distinct non-null values and the position of each row's among them (0 at a null)."""
    if type_is.is_nested(column.type):
        return _nested_dictionary(column)
    encoded = pc.dictionary_encode(column)
    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    return encoded.dictionary, np.asarray(codes, dtype=np.int64)


def _nested_dictionary(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    seen: dict[Any, int] = {}
    first: list[int] = []
    codes = np.zeros(len(column), dtype=np.int64)
    for row, value in enumerate(column):
        if not value.is_valid:
            continue
        key = sort_key(value.as_py())
        if key not in seen:
            seen[key] = len(first)
            first.append(row)
        codes[row] = seen[key]
    return column.take(pa.array(first, pa.int64())), codes


def _sorted_positions(distinct: pa.Array) -> NDArray[np.int64]:
    if type_is.is_nested(distinct.type):
        values = [sort_key(value.as_py()) for value in distinct]
        return np.asarray(sorted(range(len(values)), key=values.__getitem__), dtype=np.int64)
    positions = pc.array_sort_indices(distinct).to_numpy(zero_copy_only=False)
    return np.asarray(positions, dtype=np.int64)


def sort_key(value: Any) -> Any:
    """A Python value as something that compares as Spark compares it: null least, NaN greatest, field by field.

    Maps, which Spark does not compare, by their sorted entries.
    """
    if value is None:
        return (0,)
    if isinstance(value, float):
        return (1, 1, 0.0) if value != value else (1, 0, value + 0.0)  # noqa: PLR0124  (NaN differs from itself)
    if isinstance(value, dict):
        return (1, tuple(sort_key(item) for item in value.values()))
    if isinstance(value, list | tuple):
        parts = [sort_key(item) for item in value]
        is_map = bool(value) and isinstance(value[0], tuple)  # Arrow gives its entries as tuples, a struct as a dict
        return (1, tuple(sorted(parts) if is_map else parts))
    if isinstance(value, str):
        return (1, value.encode())
    return (1, value)


def comparison(column: pa.Array) -> Compare:
    """Sort keys of any rows of a column, made only for those rows."""

    def keys(rows: NDArray[np.int64]) -> Sequence[NDArray[np.int64]]:
        few = ranked(column.take(pa.array(rows)))
        if few.valid is None:
            return (few.keys,)
        return (np.where(few.valid, few.keys, 0), few.valid.astype(np.int64))

    return keys


def signs(columns: Sequence[pa.Array]) -> list[Compare]:
    """What tells 0.0 from -0.0, which are equal, so that rows with one or the other never take turns."""

    def sign(column: pa.Array) -> Compare:
        return lambda rows: (np.signbit(floats(pc.fill_null(column.take(pa.array(rows)), 0.0))).astype(np.int64),)

    return [sign(column) for column in columns if type_is.is_floating(column.type)]


def numbers(values: NDArray[np.int64]) -> Compare:
    return lambda rows: (values[rows],)


def sort(primary: NDArray[np.int64], later: Sequence[Compare]) -> NDArray[np.int64]:
    """Row numbers ordered by `primary`, ties by each of `later` in turn, which are looked at for tied rows only."""
    order = np.argsort(primary)
    in_order = primary[order]
    starts_run = np.ones(len(order), dtype=bool)
    starts_run[1:] = in_order[1:] != in_order[:-1]
    for compare in later:
        tied = ~starts_run
        tied[:-1] |= ~starts_run[1:]
        where = np.flatnonzero(tied)
        if not len(where):
            break
        run = np.cumsum(starts_run[where])
        keys = compare(order[where])
        moved = np.lexsort((*keys, run))
        order[where] = order[where][moved]
        differs = np.zeros(len(where), dtype=bool)
        for key in keys:
            differs[1:] |= key[moved][1:] != key[moved][:-1]
        starts_run[where] |= differs
    return order
