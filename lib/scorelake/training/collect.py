"""A labelled frame brought to the driver: one matrix a part.

This is the one place where data-sized results reach the driver (design, "Runs on"): training in one process, bounded
by `limit_bytes`. Rows arrive as Arrow batches, each is freed once it is copied, and the matrix is never copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from scorelake.errors import ContractBroken, ScorelakeError, UnfitTrainingSet
from scorelake.models import Task
from scorelake.places import opened
from scorelake.tables import quoted
from scorelake.training.dataset import Dataset, Feature
from scorelake.training.filling import Filling
from scorelake.training.splits import PARTS

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

Precision = Literal["float32", "float64"]

_PIECE_BYTES = 512 * 2**20
"""Collected at once; stays below the default of spark.driver.maxResultSize (1 GiB)."""
_COLUMNS_AT_ONCE = 4
_TEXT_BYTES = 64
"""What a text is taken to need as a Python object."""
_DRAWS = 1_000_000
_FILLED = 0.98
"""Share of the room that a sample aims at, since draws scatter."""
_LEAST_ROWS = 20


@dataclass(frozen=True)
class Extent:
    """What a labelled frame holds: the features with their kinds, rows of each part, bytes of a row on the driver."""

    features: tuple[Feature, ...]
    rows: Mapping[str, int]
    row_bytes: int

    @property
    def bytes(self) -> int:
        return sum(self.rows.values()) * self.row_bytes


def extent(
    frame: DataFrame, features: Sequence[str], *, task: Task, keys: Sequence[str], dtype: Precision = "float32"
) -> Extent:
    """The extent of `frame` (features, `label`, `split`, `event_timestamp`, `keys`), from its schema and one count.

    Raises UnfitTrainingSet when the rows cannot teach, ContractBroken for columns that are missing or of a type that
    no model takes.
    """
    chosen = features_of(frame, features, taken={"label", "split", "event_timestamp", "label_available_at", *keys})
    _check_label(frame, task)
    row_bytes = sum(np.dtype(dtype).itemsize if f.kind == "number" else _TEXT_BYTES for f in chosen)
    return Extent(chosen, _rows_by_part(frame), row_bytes)


def collect(
    frame: DataFrame,
    extent: Extent,
    *,
    task: Task,
    keys: Sequence[str],
    limit_bytes: int,
    dtype: Precision = "float32",
    files: Sequence[str] = (),
) -> Dataset:
    """The rows of `frame`, whose extent is `extent`, as one Dataset.

    The order of rows follows from (keys, event_timestamp), whatever the layout of the table, so that the same rows
    train the same model. `files`, if given, are read instead of asking Spark, which costs a third: plain Parquet
    files, local or URIs, that the caller knows to hold exactly the rows of `frame`; their number is checked.

    Raises ScorelakeError beyond `limit_bytes`.
    """
    chosen, rows = extent.features, extent.rows
    if extent.bytes > limit_bytes:
        raise ScorelakeError(
            f"{sum(rows.values()):,} rows x {len(chosen)} features need {extent.bytes:,} bytes on the driver, above "
            f"limits.local_matrix_bytes = {limit_bytes:,}: raise it, let Spark train (algorithm.engine), or choose "
            "fewer features or cut-offs"
        )
    others = ["label", "split", "event_timestamp", *keys]
    filling = Filling(chosen, rows, task=task, keys=keys, dtype=dtype)
    if files:
        for rows_of_group, columns in _from_files(files, [feature.name for feature in chosen], others):
            filling.add(rows_of_group, columns)
    else:
        pieces = max(1, -(-extent.bytes // _PIECE_BYTES))
        for batch in _from_spark(frame, chosen, others, dtype=dtype, pieces=pieces):
            filling.add(batch, [batch])
    return filling.dataset()


def sample(frame: DataFrame, extent: Extent, *, keys: Sequence[str], limit_bytes: int) -> DataFrame:
    """Rows of `frame` that fit into `limit_bytes`: test and validation whole as long as they take at most half of it,
    and of train what is left room for. The same rows whatever the layout: a hash of (keys, event_timestamp) draws.
    """
    from pyspark.sql import functions as F

    room = limit_bytes * _FILLED / extent.row_bytes
    judged = sum(extent.rows[part] for part in PARTS if part != "train")
    share_judged = min(1.0, room / 2 / judged)
    share_train = min(1.0, (room - share_judged * judged) / extent.rows["train"])
    share = F.when(F.col("split") == "train", share_train).otherwise(share_judged)
    drawn = F.pmod(F.xxhash64(*map(quoted, (*keys, "event_timestamp"))), F.lit(_DRAWS)) < share * _DRAWS
    return frame.where(drawn)


def features_of(frame: DataFrame, features: Sequence[str], *, taken: set[str]) -> tuple[Feature, ...]:
    """`features` with their kinds by the frame's types; ContractBroken for one that no model can take."""
    clashing = sorted(taken & set(features))
    if clashing:
        raise ContractBroken(f"features named like columns of the label: {', '.join(clashing)}; rename them")
    types = {column.name: column.dataType for column in frame.schema}
    missing = [name for name in features if name not in types]
    if missing:
        raise ContractBroken(f"the training set lacks features: {', '.join(missing)}")
    return tuple(Feature(name, _kind(name, types[name])) for name in features)


def _kind(name: str, kind: DataType) -> Literal["number", "category"]:
    from pyspark.sql import types as T

    if isinstance(kind, T.StringType):
        return "category"
    if isinstance(kind, T.NumericType | T.BooleanType):
        return "number"
    found = kind.simpleString()
    raise ContractBroken(f"feature {name} is {found}; a model takes numbers, booleans and strings: exclude or cast it")


def _check_label(frame: DataFrame, task: Task) -> None:
    from pyspark.sql import types as T

    kind = frame.schema["label"].dataType
    if task == "multiclass":
        allowed, wanted = T.StringType | T.IntegralType | T.BooleanType, "a string or an integer"
    else:
        wanted = "0/1 or BOOLEAN" if task == "binary" else "a number"
        allowed = T.NumericType | T.BooleanType
    if not isinstance(kind, allowed):
        raise ContractBroken(f"the label of a {task} model must be {wanted}, found {kind.simpleString()}")


def _rows_by_part(frame: DataFrame) -> dict[str, int]:
    """Rows of each part. UnfitTrainingSet for a part of too few rows or a null label."""
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


def _from_files(
    files: Sequence[str], features: Sequence[str], others: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, Iterator[pa.RecordBatch]]]:
    """The rows of each row group: `others` in one batch, then the features a few columns at a time, since what a
    reader holds of every open column (pages, dictionaries) is more than the matrix itself.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    def read(file: ParquetFile, group: int, columns: Sequence[str]) -> pa.RecordBatch:
        table = file.read_row_group(group, columns=list(columns), use_threads=False)
        [batch] = table.combine_chunks().to_batches()
        return batch

    few = [features[first : first + _COLUMNS_AT_ONCE] for first in range(0, len(features), _COLUMNS_AT_ONCE)]
    for path in files:
        system, inner = opened(path)
        with ParquetFile(inner, filesystem=system) as file:
            for group in range(file.num_row_groups):
                if file.metadata.row_group(group).num_rows:
                    rows = read(file, group, list(dict.fromkeys(others)))
                    yield rows, (read(file, group, columns) for columns in few)
        pa.default_memory_pool().release_unused()


def _from_spark(
    frame: DataFrame, features: Sequence[Feature], others: Sequence[str], *, dtype: str, pieces: int
) -> Iterator[pa.RecordBatch]:
    """Batches of one job a piece, so that no job's result grows beyond what a driver accepts.

    Numbers are narrowed in Spark where it rounds exactly as `scorelake.matrix` does: not decimals, for which Spark
    and Arrow may differ in the last bit.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import DecimalType

    types = {column.name: column.dataType for column in frame.schema}

    def narrowed(feature: Feature) -> Column:
        column = F.col(quoted(feature.name))
        if feature.kind == "category" or isinstance(types[feature.name], DecimalType):
            return column
        return column.cast("double").cast("float" if dtype == "float32" else "double").alias(feature.name)

    columns = [*map(narrowed, features), *(F.col(quoted(name)) for name in dict.fromkeys(others))]
    slot = F.pmod(F.xxhash64(*map(quoted, others)), F.lit(pieces))
    for piece in range(pieces):
        rows = frame.where(slot == piece) if pieces > 1 else frame
        table = rows.select(*columns).toArrow()
        batches = table.to_batches()[::-1]
        del table
        while batches:
            yield batches.pop()
