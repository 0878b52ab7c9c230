"""Arrow batches into arrays of known size, then into an order that depends on the rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scorelake.errors import ScorelakeError
from scorelake.matrix import numbers
from scorelake.models import Task
from scorelake.training import checks, spilled
from scorelake.training.dataset import Dataset, Feature, Part, names
from scorelake.training.splits import PARTS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class Filling:
    """The parts of a dataset while batches arrive; `rows` says how many each part will hold."""

    def __init__(
        self, features: tuple[Feature, ...], rows: Mapping[str, int], *, task: Task, keys: Sequence[str], dtype: str
    ) -> None:
        self.features, self.task, self.keys = features, task, tuple(keys)
        self.parts = {part: _PartFilling(features, count, task=task, dtype=dtype) for part, count in rows.items()}

    def add(self, rows: pa.RecordBatch, columns: Iterable[pa.RecordBatch]) -> None:
        """Take over some rows: `label`, `split`, `event_timestamp` and the keys of `rows`, and the features, which
        `columns` hold among them, each batch for all of these rows.
        """
        split = rows.column("split").dictionary_encode()
        codes, known = split.indices.to_numpy(), split.dictionary.to_pylist()
        mine = {part: np.flatnonzero(codes == known.index(part)) for part in PARTS if part in known}
        label = _texts(rows, "label") if self.task == "multiclass" else numbers(rows, "label")
        identity = rows.select([*self.keys, "event_timestamp"])
        for part, chosen in mine.items():
            self.parts[part].reserve(len(chosen))
            self.parts[part].put_label(label[chosen], identity.take(chosen))
        for batch in columns:
            self._put(batch, mine)

    def _put(self, batch: pa.RecordBatch, mine: Mapping[str, NDArray[np.int64]]) -> None:
        for feature in self.features:
            if feature.name not in batch.schema.names:
                continue
            values = numbers(batch, feature.name) if feature.kind == "number" else _texts(batch, feature.name)
            for part, rows in mine.items():
                self.parts[part].put(feature, values if len(rows) == len(values) else values[rows])
        for part in mine:
            spilled.release(self.parts[part].matrix)

    def dataset(self) -> Dataset:
        if not all(part.is_full for part in self.parts.values()):
            raise ScorelakeError("the training set changed while it was read; pin its version and run again")
        classes = checks.classes(self.parts["train"].label) if self.task == "multiclass" else ()
        entities = _entities({name: self.parts[name].identity for name in PARTS}, self.keys)
        parts = {name: self.parts[name].finished(name, self.keys, classes, entities[name]) for name in PARTS}
        return Dataset(self.features, classes, parts)


class _PartFilling:
    def __init__(self, features: tuple[Feature, ...], rows: int, *, task: Task, dtype: str) -> None:
        self.features = features
        self.columns = {name: position for position, name in enumerate(names(features, "number"))}
        self.matrix = spilled.allocated(rows, len(self.columns), dtype)
        self.categories = {name: np.empty(rows, np.object_) for name in names(features, "category")}
        self.label: NDArray[Any] = np.empty(rows, np.object_ if task == "multiclass" else np.float64)
        self.identity: list[pa.RecordBatch] = []
        self.rows = slice(0, 0)

    @property
    def is_full(self) -> bool:
        return self.rows.stop == len(self.label)

    def reserve(self, rows: int) -> None:
        self.rows = slice(self.rows.stop, self.rows.stop + rows)
        if self.rows.stop > len(self.label):
            raise ScorelakeError("the training set grew while it was read; pin its version and run again")

    def put(self, feature: Feature, values: NDArray[Any]) -> None:
        if feature.kind == "number":
            self.matrix[self.rows, self.columns[feature.name]] = values
        else:
            self.categories[feature.name][self.rows] = values

    def put_label(self, label: NDArray[Any], identity: pa.RecordBatch) -> None:
        self.label[self.rows] = label
        self.identity.append(identity)

    def finished(self, name: str, keys: Sequence[str], classes: tuple[str, ...], entity: NDArray[np.int64]) -> Part:
        """`entity` of each row, in the order of arrival."""
        order = _order(self.identity, keys)
        for position in range(self.matrix.shape[1]):
            self.matrix[:, position] = self.matrix[order, position]
            spilled.release(self.matrix)
        categories = {text: values[order] for text, values in self.categories.items()}
        label = self.label[order]
        codes = checks.codes(label, classes, name) if classes else label
        return Part(self.features, self.matrix, categories, codes, entity[order], moment=_moments(self.identity)[order])


def _order(identity: list[pa.RecordBatch], keys: Sequence[str]) -> NDArray[np.int64]:
    """Positions of the rows sorted by (keys, event_timestamp) and then shuffled, the same way every time.

    Shuffled, so that the first n rows of a part are a random sample of it.
    """
    import pyarrow as pa

    table = pa.Table.from_batches(identity)
    ranks = [_ranks(table.column(name)) for name in (*keys, "event_timestamp")]
    by_key = np.lexsort(ranks[::-1])
    shuffled = np.random.default_rng(0).permutation(len(by_key))
    return by_key[shuffled].astype(np.int64)


def _entities(identity: Mapping[str, list[pa.RecordBatch]], keys: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Which entity each row of each part is, by one number in all of them; null keys are one value."""
    import pyarrow as pa

    table = pa.Table.from_batches([batch for batches in identity.values() for batch in batches])
    ranks = [_ranks(table.column(name)) for name in keys]
    by_key = np.lexsort(ranks[::-1])
    is_new = np.zeros(len(by_key), bool)
    for of_key in ranks:
        is_new[1:] |= np.diff(of_key[by_key]) != 0
    entity = np.empty(len(by_key), np.int64)
    entity[by_key] = np.cumsum(is_new)
    ends = np.cumsum([sum(map(len, batches)) for batches in identity.values()])
    return dict(zip(identity, np.split(entity, ends[:-1]), strict=True))


def _moments(identity: list[pa.RecordBatch]) -> NDArray[np.int64]:
    """event_timestamp in microseconds since 1970."""
    import pyarrow as pa

    column = pa.Table.from_batches(identity).column("event_timestamp")
    return np.asarray(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy())


def _ranks(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers in the order of the values, equal for equal ones; null is greatest."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type) and not column.null_count:
        return np.asarray(column.to_numpy(), np.int64)
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    rank = np.empty(len(encoded.dictionary), np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    return np.asarray(rank[encoded.indices.to_numpy()])


def _texts(batch: pa.RecordBatch, name: str) -> NDArray[np.object_]:
    import pyarrow as pa

    values: NDArray[np.object_] = batch.column(name).cast(pa.string()).to_numpy(zero_copy_only=False)
    return values
