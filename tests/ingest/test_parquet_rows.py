from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorelake.errors import ContractBroken, DamagedFile
from scorelake.ingest.parquet_rows import Parquet, is_readable_as
from scorelake.ingest.records import Shape

INSTANT = pa.timestamp("us", tz="UTC")


def written(**columns: Any) -> io.BytesIO:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    stream.seek(0)
    return stream


def values(stream: io.BytesIO, kind: pa.DataType, *, time_zone: str | None = None, **shape: Any) -> list[Any]:
    parser = Parquet(Shape(("a",), shape.pop("rename", {}), **shape), pa.schema([("a", kind)]), time_zone)
    return [value for batch in parser.batches(stream, "in.parquet") for value in batch.column("a").to_pylist()]


def test_times_without_a_zone_are_utc_or_local_to_the_source() -> None:
    noon = written(a=pa.array([datetime(2024, 7, 1, 12)], pa.timestamp("ns")))
    assert values(noon, INSTANT) == [datetime(2024, 7, 1, 12, tzinfo=UTC)]
    assert values(noon, INSTANT, time_zone="America/New_York") == [datetime(2024, 7, 1, 16, tzinfo=UTC)]


def test_a_time_shown_twice_is_the_first_and_a_skipped_one_is_refused() -> None:
    twice = written(a=pa.array([datetime(2024, 11, 3, 1, 30)], pa.timestamp("us")))
    assert values(twice, INSTANT, time_zone="America/New_York") == [datetime(2024, 11, 3, 5, 30, tzinfo=UTC)]
    skipped = written(a=pa.array([datetime(2024, 3, 10, 2, 30)], pa.timestamp("us")))
    with pytest.raises(ContractBroken, match=r"column a .* holds values that are no timestamp"):
        values(skipped, INSTANT, time_zone="America/New_York")


def test_nanoseconds_are_refused_where_they_say_something() -> None:
    with pytest.raises(ContractBroken, match="holds values that are no timestamp"):
        values(written(a=pa.array([1], pa.timestamp("ns"))), INSTANT)


@pytest.mark.parametrize(
    ("found", "wanted", "is_readable"),
    [
        (pa.int8(), pa.int64(), True),
        (pa.int64(), pa.int32(), False),
        (pa.uint32(), pa.int64(), True),
        (pa.uint64(), pa.int64(), False),
        (pa.int32(), pa.float64(), False),
        (pa.float32(), pa.float64(), True),
        (pa.decimal128(6, 2), pa.decimal128(10, 2), True),
        (pa.decimal128(10, 2), pa.decimal128(10, 4), False),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), True),
        (pa.large_string(), pa.string(), True),
        (pa.string(), pa.int64(), False),
        (pa.date32(), INSTANT, False),
        (pa.list_(pa.int8()), pa.list_(pa.int64()), True),
    ],
)
def test_types_may_widen_and_do_nothing_else(found: pa.DataType, wanted: pa.DataType, is_readable: bool) -> None:
    assert is_readable_as(found, wanted) is is_readable


def test_renamed_and_new_columns() -> None:
    stream = written(A=[1], new=[{"x": 2}])
    parser = Parquet(Shape(("a",), {"A": "a"}, keep_new=True), pa.schema([("a", pa.int64())]))
    (batch,) = parser.batches(stream, "in.parquet")
    assert batch.to_pylist() == [{"a": 1, "extra": [("new", '{"x": 2}')]}]


def test_what_is_no_parquet_is_damage() -> None:
    for content in (b"", b"PAR1", written(a=[1]).getvalue()[:-9]):
        with pytest.raises(DamagedFile, match=r"in\.parquet: cannot be read as Parquet"):
            values(io.BytesIO(content), pa.int64())
