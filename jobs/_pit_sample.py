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

    names = [*keys, TIMESTAMP]
    by = [F.col(quoted(name)) for name in names]
    chance = F.xxhash64(*by)

    found: dict[str, Row] = {}  # by their text: keys may be arrays, which have no hash
    for view in views:
        source = view.rows.select(*map(quoted, _needed(view))).persist()
        # Each kind is a query of its own: in one, Spark would plan all of them anew after each of their stages.
        for kind in _rare(rows, view, source):
            few = kind.select(chance.alias("#chance"), *by).orderBy("#chance", *by).limit(count)
            found |= {str(row): row for row in few.collect()}
        source.unpersist()
    if not found:
        return rows.orderBy(chance, *by).limit(count).collect()
    first = sorted(found.values(), key=lambda row: (row["#chance"], str(row)))[: count // 2]
    rare = rows.sparkSession.createDataFrame([row[1:] for row in first], rows.select(*by).schema)
    chosen = rows.join(rare, on=names, how="left_semi").collect()
    others = rows.join(rare, on=names, how="left_anti").orderBy(chance, *by).limit(count).collect()
    return [*chosen, *others][:count]


def _needed(view: View) -> list[str]:
    """Columns of a view's source by which rows are told to be rare."""
    names = (*view.join_keys.values(), *view.row_keys, view.event_time, view.until)
    return [name for name in dict.fromkeys(names) if name]


def _rare(rows: DataFrame, view: View, source: DataFrame) -> Iterator[DataFrame]:
    """Rows of `rows` that are rare to one view, a frame a kind; `source` has the columns `_needed` of its rows."""
    from pyspark.sql import functions as F

    entity = [F.col(quoted(name)) for name in view.join_keys.values()]
    happened = F.col(quoted(view.event_time))
    if entity and view.row_keys:
        row_keys = [quoted(name) for name in view.row_keys]
        several = source.groupBy(*row_keys).count().where("count > 1").drop("count")
        yield _of(rows, view, source.join(several, on=list(view.row_keys), how="left_semi").select(*entity))
    if entity:
        yield _of(rows, view, source.groupBy(*entity, happened).count().where("count > 1").select(*entity))
    edges = [happened if reach is None else happened + F.lit(reach) for reach in _reaches(view)]
    edges += [F.col(quoted(view.until))] if view.until else []
    at_edges = source.select(*entity, F.explode(F.array(*edges)).alias("#at"))
    yield _of(rows, view, at_edges, F.col(f"rows.{TIMESTAMP}") == F.col("rare.#at"))


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
