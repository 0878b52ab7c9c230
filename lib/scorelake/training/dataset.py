"""What one model learns from, as arrays on the driver: one matrix a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorelake.matrix import matrix

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Feature:
    """One column that enters the model. A number is a double (null is NaN), a category a string."""

    name: str
    kind: Literal["number", "category"]


def names(features: Sequence[Feature], kind: Literal["number", "category"]) -> list[str]:
    return [feature.name for feature in features if feature.kind == kind]


@dataclass(frozen=True)
class Part:
    """The rows of one split. `label` is 0/1, a class code or a number; `entity` tells rows of one entity, in all parts
    of a Dataset that `collect` made. `weight` is how much each row is heard, equally by default; `moment` is its
    event_timestamp in microseconds.
    """

    features: tuple[Feature, ...]
    matrix: NDArray[np.floating[Any]] = field(repr=False)
    categories: Mapping[str, NDArray[np.object_]] = field(repr=False)
    label: NDArray[np.float64] = field(repr=False)
    entity: NDArray[np.int64] = field(repr=False)
    weight: NDArray[np.float64] | None = field(default=None, repr=False)
    moment: NDArray[np.int64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.label)

    def frame(self) -> pd.DataFrame:
        """The features in order as pandas columns; numbers share memory with the matrix, null categories are None."""
        import pandas as pd

        frame = pd.DataFrame(self.matrix, columns=names(self.features, "number"), copy=False)
        for name, values in self.categories.items():
            frame[name] = values
        return frame[[feature.name for feature in self.features]] if self.categories else frame

    def with_values(self, name: str, values: NDArray[Any] | float | str) -> Part:
        """The same rows with other values of one feature, a value a row or one for all; this part stays as it is."""
        if name in self.categories:
            texts = np.empty(len(self), np.object_)
            texts[:] = values
            return replace(self, categories={**self.categories, name: texts})
        matrix = self.matrix.copy(order="F")
        matrix[:, names(self.features, "number").index(name)] = values
        return replace(self, matrix=matrix)

    def values(self, name: str) -> NDArray[Any]:
        """One feature of every row."""
        if name in self.categories:
            return self.categories[name]
        return self.matrix[:, names(self.features, "number").index(name)]

    def take(self, rows: NDArray[np.int64]) -> Part:
        """The rows at these positions, copied."""
        categories = {name: values[rows] for name, values in self.categories.items()}
        weight = None if self.weight is None else self.weight[rows]
        moment = None if self.moment is None else self.moment[rows]
        return Part(self.features, self.matrix[rows], categories, self.label[rows], self.entity[rows], weight, moment)


def part_of(
    rows: pa.RecordBatch,
    features: tuple[Feature, ...],
    *,
    label: NDArray[np.float64],
    entity: NDArray[np.int64],
    dtype: Literal["float32", "float64"],
) -> Part:
    """The features of `rows` as a part, in the order of `rows`, as a model that learnt from such parts wants them."""
    import pyarrow as pa

    numbers = matrix(rows, names(features, "number"), dtype=dtype)
    texts = {
        name: rows.column(name).cast(pa.string()).to_numpy(zero_copy_only=False) for name in names(features, "category")
    }
    return Part(features, numbers, texts, label, entity)


@dataclass(frozen=True)
class Dataset:
    """Everything one model learns from. `classes` are the names behind the label codes of a multi-class model."""

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    parts: Mapping[str, Part]

    @property
    def train(self) -> Part:
        return self.parts["train"]

    @property
    def validation(self) -> Part:
        return self.parts["validation"]

    @property
    def test(self) -> Part:
        return self.parts["test"]
