"""Where the rows of stored slices are read: in the workers from their files where that is allowed, else by Spark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from scorelake import session
from scorelake.rows import FileRows, FrameRows, SliceFile
from scorelake.stores.slice_files import plain_files
from scorelake.tables import SLICE_COLUMN

if TYPE_CHECKING:
    from scorelake.rows import Rows
    from scorelake.stores.lake import Lake


def rows_of(lake: Lake, table: str, dates: Sequence[date]) -> Rows:
    """The slices: files for the workers to read where that is allowed and works, else by way of the JVM.

    One task a slot: each costs as much as scoring thirty thousand rows, and the rows are spread evenly over them.
    """
    by_way_of_spark = FrameRows(lake.read_slices(table, dates), tasks=session.slots(lake.spark))
    files = plain_files(lake, table, dates)
    if not files:
        return by_way_of_spark
    plain = tuple(SliceFile(path, {SLICE_COLUMN: day}) for path, day in files.items())
    in_workers = FileRows(by_way_of_spark.frame, plain, tasks=by_way_of_spark.tasks)
    try:
        in_workers.first([SLICE_COLUMN], 1)
    except OSError:  # a storage that answers Spark but not pyarrow: other rights, other options
        return by_way_of_spark
    return in_workers
