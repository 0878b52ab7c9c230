"""Counting inside a worker: an Arrow batch in, integers a cell out, no row kept.

About 4 ns a value: a number's cell is how many boundaries it passes, summed over whole batches in 8 bits;
binary search costs five times as much on such short lists of edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorelake.drift import physical
from scorelake.drift.cells import CategoricalCells, NumericCells, ValueCells, position
from scorelake.drift.counts import Counts, unweighted
from scorelake.drift.profile import FeatureProfile, Profile

Compare = Callable[..., np.ndarray]


def problems(profile: Profile, types: Mapping[str, str | None]) -> dict[str, str]:
    """Features that columns of these Spark types cannot answer, and why; nothing is converted silently."""
    found = {}
    for feature in profile.features:
        if feature.name not in types:
            found[feature.name] = f"column is gone, it was {feature.type} at training"
        elif types[feature.name] != feature.type:
            found[feature.name] = f"type is {types[feature.name] or 'unknown'}, it was {feature.type} at training"
    return found


class Counter:
    """Adds up batches of one task. The scoring pass calls `add` with what it has scored (fused counting).

    Columns that are missing or of another type are left at 0: ask `problems` before. `weight` names a
    column of weights (a null weighs nothing).
    """

    def __init__(self, profile: Profile, *, weight: str | None = None) -> None:
        self._profile, self._weight = profile, weight
        shape = (1 if weight is None else 3, len(profile.segments), profile.width)
        self._sums = np.zeros(shape, dtype=np.int64 if weight is None else np.float64)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch; columns are found by name, others are ignored."""
        columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        wrong = problems(self._profile, {name: physical.spark_type(c.type) for name, c in columns.items()})
        families = [
            (_codes(columns.get(f.column), f.values, len(batch)), len(f.values)) for f in self._profile.families
        ]
        powers = self._powers(columns)
        for feature in self._profile.features:
            if feature.name not in wrong:
                self._add_feature(feature, cell_index(columns[feature.name], feature), families, powers)

    def _powers(self, columns: Mapping[str, pa.Array]) -> list[np.ndarray | None]:
        """What each matrix sums: rows; with weights also w and w^2."""
        if self._weight is None:
            return [None]
        weights = pc.fill_null(pc.cast(columns[self._weight], pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        return [None, weights, weights * weights]

    def _add_feature(
        self,
        feature: FeatureProfile,
        index: np.ndarray,
        families: list[tuple[np.ndarray, int]],
        powers: list[np.ndarray | None],
    ) -> None:
        start, width = self._profile.offsets[feature.name], feature.width
        for sums, weights in zip(self._sums, powers, strict=True):
            target = sums[:, start : start + width]
            target[0] += np.bincount(index, weights, minlength=width).astype(sums.dtype, copy=False)
            row = 1
            for codes, size in families:
                flat = np.bincount(codes * width + index, weights, minlength=(size + 1) * width)
                target[row : row + size] += flat.reshape(size + 1, width)[:size].astype(sums.dtype, copy=False)
                row += size

    def part(self, partition: int) -> bytes:
        """What a task sends, once: its partition and 8 bytes a segment and cell, three times that with weights."""
        return partition.to_bytes(8, "little") + self._sums.tobytes()


def merge(profile: Profile, parts: Iterable[bytes], *, problems: Mapping[str, str] | None = None) -> Counts:
    """The counts of all tasks. A part of a partition that was seen before is a retried or speculative task's:
    it counts once."""
    sums = {part[:8]: part[8:] for part in parts}
    shape = (-1, len(profile.segments), profile.width)
    is_weighted = any(len(each) == 24 * shape[1] * shape[2] for each in sums.values())
    kind = np.float64 if is_weighted else np.int64
    arrays = [np.frombuffer(sums[key], dtype=kind).reshape(shape) for key in sorted(sums)]
    together = np.sum(arrays, axis=0) if arrays else np.zeros((1, *shape[1:]), dtype=np.int64)
    if not is_weighted:
        return unweighted(profile, together[0], problems)
    return Counts(profile, together[0].astype(np.int64), together[1], together[2], problems or {})


def cell_index(column: pa.Array, feature: FeatureProfile) -> np.ndarray:
    """The cell of each row, 8 bits wide where that is enough."""
    cells = feature.cells
    if isinstance(cells, CategoricalCells):
        return _category_index(column, cells)
    index = _bin_index(column, cells) if isinstance(cells, NumericCells) else _value_index(column, cells)
    valid = physical.is_valid(column)
    if valid is not None:
        index[~valid] = position(cells, "null")
    return index


def _bin_index(column: pa.Array, cells: NumericCells) -> np.ndarray:
    values = physical.numbers(column)
    steps: list[tuple[Compare, int | float]] = [(np.greater_equal, cells.low)]
    steps += [(np.greater, edge) for edge in (*cells.edges, cells.high)]
    return _with_nan(_passed(values, steps, len(cells.names)), values, position(cells, "nan"))


def _value_index(column: pa.Array, cells: ValueCells) -> np.ndarray:
    values = physical.numbers(column)
    size = len(cells.names)
    above = _passed(values, [(np.greater, value) for value in cells.values], size)
    reached = _passed(values, [(np.greater_equal, value) for value in cells.values], size)
    above[above == reached] = position(cells, "unseen")  # between two declared values, or outside them
    return _with_nan(above, values, position(cells, "nan"))


def _passed(values: np.ndarray, steps: list[tuple[Compare, int | float]], size: int) -> np.ndarray:
    """How many of the comparisons each value passes, each done in the values' own type."""
    passed = np.zeros(len(values), dtype=np.uint8 if size <= 256 else np.uint16)
    flag = np.empty(len(values), dtype=bool)
    values = _wide_enough(values, [edge for _, edge in steps])
    for compare, edge in steps:
        if values.dtype == object:
            flag = compare(values, edge).astype(bool)
        else:
            compare(values, values.dtype.type(edge), out=flag)
        np.add(passed, flag.view(np.uint8), out=passed)
    return passed


def _wide_enough(values: np.ndarray, edges: list[int | float]) -> np.ndarray:
    """Python integers where an edge of a wide decimal exceeds 64 bits, though this batch's values do not."""
    if values.dtype.kind != "i":
        return values
    limits = np.iinfo(values.dtype)
    return values if all(limits.min <= edge <= limits.max for edge in edges) else values.astype(object)


def _with_nan(index: np.ndarray, values: np.ndarray, cell: int) -> np.ndarray:
    if values.dtype.kind == "f":
        index[np.isnan(values)] = cell
    return index


def _category_index(column: pa.Array, cells: CategoricalCells) -> np.ndarray:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    cell_of = np.append(_dictionary_cells(encoded, cells), position(cells, "null"))
    codes = pc.fill_null(encoded.indices.cast(pa.int32()), len(cell_of) - 1)
    return np.asarray(cell_of.astype(np.uint8 if len(cells.names) <= 256 else np.uint16)[codes.to_numpy()])


def _dictionary_cells(encoded: pa.DictionaryArray, cells: CategoricalCells) -> np.ndarray:
    """The cell of each text of the dictionary."""
    texts = encoded.dictionary
    top = pc.index_in(texts, value_set=pa.array(cells.top, texts.type))
    found = np.array(pc.fill_null(top, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
    rare = np.flatnonzero(found < 0)
    if not cells.seen:
        found[rare] = len(cells.top) if cells.is_open else len(cells.top) + 1
    else:
        found[rare] = [cells.cell_of_rare(text or "") for text in texts.take(pa.array(rare)).to_pylist()]
    if texts.null_count:
        found[texts.is_null().to_numpy(zero_copy_only=False)] = position(cells, "null")
    return found


def _codes(column: pa.Array | None, values: tuple[str, ...], rows: int) -> np.ndarray:
    """Index of each row's segment, len(values) for rows of none."""
    if column is None:
        return np.full(rows, len(values))
    texts = column.cast(pa.string())
    codes = pc.fill_null(pc.index_in(texts, value_set=pa.array(values, pa.string())), len(values))
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)
