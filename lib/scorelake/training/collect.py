"""A labelled frame brought to the driver, in an order that depends on the rows alone.

This is the one place where data-sized results reach the driver (design, "Runs on"): training in one process, bounded
by `limit_bytes`. Rows arrive as Arrow batches, each is freed once it is copied, and the matrix is never copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scorelake.errors import ContractBroken, ScorelakeError, UnfitTrainingSet
from scorelake.matrix import numbers
from scorelake.models import Task
from scorelake.tables import quoted
from scorelake.training import checks
from scorelake.training.dataset import Dataset, Feature, Part, names
from scorelake.training.splits import PARTS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

_PIECE_BYTES = 512 * 2**20
"""Collected at once; stays below the default of spark.driver.maxResultSize (1 GiB)."""
_LEAST_ROWS = 20


def features_of(frame: DataFrame, names: Sequence[str]) -> tuple[Feature, ...]:
    """`names` with their kinds by the frame's types. ContractBroken for one that is missing or neither."""
    types = {column.name: column.dataType for column in frame.schema}
    missing = [name for name in names if name not in types]
    if missing:
        raise ContractBroken(f"the training set lacks features: {', '.join(missing)}")
    return tuple(Feature(name, _kind(name, types[name])) for name in names)


def _kind(name: str, kind: DataType) -> Literal["number", "category"]:
    from pyspark.sql import types as T

    if isinstance(kind, T.StringType):
        return "category"
    if isinstance(kind, T.NumericType | T.BooleanType):
        return "number"
    found = kind.simpleString()
    raise ContractBroken(f"feature {name} is {found}; a model takes numbers, booleans and strings: exclude or cast it")


def collect(
    frame: DataFrame,
    features: Sequence[str],
    *,
    task: Task,
    keys: Sequence[str],
    limit_bytes: int,
    dtype: Literal["float32", "float64"] = "float32",
) -> Dataset:
    """The rows of `frame` (features, `label`, `split`, `event_timestamp`, `keys`) as one Dataset.

    Rows are in the order of a hash of (keys, event_timestamp), whatever the layout of the table, so that the same
    rows train the same model. Raises ScorelakeError beyond `limit_bytes`, UnfitTrainingSet when the rows cannot teach.
    """
    taken = {"label", "split", "event_timestamp", "label_available_at", *keys} & set(features)
    if taken:
        raise ContractBroken(f"features named like columns of the label: {', '.join(sorted(taken))}; rename them")
    chosen = features_of(frame, features)
    _check_label(frame, task)
    rows = _rows_by_part(frame)
    row_bytes = sum(np.dtype(dtype).itemsize if f.kind == "number" else 64 for f in chosen)
    needed = sum(rows.values()) * row_bytes
    if needed > limit_bytes:
        raise ScorelakeError(
            f"{sum(rows.values()):,} rows x {len(chosen)} features need {needed:,} bytes on the driver, above "
            f"limits.local_matrix_bytes = {limit_bytes:,}: raise it or choose fewer features or cut-offs"
        )
    pieces = max(1, -(-needed // _PIECE_BYTES))
    filled = _Filling(chosen, rows, task, dtype)
    for piece in range(pieces):
        table = _projected(frame, chosen, task, keys, dtype=dtype, piece=(piece, pieces)).toArrow()
        batches = table.to_batches()[::-1]
        del table
        while batches:
            filled.add(batches.pop())
    return filled.dataset()


def _check_label(frame: DataFrame, task: Task) -> None:
    from pyspark.sql import types as T

    kind = frame.schema["label"].dataType
    if task != "multiclass" and not isinstance(kind, T.NumericType | T.BooleanType):
        wanted = "0/1 or BOOLEAN" if task == "binary" else "a number"
        raise ContractBroken(f"the label of a {task} model must be {wanted}, found {kind.simpleString()}")


def _rows_by_part(frame: DataFrame) -> dict[str, int]:
    """Rows of each part. UnfitTrainingSet for an empty part or a null label."""
    from pyspark.sql import functions as F

    counts = frame.groupBy("split").agg(F.count(F.lit(1)).alias("rows"), F.count("label").alias("labelled")).collect()
    found = {row["split"]: row for row in counts}
    unlabelled = sum(row["rows"] - row["labelled"] for row in counts)
    if unlabelled:
        raise UnfitTrainingSet(f"{unlabelled:,} rows have no label (null); the label table must leave them out")
    rows = {part: int(found[part]["rows"]) if part in found else 0 for part in PARTS}
    few = [f"{part} {count}" for part, count in rows.items() if count < _LEAST_ROWS]
    if few:
        raise UnfitTrainingSet(
            f"too few rows: {', '.join(few)}; expected at least {_LEAST_ROWS} in each part. "
            "Move split dates or cut-offs, or wait until more labels have matured"
        )
    return rows


def _projected(
    frame: DataFrame,
    features: Sequence[Feature],
    task: Task,
    keys: Sequence[str],
    *,
    dtype: str,
    piece: tuple[int, int],
) -> DataFrame:
    """What crosses to the driver. Narrowing happens in Spark where it rounds exactly as `scorelake.matrix` does."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import DecimalType

    types = {column.name: column.dataType for column in frame.schema}

    def projected(feature: Feature) -> Column:
        column = F.col(quoted(feature.name))
        if feature.kind == "category" or isinstance(types[feature.name], DecimalType):
            return column.alias(feature.name)  # decimals: Spark and Arrow may differ in the last bit
        return column.cast("double").cast("float" if dtype == "float32" else "double").alias(feature.name)

    entity = F.xxhash64(*(F.col(quoted(key)) for key in keys))
    order = F.xxhash64(*(F.col(quoted(key)) for key in keys), F.col("event_timestamp"))
    label = F.col("label").cast("string") if task == "multiclass" else F.col("label").cast("double")
    part = F.array_position(F.array(*map(F.lit, PARTS)), F.col("split")).cast("int") - 1
    engine = {"label": label, "split": part, "entity": entity, "order": order}
    columns = [value.alias(f"__{name}") for name, value in engine.items()]
    rows = frame.where(F.pmod(order, F.lit(piece[1])) == piece[0]) if piece[1] > 1 else frame
    return rows.select(*map(projected, features), *columns)


class _Filling:
    """Arrays of known size, filled batch by batch, then put in order column by column."""

    def __init__(self, features: tuple[Feature, ...], rows: Mapping[str, int], task: Task, dtype: str) -> None:
        self.task = task
        self.features = features
        self.numbers, self.texts = names(features, "number"), names(features, "category")
        self.next = dict.fromkeys(PARTS, 0)
        self.matrix = {p: np.empty((n, len(self.numbers)), dtype, order="F") for p, n in rows.items()}
        self.categories = {p: {c: np.empty(n, np.object_) for c in self.texts} for p, n in rows.items()}
        self.label: dict[str, NDArray[Any]] = {
            p: np.empty(n, np.object_ if task == "multiclass" else np.float64) for p, n in rows.items()
        }
        self.entity = {p: np.empty(n, np.int64) for p, n in rows.items()}
        self.order = {p: np.empty(n, np.int64) for p, n in rows.items()}

    def add(self, batch: pa.RecordBatch) -> None:
        codes = batch.column("__split").to_numpy()
        for code, part in enumerate(PARTS):
            mine = np.flatnonzero(codes == code)
            if len(mine):
                self._add(batch if len(mine) == len(codes) else batch.take(mine), part)

    def _add(self, batch: pa.RecordBatch, part: str) -> None:
        first = self.next[part]
        rows = slice(first, first + batch.num_rows)
        for position, name in enumerate(self.numbers):
            self.matrix[part][rows, position] = numbers(batch, name)
        for name in self.texts:
            self.categories[part][name][rows] = batch.column(name).to_numpy(zero_copy_only=False)
        self.label[part][rows] = batch.column("__label").to_numpy(zero_copy_only=False)
        self.entity[part][rows] = batch.column("__entity").to_numpy()
        self.order[part][rows] = batch.column("__order").to_numpy()
        self.next[part] = rows.stop

    def dataset(self) -> Dataset:
        if any(self.next[part] != len(self.order[part]) for part in PARTS):
            raise ScorelakeError("the training set changed while it was read; pin its version and run again")
        classes = checks.classes(self.label["train"]) if self.task == "multiclass" else ()
        parts = {part: self._part(part, classes) for part in PARTS}
        return Dataset(self.features, classes, parts)

    def _part(self, part: str, classes: tuple[str, ...]) -> Part:
        order = np.argsort(self.order[part], kind="stable")
        matrix = self.matrix[part]
        for position in range(matrix.shape[1]):
            matrix[:, position] = matrix[order, position]
        categories = {name: values[order] for name, values in self.categories[part].items()}
        label = self.label[part][order]
        codes = checks.codes(label, classes, part) if self.task == "multiclass" else label
        return Part(self.features, matrix, categories, codes, self.entity[part][order])
