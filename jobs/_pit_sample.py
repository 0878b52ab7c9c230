"""Which rows a proof looks at: half of them where point-in-time joins go wrong, the others at random.

Rare are rows of entities that have corrected rows or several rows at one instant, and rows whose own instant is an
edge: a source row happened exactly then, or falls out of a window or a ttl exactly then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from scorelake.tables import quoted

if TYPE_CHECKING:
    from datetime import timedelta

    from pyspark.sql import Column, DataFrame, Row

    from scorelake.features.views import View

TIMESTAMP = "event_timestamp"


def sampled(rows: DataFrame, views: Sequence[View], keys: Sequence[str], count: int) -> list[Row]:
    """At most `count` of `rows` (keys, event_timestamp, features), at most half of them rare while others are left.

    The sample depends on keys and instants alone: a repeated call looks at the same rows.
    """
    from pyspark.sql import functions as F

    by = [F.col(quoted(name)) for name in (*keys, TIMESTAMP)]

    def some(frame: DataFrame, limit: int) -> DataFrame:
        return frame.orderBy(F.xxhash64(*by), *by).limit(limit)

    parts = [rare for view in views for rare in _rare(rows, view)]
    rare = [some(part, count).select(*by) for part in parts]
    first = some(reduce(lambda one, other: one.unionAll(other), rare).distinct(), count // 2) if rare else None
    chosen = [] if first is None else _same(rows, first).collect()
    chosen += some(rows if first is None else rows.join(first, [*keys, TIMESTAMP], "left_anti"), count).collect()
    return chosen[:count]


def _same(rows: DataFrame, chosen: DataFrame) -> DataFrame:
    return rows.join(chosen, on=chosen.columns, how="left_semi")


def _rare(rows: DataFrame, view: View) -> Iterator[DataFrame]:
    """Rows of `rows` that are rare to one view, a frame a kind."""
    from pyspark.sql import functions as F

    source, entity = view.rows, [F.col(quoted(name)) for name in view.join_keys.values()]
    happened = F.col(quoted(view.event_time))
    if entity and view.row_keys:
        row_keys = [quoted(name) for name in view.row_keys]
        several = source.groupBy(*row_keys).count().where("count > 1").drop("count")
        yield _of(rows, view, source.join(several, on=list(view.row_keys), how="left_semi").select(*entity))
    if entity:
        yield _of(rows, view, source.groupBy(*entity, happened).count().where("count > 1").select(*entity))
    edges = [happened if reach is None else happened + F.lit(reach) for reach in _reaches(view)]
    for at in [*([F.col(quoted(view.until))] if view.until else []), *edges]:
        yield _of(rows, view, source.select(*entity, at.alias("#at")), F.col(f"rows.{TIMESTAMP}") == F.col("rare.#at"))


def _reaches(view: View) -> list[timedelta | None]:
    """How long after it happened a row begins (None: at once) or ceases to count."""
    lengths = {window.length for window in view.windows} | {view.ttl or None}
    return [None, *sorted(length for length in lengths if length is not None)]


def _of(rows: DataFrame, view: View, rare: DataFrame, *more: Column) -> DataFrame:
    """The rows whose entity, as `view` joins it, is among the first columns of `rare`."""
    from pyspark.sql import functions as F

    named = rare.toDF(*(f"#{number}" for number in range(len(view.join_keys))), *rare.columns[len(view.join_keys) :])
    pairs = [F.col(f"rows.{quoted(ours)}") == F.col(f"rare.#{number}") for number, ours in enumerate(view.join_keys)]
    conditions = [*pairs, *more]
    return rows.alias("rows").join(named.alias("rare"), on=reduce(lambda a, b: a & b, conditions), how="left_semi")
