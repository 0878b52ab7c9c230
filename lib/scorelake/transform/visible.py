"""Rows of a silver or gold table as they were known at an instant: visible, one version a key, deletes applied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from scorelake.dates import as_of
from scorelake.tables import DELETED, Versioned, quoted
from scorelake.transform.versions import has_null_key, newest_first, winners

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

At = Callable[[str, datetime], "DataFrame"]
"""Name of a table and instant t (naive UTC) -> its rows visible at t."""


SINCE, UNTIL = "__since", "__until"
"""The instants from which a version counts, and counts no more; null: until further notice."""


@dataclass(frozen=True)
class History:
    """Every stored version of a table's rows, and what is known about them.

    `snapshots`: where each slice is the whole table, the run dates of all slices, empty ones included: a key absent
    from the newest visible one is deleted. None for every other table.
    `corrected`: the keys that have several versions, as `corrected_keys` gives them; None: not known, so that
    every key is looked at. `is_single`: no key has several versions, so that nothing needs to be sorted.
    `has_ends`: the rows say until when they count (`with_ends`), so neither.
    """

    rows: DataFrame
    contract: Versioned
    snapshots: Collection[date] | None = None
    corrected: DataFrame | None = None
    is_single: bool = False
    has_ends: bool = False

    def knowing(self, corrected: DataFrame, count: int) -> History:
        """The same history with its corrected keys counted beforehand: their versions alone get sorted."""
        return replace(self, corrected=corrected, is_single=count == 0)

    @property
    def has_versions(self) -> bool:
        return bool(self.contract.keys) and self.snapshots is None and not (self.is_single or self.has_ends)

    @property
    def columns(self) -> list[str]:
        return [*self.contract.column_names, "available_at", "run_date"]


def corrected_keys(history: History) -> DataFrame:
    """Keys that stand in more than one row. An aggregate over the key columns alone; no row is moved or sorted."""
    keys = [F.col(quoted(key)) for key in history.contract.keys]
    counted = history.rows.where(~has_null_key(history.contract.keys)).groupBy(*keys).agg(F.count("*").alias("__n"))
    return counted.where("__n > 1").drop("__n")


def visible_at(history: History, t: datetime) -> DataFrame:
    """Contract columns, available_at and run_date of the rows visible at `t`, one version a key.

    A row is visible when available_at <= t; a row whose available_at is null never is.
    """
    rows = _known_at(history, t)
    if history.snapshots is not None:
        rows = _newest_snapshot(history.snapshots, rows, t)
    elif history.has_ends:
        rows = rows.where(F.col(UNTIL).isNull() | (F.col(UNTIL) > F.lit(t)))
    elif history.has_versions:
        rows = _one_version(history, rows)
    if DELETED in rows.columns:
        rows = rows.where("NOT is_deleted")
    return rows.select(*(quoted(name) for name in history.columns))


def at(histories: Mapping[str, History]) -> At:
    """A reader of these tables as of any instant."""
    return lambda name, t: visible_at(histories[name], t)


def _known_at(history: History, t: datetime) -> DataFrame:
    """Rows with available_at <= t. Where no row can be known before its drop ended, slices are pruned too."""
    rows = history.rows.where(F.col("available_at") <= F.lit(t))
    availability = history.contract.availability
    if availability is not None and availability.history:
        return rows
    return rows.where(F.col("run_date") <= F.lit(_newest_slice(t)))


def _newest_slice(t: datetime) -> date:
    """The newest run date whose interval has ended at t."""
    return (t - timedelta(days=1)).date()


def _newest_snapshot(snapshots: Collection[date], rows: DataFrame, t: datetime) -> DataFrame:
    newest = max((day for day in snapshots if day <= _newest_slice(t)), default=None)
    return rows.where(F.col("run_date") == F.lit(newest))


def _one_version(history: History, rows: DataFrame) -> DataFrame:
    """The newest version of each key; keys that are known to have one version are not touched."""
    if history.corrected is None:
        return winners(rows, history.contract)
    contested, single = _parted(history.contract, rows, history.corrected)
    return single.unionByName(winners(contested, history.contract))


def _parted(contract: Versioned, rows: DataFrame, corrected: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The rows of corrected keys, and all others."""
    keys = list(contract.keys)
    return rows.join(corrected, on=keys, how="left_semi"), rows.join(corrected, on=keys, how="left_anti")


# ------------------------------------------------------------------ validity of versions


def with_ends(history: History) -> History:
    """The same history with rows that say until when they count: many instants, and only one of them sorts.

    Where its corrected keys are known; any other history is returned as it is.
    """
    if not history.has_versions or history.corrected is None:
        return history
    contested, single = _parted(history.contract, history.rows, history.corrected)
    rows = single.withColumn(UNTIL, F.lit(None).cast("timestamp")).unionByName(_with_ends(history, contested))
    return replace(history, rows=rows, has_ends=True)


def intervals(history: History) -> DataFrame:
    """Visible versions with the time for which each counts: contract columns, SINCE, UNTIL (excluded).

    UNTIL null: until further notice. For joining many instants at once: a row counts at t when SINCE <= t < UNTIL. Rows
    with a null in their keys are left out, as no key equals them.
    """
    keys = history.contract.keys
    rows = history.rows.where(~has_null_key(keys) & F.col("available_at").isNotNull())
    if history.snapshots is not None:
        rows = rows.join(F.broadcast(_snapshot_ends(rows.sparkSession, history.snapshots)), on="run_date", how="left")
    elif history.has_versions:
        rows = _with_ends(history, rows)
    else:
        rows = rows.withColumn(UNTIL, F.lit(None).cast("timestamp"))
    if DELETED in rows.columns:
        rows = rows.where("NOT is_deleted")
    clocks = [F.col("available_at").alias(SINCE), F.col(UNTIL)]
    return rows.select(*(quoted(name) for name in history.contract.column_names), *clocks)


def _with_ends(history: History, rows: DataFrame) -> DataFrame:
    """One row a key and available_at, and the next available_at of its key."""
    keys = [F.col(quoted(key)) for key in history.contract.keys]
    newest = Window.partitionBy(*keys, "available_at").orderBy(*newest_first(history.contract))
    following = Window.partitionBy(*keys).orderBy("available_at")
    one_a_stamp = rows.withColumn("__rank", F.row_number().over(newest)).where("__rank = 1").drop("__rank")
    return one_a_stamp.withColumn(UNTIL, F.lead("available_at").over(following))


def _snapshot_ends(spark: SparkSession, snapshots: Collection[date]) -> DataFrame:
    """run_date -> the instant from which the next snapshot counts."""
    ends = [(one, as_of(following)) for one, following in pairwise(sorted(snapshots))]
    return spark.createDataFrame(ends, f"run_date DATE, {UNTIL} TIMESTAMP")
