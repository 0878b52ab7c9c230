"""Names and types of what views put out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, LongType, NumericType, StructField, TimestampType

from scorelake.errors import UsageError
from scorelake.features.clock import quoted
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_FIXED: Mapping[str, DataType] = {
    "count": LongType(),
    "count_distinct": LongType(),
    "age": DoubleType(),
    "stddev": DoubleType(),
    "variance": DoubleType(),
}
_ARITHMETIC = frozenset({"sum", "mean", "stddev", "variance"})


def audit_names(view: View) -> tuple[str, str]:
    """The event time of the row that a lookup found, and its age in seconds at t."""
    return f"{view.prefix}{view.name}__event_time", f"{view.prefix}{view.name}__age"


def names(view: View, *, audit: bool) -> tuple[str, ...]:
    """Output columns of a view in order."""
    return (*view.features, *(audit_names(view) if audit and view.lookups else ()))


def require_distinct_names(spine: DataFrame, views: Sequence[View], *, audit: bool) -> None:
    """Raise UsageError when a feature would take the name of another column, as the session tells names apart."""
    columns = [*spine.columns, *(name for view in views for name in names(view, audit=audit))]
    is_exact = spine.sparkSession.conf.get("spark.sql.caseSensitive") == "true"
    seen = Counter(columns if is_exact else map(str.lower, columns))
    twice = sorted({name for name in columns if seen[name if is_exact else name.lower()] > 1})
    if twice:
        raise UsageError(f"columns {', '.join(twice)} would stand twice in the result; give the view a prefix")


def fields(views: Sequence[View], *, audit: bool) -> list[StructField]:
    """Output columns of views in order, with Spark's own result types; all nullable."""
    result: list[StructField] = []
    for view in views:
        types = _types(view)
        if audit and view.lookups:
            types += [TimestampType(), DoubleType()]
        result += [StructField(name, one) for name, one in zip(names(view, audit=audit), types, strict=True)]
    return result


def _types(view: View) -> list[DataType]:
    if view.lookups:
        return [view.rows.schema[column].dataType for column in view.lookups.values()]
    for window in view.windows:
        _require_fitting(view, window)
    answers = [_answer(window) for window in view.windows]
    return [
        _FIXED.get(window.function, field.dataType)
        for window, field in zip(view.windows, view.rows.agg(*answers).schema, strict=True)
    ]


def _require_fitting(view: View, window: Window) -> None:
    if window.function not in _ARITHMETIC:
        return
    data_type = view.rows.schema[window.column].dataType
    if not isinstance(data_type, NumericType):
        kind = data_type.simpleString()
        raise UsageError(f"view {view.name}: {window.function} of {window.column}, which is {kind}; expected a number")


def _answer(window: Window) -> Column:
    """An aggregate of the same result type."""
    if window.function in _FIXED:
        return F.count(F.lit(1)).alias(window.name)
    column = F.col(quoted(window.column))
    same = {"sum": F.sum, "mean": F.avg}.get(window.function, F.first)
    return same(column).alias(window.name)
