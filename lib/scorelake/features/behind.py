"""The rows of one entity from which a view's features are made as of an instant: for people, one entity at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from scorelake.features.views import View, Window

COUNTS_FOR = "counts_for"


def behind(view: View, keys: Mapping[str, object], t: datetime) -> DataFrame:
    """The source's rows that count as of `t` (naive UTC), newest first, with `counts_for`: the features of each.

    `keys` are the entity's, by spine column. Of a row's versions the one known at t is shown, wherever a later one
    moves it (semantics 2 and 3); of lookups one row at most, the winner. Written with plain windows of Spark, apart
    from the engine: what both say can be compared.
    """
    from pyspark.sql import functions as F

    is_mine = _all([F.col(quoted(source)).eqNullSafe(F.lit(keys[spine])) for spine, source in view.join_keys.items()])
    rows = _known(view, is_mine, t).where(is_mine)
    if view.deleted:
        rows = rows.where(~F.coalesce(F.col(quoted(view.deleted)), F.lit(False)))
    shown = _of_lookups(view, rows, t) if view.lookups else _of_windows(view, rows, t)
    return shown.where(F.size(COUNTS_FOR) > 0).orderBy(F.desc(quoted(view.event_time)))


def _known(view: View, is_mine: Column, t: datetime) -> DataFrame:
    """One version of each row that ever was the entity's; the versions of others are not sorted."""
    from pyspark.sql import Window as Frame
    from pyspark.sql import functions as F

    rows = view.rows
    if view.is_clocked:
        rows = rows.where(F.col(quoted(str(view.available_at))) <= F.lit(t))
    if view.until:
        ends = F.col(quoted(view.until))
        rows = rows.where(ends.isNull() | (ends > F.lit(t)) if view.second_clock else ends.isNull())
    if not view.row_keys:
        return rows
    identity = [F.col(quoted(key)) for key in view.row_keys]
    has_identity = _all([column.isNotNull() for column in identity])
    mine = rows.where(is_mine & has_identity).select(*identity).distinct()
    versions = rows.join(F.broadcast(mine), on=list(view.row_keys), how="left_semi")
    newest = Frame.partitionBy(*identity).orderBy(*_newest_first(view))
    latest = versions.withColumn("__rank", F.row_number().over(newest)).where("__rank = 1").drop("__rank")
    return latest.select(*map(quoted, rows.columns)).unionByName(rows.where(is_mine & ~has_identity))


def _newest_first(view: View, *first: str) -> list[Column]:
    from pyspark.sql import functions as F

    maps = view.maps()
    names = (*first, view.available_at or view.event_time, *view.tie_break())
    columns = {name: F.col(quoted(name)) for name in names}
    return [F.desc_nulls_last(F.array_sort(F.map_entries(c)) if n in maps else c) for n, c in columns.items()]


def _of_lookups(view: View, rows: DataFrame, t: datetime) -> DataFrame:
    from pyspark.sql import functions as F

    at = F.col(quoted(view.event_time))
    reached = rows.where(at <= F.lit(t))
    if view.ttl:
        reached = reached.where(at >= F.lit(t - view.ttl))
    winner = reached.orderBy(*_newest_first(view, view.event_time)).limit(1)
    return winner.withColumn(COUNTS_FOR, F.array(*(F.lit(name) for name in view.lookups)))


def _of_windows(view: View, rows: DataFrame, t: datetime) -> DataFrame:
    from pyspark.sql import functions as F

    at = F.col(quoted(view.event_time))

    def reaches(window: Window) -> Column:
        return F.lit(True) if window.length is None else at >= F.lit(t - window.length)

    names = [F.when(reaches(window), F.lit(window.name)) for window in view.windows]
    return rows.where(at < F.lit(t)).withColumn(COUNTS_FOR, F.array_compact(F.array(*names)))


def _all(conditions: list[Column]) -> Column:
    from pyspark.sql import functions as F

    return reduce(lambda a, b: a & b, conditions, F.lit(True))
