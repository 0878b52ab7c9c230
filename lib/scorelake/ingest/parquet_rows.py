"""Parquet with its own types: columns bind by name, integers may be narrower than the contract says, nothing else.

Timestamps without a zone are read as UTC, or as local time of the source's declared zone: of a time that the clocks
showed twice, the first; a time that they skipped is no timestamp and breaks the contract.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from scorelake.errors import ContractBroken, DamagedFile
from scorelake.ingest.records import Shape

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 50_000


class Parquet:
    """The columns of the contract out of one file, as Arrow batches.

    `schema` holds the contract's columns with the Arrow types of their Spark types.
    """

    def __init__(self, shape: Shape, schema: pa.Schema, time_zone: str | None = None) -> None:
        self.shape = shape
        self.schema = schema
        self.time_zone = time_zone or "UTC"
        self.new_columns: list[str] = []
        self.groups_seen: list[tuple[int, int]] = []

    def batches(self, stream: IO[bytes], file: str, groups: range | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of all row groups, or of some. `groups_seen` then has rows and bytes of each of the file.

        DamagedFile or ContractBroken when the file cannot be read to its end as the contract says.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            source = pq.ParquetFile(stream, coerce_int96_timestamp_unit="us", page_checksum_verification=True)
            self._check(source.schema_arrow, file)
            found = [source.metadata.row_group(number) for number in range(source.metadata.num_row_groups)]
            self.groups_seen = [(group.num_rows, group.total_byte_size) for group in found]
            for batch in source.iter_batches(batch_size=_ROWS, row_groups=list(groups) if groups is not None else None):
                yield self._bound(batch, file)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, EOFError, struct.error) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise DamagedFile(f"{file}: cannot be read as Parquet to its end; land the file again") from error

    def _check(self, found: pa.Schema, file: str) -> None:
        names = [self.shape.rename.get(name, name) for name in found.names]
        self.shape.check(names, file)
        self.new_columns = [name for name in names if name not in self.shape.columns]
        types = dict(zip(names, found.types, strict=True))
        wrong = [
            f"{field.name} is {types[field.name]}, expected {field.type}"
            for field in self.schema
            if field.name in types and not is_readable_as(types[field.name], field.type)
        ]
        if wrong:
            raise ContractBroken(f"{file}: column types are not those of the contract: {'; '.join(wrong)}")

    def _bound(self, batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
        """The contract's columns in order, then `extra` where unknown columns are kept."""
        import pyarrow as pa

        names = [self.shape.rename.get(name, name) for name in batch.schema.names]
        columns = dict(zip(names, batch.columns, strict=True))
        arrays = []
        for field in self.schema:
            array = columns.pop(field.name, None)
            arrays.append(pa.nulls(batch.num_rows, field.type) if array is None else self._cast(array, field, file))
        extra = pa.array(_extra(columns, batch.num_rows), pa.map_(pa.string(), pa.string()))
        schema = self.schema.append(pa.field("extra", extra.type))
        return pa.RecordBatch.from_arrays([*arrays, extra], schema=schema)

    def _cast(self, array: pa.Array, field: pa.Field, file: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import types

        try:
            if types.is_timestamp(array.type) and array.type.tz is None and field.type.tz is not None:
                array = pc.assume_timezone(array.cast(pa.timestamp("us")), self.time_zone, ambiguous="earliest")
            return array.cast(field.type)
        except pa.ArrowInvalid as error:
            found = f"{file}: column {field.name} ({array.type}) holds values that are no {field.type}"
            raise ContractBroken(found) from error


def is_readable_as(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether every value of `found` is a value of `wanted`: same type, or a wider one of the same kind."""
    from pyarrow import types

    if types.is_dictionary(found):
        return is_readable_as(found.value_type, wanted)
    if types.is_list(found) and types.is_list(wanted):
        return is_readable_as(found.value_type, wanted.value_type)
    if types.is_decimal(found) and types.is_decimal(wanted):
        digits_before = found.precision - found.scale <= wanted.precision - wanted.scale
        return bool(digits_before and found.scale <= wanted.scale)
    if types.is_unsigned_integer(found) and types.is_signed_integer(wanted):
        return bool(found.bit_width < wanted.bit_width)
    for is_kind in (types.is_signed_integer, types.is_floating):
        if is_kind(found) and is_kind(wanted):
            return bool(found.bit_width <= wanted.bit_width)
    is_same_kind = any(is_kind(found) and is_kind(wanted) for is_kind in (types.is_timestamp, _is_text))
    return is_same_kind or bool(found.equals(wanted))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _extra(columns: dict[str, Any], rows: int) -> list[list[tuple[str, str | None]] | None]:
    if not columns:
        return [None] * rows
    values = {name: array.to_pylist() for name, array in columns.items()}
    return [[(name, _as_text(column[row])) for name, column in values.items()] for row in range(rows)]


def _as_text(value: Any) -> str | None:
    """What has no plain text of its own is written as JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    return None if value is None else str(value)
