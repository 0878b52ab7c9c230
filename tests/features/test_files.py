from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from scorelake.features import files
from scorelake.features.clock import micros
from scorelake.features.shares import share_of

if TYPE_CHECKING:
    from pathlib import Path

T, DAY = datetime(2024, 3, 10, tzinfo=UTC), timedelta(days=1)
STAMP = pa.timestamp("us", "UTC")


def _table(path: Path, bounds: list[files.Bound]) -> files.Table:
    at = pa.array([T, T + DAY, None, T + 3 * DAY], STAMP)
    parquet.write_table(
        pa.table({"k": pa.array([1, 2, 3, None], pa.int32()), "at": at}), path, row_group_size=2, use_dictionary=False
    )
    types = pa.schema([("k", pa.int32()), ("at", STAMP), ("added", pa.string())])
    schema = pa.schema([("#key0", pa.int64()), ("#at", pa.int64()), ("added", pa.string())])
    columns = {"#key0": "k", "#at": "at", "added": "added"}
    return files.Table([str(path)], path.stat().st_size, columns, types, schema, bounds)


def _read(table: files.Table) -> list[tuple[object, ...]]:
    batches = [rows for piece in files.pieces(table.paths) for rows in table.read(piece)]
    return [tuple(row.values()) for row in pa.Table.from_batches(batches, table.schema).to_pylist()]


def test_a_file_is_read_as_the_member_wants_it_and_a_later_column_is_null(tmp_path: Path) -> None:
    first = micros(T)
    found = _read(_table(tmp_path / "rows.parquet", []))
    assert found == [(1, first, None), (2, micros(T + DAY), None), (3, None, None), (None, micros(T + 3 * DAY), None)]


def test_bounds_keep_both_ends_and_drop_nulls(tmp_path: Path) -> None:
    between = files.Bound("at", least=micros(T), greatest=micros(T + DAY))
    assert [row[0] for row in _read(_table(tmp_path / "a.parquet", [between]))] == [1, 2]
    later = files.Bound("at", least=micros(T) + 1)
    assert [row[0] for row in _read(_table(tmp_path / "b.parquet", [later, files.Bound("k")]))] == [2]


def test_row_groups_beyond_a_bound_are_not_read(tmp_path: Path) -> None:
    table = _table(tmp_path / "rows.parquet", [])
    with parquet.ParquetFile(table.paths[0]) as file:
        statistics = [file.metadata.row_group(number).column(1).statistics for number in range(2)]
    bound = files.Bound("at", greatest=micros(T + 2 * DAY))
    assert [bound.excludes(some) for some in statistics] == [False, True]


def test_pieces_of_a_file_hold_each_row_group_once(tmp_path: Path) -> None:
    table = _table(tmp_path / "rows.parquet", [])
    cut = [row for piece in files.pieces(table.paths, 50) for rows in table.read(piece) for row in rows.to_pylist()]
    assert len(cut) == 4


def test_shares_of_all_together_hold_every_row_once(tmp_path: Path) -> None:
    table = _table(tmp_path / "rows.parquet", [files.Bound("k")])
    assert sum(table.of_shares([share], 1, 5).num_rows for share in range(5)) == 3


def test_equal_keys_fall_into_one_share_whatever_stands_beside_them() -> None:
    some = pa.array(["a", None, "b", "a"]), pa.array([Decimal("1.00"), None, Decimal("2.00"), Decimal("1.00")])
    at = pa.array([1, 2, 3, 4])
    here = share_of(some, at, 1000)
    there = share_of([column.take(pa.array([3, 2])) for column in some], at.take(pa.array([0, 1])), 1000)
    assert here[0] == here[3] == there[0]
    assert here[2] == there[1]


def test_rows_without_a_key_are_spread() -> None:
    at = pa.array(np.arange(1000))
    shares = share_of([pa.nulls(1000, pa.int64())], at, 8)
    assert np.bincount(shares, minlength=8).min() > 50
