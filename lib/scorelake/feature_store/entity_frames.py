"""The spine of a historical request: whatever Feast's callers hand in, as a Spark frame with clean types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scorelake.errors import UsageError
from scorelake.feature_store.retrieve import EVENT_TIMESTAMP, Request
from scorelake.feature_store.selection import Tables, engine_views
from scorelake.tables import quoted

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


def rows_of(entity_df: Any) -> int | None:
    """How many rows a pandas frame has; of what Spark would have to compute nobody knows yet."""
    is_spark = entity_df is None or isinstance(entity_df, str) or hasattr(entity_df, "sparkSession")
    return None if is_spark else len(entity_df)


def of_frame(spark: SparkSession, entity_df: Any, request: Request) -> DataFrame:
    """`entity_df` as a Spark frame whose event timestamp is a TIMESTAMP in UTC.

    A pandas frame may hold integer keys as floats (because of nulls), categories, and timestamps without a zone (taken
    as UTC).
    """
    from pyspark.sql import functions as F

    if isinstance(entity_df, str):
        spine = spark.sql(entity_df)
    elif hasattr(entity_df, "sparkSession"):
        spine = entity_df
    else:
        spine = _of_pandas(spark, entity_df, request)
    timestamp = timestamp_of(spine)
    return spine.withColumn(timestamp, F.col(quoted(timestamp)).cast("timestamp"))


def timestamp_of(spine: DataFrame) -> str:
    """`event_timestamp`, else the only column of timestamps or dates."""
    if EVENT_TIMESTAMP in spine.columns:
        return EVENT_TIMESTAMP
    found = [name for name, kind in spine.dtypes if kind in ("timestamp", "timestamp_ntz", "date")]
    if len(found) != 1:
        raise UsageError(
            f"the entity frame has no column {EVENT_TIMESTAMP}, and {len(found)} others could be meant"
            f"{': ' if found else ''}{', '.join(found)}"
        )
    return found[0]


def _of_pandas(spark: SparkSession, entity_df: pd.DataFrame, request: Request) -> DataFrame:
    import pyarrow as pa

    frame = entity_df.copy(deep=False)
    for key in request.join_keys:
        if key in frame and frame[key].dtype.kind == "f":
            frame[key] = frame[key].astype("Int64")  # raises for a fraction: no key is one
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [pa.field(column.name, _spark_has(column.type)) for column in table.schema]
    return spark.createDataFrame(table.cast(pa.schema(fields), safe=False))


def _spark_has(kind: pa.DataType) -> pa.DataType:
    """The type that Spark knows for values of an Arrow type of pandas."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _spark_has(kind.value_type)
    return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else kind


def of_period(
    request: Request, tables: Tables, start: datetime | None, end: datetime | None, *, conf_dir: str | None
) -> DataFrame:
    """Every entity with a row whose event time lies in [start, end), once, at `end`: Feast's call without a frame.

    All views must share their join keys; otherwise there is no one set of entities to ask about.
    """
    from pyspark.sql import functions as F

    from scorelake.features.clock import aware

    if start is None or end is None:
        raise UsageError("without an entity frame, give start_date and end_date")
    views = engine_views(request.selections, tables, conf_dir=conf_dir)
    keyed = [view for view in views if view.join_keys]
    if not keyed or any(set(view.join_keys) != set(keyed[0].join_keys) for view in keyed):
        raise UsageError("without an entity frame, all feature views must have the same join keys; give an entity_df")
    since, until = F.lit(aware(start)), F.lit(aware(end))
    parts = [
        view.rows.where((F.col(quoted(view.event_time)) >= since) & (F.col(quoted(view.event_time)) < until)).select(
            *(F.col(quoted(source)).alias(key) for key, source in sorted(view.join_keys.items()))
        )
        for view in keyed
    ]
    entities = parts[0]
    for part in parts[1:]:
        entities = entities.unionByName(part)
    return entities.na.drop().distinct().withColumn(EVENT_TIMESTAMP, until)
