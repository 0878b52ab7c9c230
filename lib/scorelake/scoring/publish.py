"""A night's score table: what stands beside each score, and which rows cannot be published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from scorelake.models import Scoring

CHAMPION = "champion"


def published(
    scored: DataFrame,
    *,
    keys: Sequence[str],
    scoring: Scoring,
    role: str,
    model_name: str,
    model_version: str,
    definition_hash: str,
    run_id: str,
    scored_at: datetime,
) -> DataFrame:
    """The rows of `scores.<model>` (semantics, section 7) for `scored` rows of any number of nights.

    `scored` has the keys, `score_date`, `score` and, for classes, `prediction` and each `score_<class>`. Rows of the
    champion are served. Buckets are numbered within a night, 1 for the highest scores, equal scores by their keys.
    """
    from pyspark.sql import functions as F

    named = [*keys, "score", "score_date"]
    beside = [name for name in scored.columns if name not in named]
    extras = []
    if scoring.buckets is not None:
        extras.append(_bucket(scoring.buckets, keys).alias("bucket"))
    if scoring.cut is not None:
        extras.append((F.col("score") >= scoring.cut).cast("int").alias("decision"))
    return scored.select(
        *map(quoted, keys),
        "score",
        "score_date",
        F.lit(model_name).alias("model_name"),
        F.lit(model_version).alias("model_version"),
        F.lit(role).alias("role"),
        F.lit(role).alias("arm"),
        F.lit(role == CHAMPION).alias("served"),
        *map(quoted, beside),
        *extras,
        F.lit(definition_hash).alias("definition_hash"),
        F.lit(run_id).alias("run_id"),
        F.lit(scored_at).cast("timestamp").alias("scored_at"),
    )


def _bucket(buckets: int | tuple[float, ...], keys: Sequence[str]) -> Column:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if isinstance(buckets, int):
        order = Window.partitionBy("score_date").orderBy(F.desc("score"), *map(quoted, keys))
        return F.ntile(buckets).over(order)
    # Declared edges, rising: a score at an edge belongs to the bucket above it.
    passed = [F.when(F.col("score") >= edge, 1).otherwise(0) for edge in buckets]
    return F.lit(1 + len(buckets)) - sum(passed, F.lit(0))


def rejection(keys: Sequence[str]) -> Column:
    """Why a scored row cannot be published, null where it can: one STRING."""
    from pyspark.sql import functions as F

    null_key = F.lit(False)
    for key in keys:
        null_key = null_key | F.col(quoted(key)).isNull()
    score = F.col("score")
    infinite = F.isnan(score) | (F.abs(score) == float("inf"))
    return F.when(null_key, "null in the entity key").when(
        score.isNull() | infinite, "the model answered no finite score"
    )
