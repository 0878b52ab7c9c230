"""Many numeric columns as a few arrays on the way from the JVM to a worker, and columns again once there.

Spark writes Arrow row by row; forty columns of a row cost it half as much again as one array of forty elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorelake.tables import quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import Column

_NUMPY = {"double": "float64", "float": "float32", "bigint": "int64", "int": "int32"}
"""Types that are packed, and how numpy sees their values."""
_MIN_COLUMNS = 4
"""Fewer of one type are not worth an array."""


@dataclass(frozen=True)
class Packing:
    """How the columns `names` travel: those of a packed type in one array a type, the others each by itself."""

    names: tuple[str, ...]
    arrays: tuple[tuple[str, ...], ...]
    dtypes: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], types: Mapping[str, str]) -> Packing:
        """`types` are Spark's (simpleString) by column."""
        by_type = {kind: tuple(name for name in names if types[name] == kind) for kind in _NUMPY}
        packed = {kind: found for kind, found in by_type.items() if len(found) >= _MIN_COLUMNS}
        return cls(tuple(names), tuple(packed.values()), tuple(_NUMPY[kind] for kind in packed))

    @property
    def alone(self) -> tuple[str, ...]:
        packed = {name for names in self.arrays for name in names}
        return tuple(name for name in self.names if name not in packed)

    def columns(self) -> list[Column]:
        """What to select; named by position, since mapInArrow cannot take names with a dot or a backtick."""
        from pyspark.sql import functions as F

        found = [F.array(*(F.col(quoted(name)) for name in names)) for names in self.arrays]
        found += [F.col(quoted(name)) for name in self.alone]
        return [column.alias(f"c{position}") for position, column in enumerate(found)]

    def unpacked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns `names` in their order, nulls as they were."""
        import pyarrow as pa

        found: dict[str, Any] = {}
        for position, (names, dtype) in enumerate(zip(self.arrays, self.dtypes, strict=True)):
            found |= zip(names, _split(batch.column(position), len(names), dtype), strict=True)
        found |= zip(self.alone, batch.columns[len(self.arrays) :], strict=True)
        return pa.RecordBatch.from_arrays([found[name] for name in self.names], names=list(self.names))


def _split(arrays: pa.ListArray, width: int, dtype: str) -> list[pa.Array]:
    """Element k of every array as column k; each array has `width` elements and none is null itself."""
    import numpy as np
    import pyarrow as pa

    values, rows = arrays.flatten(), len(arrays)
    numbers = np.frombuffer(values.buffers()[1] or b"", dtype)[values.offset : values.offset + len(values)]
    columns = np.ascontiguousarray(numbers.reshape(rows, width).T)
    if values.null_count == 0:
        return [pa.array(column) for column in columns]
    valid = np.ascontiguousarray(_valid(values).reshape(rows, width).T)
    bits = np.packbits(valid, axis=1, bitorder="little")
    return [
        pa.Array.from_buffers(values.type, rows, [pa.py_buffer(mask), pa.py_buffer(column)])
        for mask, column in zip(bits, columns, strict=True)
    ]


def _valid(values: pa.Array) -> np.ndarray[Any, Any]:
    import numpy as np

    bits = np.frombuffer(values.buffers()[0], np.uint8)
    return np.unpackbits(bits, count=values.offset + len(values), bitorder="little")[values.offset :]
