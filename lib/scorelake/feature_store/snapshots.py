"""Rows of snapshots as versions: a key that the next snapshot lacks gets a version that deletes it.

Each drop of such a source is the whole table, so silver holds every key again in every slice, and what says that a
key has gone is only that it is not there (semantics, section 1).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from scorelake.tables import SLICE_COLUMN, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from pyspark.sql import DataFrame

DELETED = "is_deleted"


def with_deletes(rows: DataFrame, keys: Sequence[str], snapshots: Collection[date], *, available_at: str) -> DataFrame:
    """`rows` with the column is_deleted, and one more row for each key and snapshot after which it is missing.

    That row is a copy of the key's last one, known at the end of the snapshot that lacks it. `snapshots` are the run
    dates of all slices, those without rows included. A row with a null in `keys` is never a version, and so is not
    deleted either.
    """
    following = rows.sparkSession.createDataFrame(
        list(pairwise(sorted(snapshots))), f"{SLICE_COLUMN} DATE, __next DATE"
    )
    dated = rows.join(F.broadcast(following), on=SLICE_COLUMN, how="left")
    again = F.lead(SLICE_COLUMN).over(Window.partitionBy(*map(quoted, keys)).orderBy(SLICE_COLUMN))
    is_missing = F.col("__next") < F.coalesce(F.col("__again"), F.lit("9999-12-31").cast("date"))
    missing = dated.withColumn("__again", again).where(is_missing)
    known = F.date_add("__next", 1).cast("timestamp")
    deletes = missing.withColumns({available_at: F.greatest(available_at, known), DELETED: F.lit(True)})
    present = rows if DELETED in rows.columns else rows.withColumn(DELETED, F.lit(False))
    return present.unionByName(deletes.select(*map(quoted, present.columns)))
