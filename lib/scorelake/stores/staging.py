"""Frames materialised for one step, so that they are evaluated once; what a killed step left is removed later.

Written to storage instead of cached, since a lost cached block would be evaluated again.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scorelake.places import opened
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.stores.lake import Lake

STAGED: Mapping[str, str] = {"compression": "lz4_raw", "parquet.enable.dictionary": "false"}
"""How rows are staged that are read once or twice and then go: quick to write rather than small."""


@contextmanager
def staging(lake: Lake) -> Iterator[Callable[[DataFrame], DataFrame]]:
    """A function that materialises a frame; what it wrote goes at the end."""
    place = uuid.uuid4().hex
    numbers = itertools.count()
    staged: list[str] = []

    def stage(frame: DataFrame) -> DataFrame:
        if lake.settings.catalog:
            layer = f"{quoted(lake.settings.catalog)}.staging"
            lake.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {layer}")
            staged.append(f"{layer}.staged_{place}_{next(numbers)}")
            frame.write.format("delta").saveAsTable(staged[-1])
            return lake.spark.read.table(staged[-1])
        staged.append(f"{_folder(lake)}/{place}/{next(numbers)}")
        frame.write.options(**STAGED).parquet(staged[-1])
        return lake.spark.read.schema(frame.schema).parquet(staged[-1])

    try:
        yield stage
    finally:
        if lake.settings.catalog:
            for table in staged:
                lake.spark.sql(f"DROP TABLE IF EXISTS {table}")
        elif staged:
            _delete(f"{_folder(lake)}/{place}")


def clear(lake: Lake, before: datetime) -> int:
    """Remove what was staged and last written to before `before` (UTC, naive): its step was killed. How many."""
    old = [place for place, at in _staged(lake) if at < before]
    for place in old:
        if lake.settings.catalog:
            lake.spark.sql(f"DROP TABLE IF EXISTS {place}")
        else:
            _delete(place)
    return len(old)


def _staged(lake: Lake) -> Iterator[tuple[str, datetime]]:
    """Everything staged, with the instant of its last write."""
    from pyarrow import fs

    if lake.settings.catalog:
        catalog = quoted(lake.settings.catalog)
        if not lake.spark.sql(f"SHOW SCHEMAS IN {catalog} LIKE 'staging'").isEmpty():
            for row in lake.spark.sql(f"SHOW TABLES IN {catalog}.staging LIKE 'staged_*'").collect():
                table = f"{catalog}.staging.{quoted(row['tableName'])}"
                yield table, lake.spark.sql(f"DESCRIBE DETAIL {table}").collect()[0]["lastModified"]
        return
    filesystem, folder = opened(_folder(lake))
    for place in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
        within = filesystem.get_file_info(fs.FileSelector(place.path, recursive=True))
        # Object stores keep no time of a folder, and a folder may be empty.
        written = [info.mtime for info in (*within, place) if info.mtime is not None]
        if written:
            yield f"{_folder(lake)}/{place.base_name}", max(written).astimezone(UTC).replace(tzinfo=None)


def _folder(lake: Lake) -> str:
    return f"{lake.settings.root.rstrip('/')}/_staging"


def _delete(place: str) -> None:
    filesystem, path = opened(place)
    filesystem.delete_dir(path)
