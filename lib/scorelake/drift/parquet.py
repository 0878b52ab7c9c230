"""A slice's Parquet files as Arrow batches, read where they are counted and in the types of the profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from scorelake.drift import physical
from scorelake.drift.profile import Profile
from scorelake.places import parquet_file

if TYPE_CHECKING:
    pass

_BATCH_ROWS = 65_536


def read(
    files: Sequence[str], profile: Profile, *, part: int, parts: int, weight: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Part `part` of `parts` of the files' rows; together the parts are every row once.

    Whole files where there are enough of them; otherwise every part takes its row groups of each file.
    """
    kinds = {feature.name: physical.arrow_type(feature.type) for feature in profile.features}
    texts = [name for name, kind in kinds.items() if pa.types.is_string(kind)]
    kinds |= {} if weight is None else {weight: pa.float64()}
    segments = [family.column for family in profile.families if family.column not in kinds]
    whole_files = len(files) >= parts
    for path in files[part::parts] if whole_files else files:
        with parquet_file(path, texts) as file:
            groups = range(file.num_row_groups) if whole_files else range(part, file.num_row_groups, parts)
            present = [name for name in (*kinds, *segments) if name in file.schema_arrow.names]
            if len(groups) == 0:
                continue
            for batch in file.iter_batches(_BATCH_ROWS, list(groups), present, use_threads=False):
                yield _as_declared(batch, kinds)


def _as_declared(batch: pa.RecordBatch, kinds: dict[str, pa.DataType]) -> pa.RecordBatch:
    """The batch in the profile's types; a column added to the table later is null in an older file."""
    columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
    for name, kind in kinds.items():
        if name not in columns:
            columns[name] = pa.nulls(len(batch), kind)
        elif physical.spark_type(columns[name].type) != physical.spark_type(kind):
            columns[name] = columns[name].cast(kind)  # an older, narrower file of a widened column
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
