"""Columns that travel packed arrive as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from scorelake.scoring.rows import FrameRows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUMBERS = ", ".join(f"`d.{n}` double, l{n} bigint" for n in range(4))
DDL = f"name string, {NUMBERS}, alone double, `f``0` float"


def test_packed_columns_keep_nulls_nans_types_and_order(spark: SparkSession) -> None:
    def row(n: int) -> tuple[object, ...]:
        double = (1.5 * n, None, float("nan"), -0.0 if n % 3 else None)
        long = (2**62 + n, None if n % 2 else n, -n, 0)
        pairs = [value for pair in zip(double, long, strict=True) for value in pair]
        return (f"row {n}", *pairs, None if n == 5 else 0.25, 1.5)

    frame = spark.createDataFrame([row(n) for n in range(23)], DDL).repartition(3)
    names = ["f`0", *(f"l{n}" for n in range(4)), "name", *(f"d.{n}" for n in (3, 1, 0, 2)), "alone"]

    def texts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([pa.array(map(repr, batch.to_pylist()), pa.string())], names=["text"])

    rows = FrameRows(frame, tasks=2)
    found = rows.map(texts, names, "text string").collect()

    expected = rows.first(names, 23)
    assert expected.column_names == names
    assert sorted(row["text"] for row in found) == sorted(map(repr, expected.to_pylist()))
    assert expected.num_rows == 23
