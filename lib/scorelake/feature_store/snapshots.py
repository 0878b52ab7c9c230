"""Rows of snapshots with the time for which each counts: until the next snapshot.

Each drop of such a source is the whole table. So a row of it, whatever its keys, stands for what is known until the
next one is: there it is again, or has changed, or has gone (semantics, section 1).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from scorelake.tables import DELETED, SLICE_COLUMN

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from pyspark.sql import Column, DataFrame

UNTIL = "counts_until"


def with_ends(rows: DataFrame, snapshots: Collection[date], *, available_at: str) -> DataFrame:
    """`rows` with the column counts_until, the end of the snapshot after theirs; null in the newest one.

    `snapshots` are the run dates of all slices, those without rows included. A row that says it is deleted is left
    out, and none is available before its own snapshot ends.
    """
    following = rows.sparkSession.createDataFrame(
        list(pairwise(sorted(snapshots))), f"{SLICE_COLUMN} DATE, __next DATE"
    )
    dated = rows.join(F.broadcast(following), on=SLICE_COLUMN, how="left")
    known = F.when(F.col(available_at).isNotNull(), F.greatest(available_at, _end_of(SLICE_COLUMN)))
    ending = dated.withColumns({available_at: known, UNTIL: _end_of("__next")}).drop("__next")
    return ending.where(f"NOT coalesce({DELETED}, false)") if DELETED in rows.columns else ending


def _end_of(day: str) -> Column:
    return F.date_add(day, 1).cast("timestamp")
