"""Arrow batches into arrays of known size, then into an order that depends on the rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scorelake.errors import ScorelakeError
from scorelake.matrix import numbers
from scorelake.models import Task
from scorelake.training import checks
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

    def add(self, batch: pa.RecordBatch) -> None:
        """Take over the rows of `batch`: features, `label`, `split`, `event_timestamp` and the keys."""
        split = batch.column("split").dictionary_encode()
        codes, known = split.indices.to_numpy(), split.dictionary.to_pylist()
        mine = {part: np.flatnonzero(codes == known.index(part)) for part in PARTS if part in known}
        for part, rows in mine.items():
            self.parts[part].reserve(len(rows))
        for feature in self.features:
            is_number = feature.kind == "number"
            values = numbers(batch, feature.name) if is_number else _texts(batch, feature.name)
            for part, rows in mine.items():
                self.parts[part].put(feature, values if len(rows) == len(codes) else values[rows])
        label = _texts(batch, "label") if self.task == "multiclass" else numbers(batch, "label")
        for part, rows in mine.items():
            self.parts[part].put_label(label[rows], batch.select([*self.keys, "event_timestamp"]).take(rows))

    def dataset(self) -> Dataset:
        if not all(part.is_full for part in self.parts.values()):
            raise ScorelakeError("the training set changed while it was read; pin its version and run again")
        classes = checks.classes(self.parts["train"].label) if self.task == "multiclass" else ()
        parts = {name: self.parts[name].finished(name, self.keys, classes) for name in PARTS}
        return Dataset(self.features, classes, parts)


class _PartFilling:
    def __init__(self, features: tuple[Feature, ...], rows: int, *, task: Task, dtype: str) -> None:
        self.features = features
        self.columns = {name: position for position, name in enumerate(names(features, "number"))}
        self.matrix = np.empty((rows, len(self.columns)), dtype, order="F")
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

    def finished(self, name: str, keys: Sequence[str], classes: tuple[str, ...]) -> Part:
        order, entity = _order(self.identity, keys)
        for position in range(self.matrix.shape[1]):
            self.matrix[:, position] = self.matrix[order, position]
        categories = {text: values[order] for text, values in self.categories.items()}
        label = self.label[order]
        codes = checks.codes(label, classes, name) if classes else label
        return Part(self.features, self.matrix, categories, codes, entity)


def _order(identity: list[pa.RecordBatch], keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the rows sorted by (keys, event_timestamp) and then shuffled, the same way every time; and which
    entity each is.

    Shuffled, so that the first n rows of a part are a random sample of it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(identity)
    by_key = pc.sort_indices(table, [(name, "ascending") for name in (*keys, "event_timestamp")]).to_numpy()
    is_new = np.zeros(len(by_key), bool)
    for key in keys:
        encoded = table.column(key).combine_chunks().dictionary_encode(null_encoding="encode")
        codes = encoded.indices.to_numpy()[by_key]
        is_new[1:] |= codes[1:] != codes[:-1]
    shuffled = np.random.default_rng(0).permutation(len(by_key))
    return by_key[shuffled].astype(np.int64), np.cumsum(is_new)[shuffled]


def _texts(batch: pa.RecordBatch, name: str) -> NDArray[np.object_]:
    import pyarrow as pa

    values: NDArray[np.object_] = batch.column(name).cast(pa.string()).to_numpy(zero_copy_only=False)
    return values
