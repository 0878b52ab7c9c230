"""Columns that travel packed arrive as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from scorelake.matrix import matrix
from scorelake.packing import Batch, Packing
from scorelake.rows import FrameRows

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

    def texts(batches: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = map(repr, batch.columns(names).to_pylist())
            yield pa.RecordBatch.from_arrays([pa.array(rows, pa.string())], names=["text"])

    rows = FrameRows(frame, tasks=2)
    found = rows.map(texts, names, "text string").collect()

    expected = rows.first(names, 23)
    assert expected.column_names == names
    assert sorted(row["text"] for row in found) == sorted(map(repr, expected.to_pylist()))
    assert expected.num_rows == 23


PACKED = [f"d{n}" for n in range(5)]


@pytest.mark.parametrize(
    "names",
    [PACKED, PACKED[1:4], ["d4", "l1", "flag", "d0", "l3", "d1"], ["l0", "l1", "l2", "l3"], ["flag"]],
    ids=["an array", "a part of it", "from everywhere", "integers", "alone"],
)
def test_the_matrix_of_a_packed_batch_is_bit_for_bit_that_of_its_columns(names: Sequence[str]) -> None:
    draw, rows = np.random.default_rng(1), 300
    columns = {
        name: pa.array(draw.normal(size=rows) * 1e30 ** draw.random(rows), mask=draw.random(rows) < 0.1)
        for name in PACKED
    }
    for n in range(4):
        columns[f"l{n}"] = pa.array(draw.integers(-(2**63), 2**63, rows), mask=draw.random(rows) < n / 5)
    columns["flag"] = pa.array(draw.random(rows) < 0.5)
    plain = pa.RecordBatch.from_pydict(columns)
    packing = Packing(tuple(columns), (tuple(PACKED), ("l0", "l1", "l2", "l3")), ("float64", "int64"))
    batch = Batch(travelling(plain, packing).slice(7, 200), packing)
    found = batch.matrix(names)
    assert (found.dtype, found.shape) == (np.float32, (200, len(names)))
    expected = matrix(plain.slice(7, 200), names)
    assert np.array_equal(found.view(np.uint32), np.ascontiguousarray(expected).view(np.uint32))
    assert batch.columns(names).equals(plain.select(names).slice(7, 200))


def travelling(plain: pa.RecordBatch, packing: Packing) -> pa.RecordBatch:
    """As Spark sends it: arrays of a row's values, then what travels alone."""
    arrays = []
    for names in packing.arrays:
        values = [value for row in plain.select(names).to_pylist() for value in row.values()]
        ends = pa.array(np.arange(len(plain) + 1, dtype=np.int32) * len(names))
        arrays.append(pa.ListArray.from_arrays(ends, pa.array(values, plain.schema.field(names[0]).type)))
    alone = [plain.column(name) for name in packing.alone]
    return pa.RecordBatch.from_arrays([*arrays, *alone], names=[f"c{n}" for n in range(len(arrays) + len(alone))])
