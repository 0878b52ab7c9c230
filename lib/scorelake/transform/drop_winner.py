"""One winner a key within a drop, by a total order, so that partitions and file order decide nothing.

Only rows that pass the implied rules compete; a row with a null in its keys is its own and never loses.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from scorelake.tables import Silver, quoted
from scorelake.transform.versions import comparable, has_null_key, newest_first

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def losers(frame: DataFrame, contract: Silver, flags: dict[str, str]) -> tuple[DataFrame, dict[str, str]]:
    """The frame with flags `duplicate` (equal to the winner in every contract column) and `superseded_in_drop`.

    `flags` are the rules so far: name -> flag column. Without keys no row competes and no flag is added.
    """
    if not contract.keys:
        return frame, flags
    competes = ~has_null_key(contract.keys)
    competes = reduce(lambda so_far, flag: so_far & ~F.col(flag), flags.values(), competes)
    alone = [F.when(~F.col("__competes"), F.col(name)) for name in ("source_file", "source_row")]
    keys = [F.col(quoted(key)) for key in contract.keys]
    order = [*_declared_order(contract), *newest_first(contract), F.asc("source_file"), F.asc("source_row")]
    drop = Window.partitionBy("run_date", *keys, "__competes", *alone).orderBy(*order)
    content = F.struct(*(comparable(column.name, column.type).alias(column.name) for column in contract.columns))
    winner = F.first(content).over(drop.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    is_loser = F.col("__competes") & (F.row_number().over(drop) > 1)
    is_equal = content.eqNullSafe(winner)
    judged = (
        frame.withColumn("__competes", competes)
        .withColumns({"__is_loser": is_loser, "__is_equal": is_equal})
        .withColumns(
            {
                "__fails_duplicate": F.col("__is_loser") & F.col("__is_equal"),
                "__fails_superseded": F.col("__is_loser") & ~F.col("__is_equal"),
            }
        )
        .drop("__competes", "__is_loser", "__is_equal")
    )
    return judged, {**flags, "duplicate": "__fails_duplicate", "superseded_in_drop": "__fails_superseded"}


def _declared_order(contract: Silver) -> list[Column]:
    """`deduplicate_by` as columns: the first row in this order wins; nulls come last either way."""
    types = {column.name: column.type for column in contract.columns}
    columns = [(comparable(name, types[name]), is_descending) for name, is_descending in contract.drop_order]
    return [column.desc_nulls_last() if is_descending else column.asc_nulls_last() for column, is_descending in columns]
