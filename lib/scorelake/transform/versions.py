"""Which of several rows with equal keys counts: the total order of semantics.md, section 2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from scorelake.tables import DELETED, Silver, Versioned, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def newest_first(contract: Versioned) -> list[Column]:
    """Latest available_at, then rule 3: event time, tie-break column, the other columns in order; nulls last.

    Rows that are still equal are interchangeable, except that of two such rows a deletion counts.
    """
    stamps = ["available_at", *([contract.event_time] if contract.event_time else [])]
    names = dict.fromkeys((*stamps, *contract.total_order))
    types = {column.name: column.type for column in contract.columns}
    order = [comparable(name, types.get(name, "")).desc_nulls_last() for name in names]
    deletes = isinstance(contract, Silver) and contract.delete_when is not None
    return [*order, F.col(DELETED).desc()] if deletes else order


def comparable(name: str, spark_type: str) -> Column:
    """The column as something that Spark can sort and compare; maps are neither."""
    column = F.col(quoted(name))
    return F.array_sort(F.map_entries(column)) if spark_type.startswith("map<") else column


def winners(rows: DataFrame, contract: Versioned) -> DataFrame:
    """One row a key, the newest version; a row with a null in its keys is its own."""
    is_own = has_null_key(contract.keys)
    window = Window.partitionBy(*_columns(contract.keys)).orderBy(*newest_first(contract))
    ranked = rows.where(~is_own).withColumn("__rank", F.row_number().over(window))
    return ranked.where("__rank = 1").drop("__rank").unionByName(rows.where(is_own))


def has_null_key(keys: Iterable[str]) -> Column:
    """True where any key is null; false without keys."""
    is_null = F.lit(False)
    for key in keys:
        is_null = is_null | F.col(quoted(key)).isNull()
    return is_null


def _columns(names: Iterable[str]) -> list[Column]:
    return [F.col(quoted(name)) for name in names]
