"""Many numeric columns as a few arrays on the way from the JVM to a worker, and columns again where somebody asks.

Spark writes Arrow row by row; forty columns of a row cost it half as much again as one array of forty elements. A
model of numbers takes such an array as the matrix that it is, and its columns are never made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scorelake.matrix import matrix, numbers
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


@dataclass(frozen=True)
class Batch:
    """Rows on a worker. `travelled` has the columns of `packing.columns()`; without a packing, columns by name."""

    travelled: pa.RecordBatch
    packing: Packing | None = None
    _split: dict[int, dict[str, pa.Array]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return int(self.travelled.num_rows)

    def columns(self, names: Sequence[str]) -> pa.RecordBatch:
        """The columns `names` in their order, nulls as they were."""
        import pyarrow as pa

        return pa.RecordBatch.from_arrays([self._column(name) for name in names], names=list(names))

    def matrix(self, names: Sequence[str]) -> np.ndarray[Any, Any]:
        """Shape (rows, len(names)), float32: exactly what `scorelake.matrix` makes of the same columns."""
        import numpy as np

        if self.packing is None or not self.packing.arrays:
            return matrix(self.columns(names), names)
        if [tuple(names)] == list(self.packing.arrays):
            return self._floats(0, len(names))
        filled = np.empty((len(self), len(names)), dtype=np.float32)
        for position, packed in enumerate(self.packing.arrays):
            wanted = [(n, packed.index(name)) for n, name in enumerate(names) if name in packed]
            if wanted:
                to, of = zip(*wanted, strict=True)
                filled[:, _run(to)] = self._floats(position, len(packed))[:, _run(of)]
        for n, name in enumerate(names):
            if name in self.packing.alone:
                filled[:, n] = numbers(self.columns([name]), name)
        return filled

    def _column(self, name: str) -> pa.Array:
        if self.packing is None:
            return self.travelled.column(name)
        arrays, alone = self.packing.arrays, self.packing.alone
        if name in alone:
            return self.travelled.column(len(arrays) + alone.index(name))
        [position] = [n for n, names in enumerate(arrays) if name in names]
        if position not in self._split:
            split = _split(self.travelled.column(position), len(arrays[position]), self.packing.dtypes[position])
            self._split[position] = dict(zip(arrays[position], split, strict=True))
        return self._split[position][name]

    def _floats(self, position: int, width: int) -> np.ndarray[Any, Any]:
        """An array column as (rows, elements). Integers go through float64, as everywhere."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.travelled.column(position).flatten()
        if pa.types.is_integer(values.type):
            values = values.cast(pa.float64(), safe=False)
        floats = pc.fill_null(values.cast(pa.float32(), safe=False), float("nan"))
        shaped: np.ndarray[Any, Any] = floats.to_numpy().reshape(len(self), width)
        return shaped


def _run(positions: Sequence[int]) -> slice | list[int]:
    """Consecutive positions as a slice, which numpy copies faster."""
    first, last = positions[0], positions[-1] + 1
    return slice(first, last) if list(positions) == list(range(first, last)) else list(positions)


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
