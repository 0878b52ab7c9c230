"""Which Parquet files are a table's slices, where readers other than Spark may take them for the whole truth."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import unquote

from scorelake.stores.lake import Lake, files_of
from scorelake.tables import SLICE_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import Row

_SCHEMES = ("gs://", "s3://", "hdfs://", "abfs://", "abfss://")
"""Storages that pyarrow opens in a worker with the worker's own rights."""


def plain_files(lake: Lake, name: str, dates: Iterable[date]) -> dict[str, date] | None:
    """Files of the slices with the date of each; None when workers must not or cannot read them.

    A catalog guards its files, and another lake's are its own affair; deletion vectors and column mapping make a file
    something else than its rows.
    """
    if lake.settings.catalog or not lake.owns(name):
        return None
    detail = lake.spark.sql(f"DESCRIBE DETAIL {lake.identifier(name)}").first()
    if detail is None or not _is_plain(detail):
        return None
    found = {path: _slice_of(path) for path in files_of(lake.read_slices(name, dates))}
    if any(day is None or not _is_readable(path) for path, day in found.items()):
        return None
    return {path: day for path, day in found.items() if day is not None}


def _is_plain(detail: Row) -> bool:
    properties = detail["properties"]
    return (
        detail["partitionColumns"] == [SLICE_COLUMN]
        and properties.get("delta.enableDeletionVectors", "false") == "false"
        and properties.get("delta.columnMapping.mode", "none") == "none"
        and "deletionVectors" not in detail["tableFeatures"]
    )


def _is_readable(path: str) -> bool:
    return path.startswith(("/", *_SCHEMES))


def _slice_of(path: str) -> date | None:
    """The date in a partition folder's name."""
    for part in reversed(path.split("/")):
        name, equals, value = part.partition("=")
        if equals and name == SLICE_COLUMN:
            try:
                return date.fromisoformat(unquote(value))
            except ValueError:
                return None
    return None
