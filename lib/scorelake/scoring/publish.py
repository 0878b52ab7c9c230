"""A night's score table: what stands beside each score, which row is served, and which rows cannot be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from scorelake.scoring import arms
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from scorelake.models import Scoring

REPEATED = "the entity stands more than once in the features"
_INNER = ("member", "is_covered", "about", "report", "reason")


@dataclass(frozen=True)
class Role:
    """What a member of the pass is called in the table. `is_alive` is false once it was given up: then it has no
    rows. `cut` is the one that was chosen for its version, if one was."""

    name: str
    version: str
    is_alive: bool = True
    cut: float | None = None


@dataclass(frozen=True)
class Published:
    """What all rows of a commit share; `roles` by position in the pass, the champion first; `nights` are how many."""

    keys: tuple[str, ...]
    roles: tuple[Role, ...]
    model_name: str
    definition_hash: str
    run_id: str
    scored_at: datetime
    nights: int

    @property
    def alive(self) -> list[int]:
        """Positions of the roles that have rows."""
        return [number for number, role in enumerate(self.roles) if role.is_alive]


def published(scored: DataFrame, scoring: Scoring, about: Published) -> DataFrame:
    """The rows of `scores.<model>` (semantics, section 7) for accepted rows of any number of nights.

    `scored` has the columns of `answers.Layout` with `score_date` among its keys. Buckets are numbered within a night
    and role, 1 for the highest scores, equal scores by their keys. `decision` is made by `scoring.cut`, else by the
    cut that each version brings along; null where it brings none.
    """
    from pyspark.sql import functions as F

    named = {*about.keys, "score", "score_date", *_INNER}
    beside = [quoted(name) for name in scored.columns if name not in named]
    rows = scored.where(_is_any(about.alive))
    extras = []
    if scoring.buckets is not None:  # first: ranks sort the night, and what stands beside them with it
        rows = rows.withColumn("bucket", _bucket(scoring.buckets, about))
        extras.append(F.col("bucket"))
    cuts = [scoring.cut_of(role.cut) for role in about.roles]
    if any(cut is not None for cut in cuts):
        extras.append((F.col("score") >= _by_member(cuts)).cast("int").alias("decision"))
    if scoring.review is not None:
        low, high = scoring.review
        extras.append(((F.col("score") >= low) & (F.col("score") < high)).alias("review"))
    arm = _arm(scoring, about)
    return rows.select(
        *map(quoted, about.keys),
        "score",
        "score_date",
        F.lit(about.model_name).alias("model_name"),
        _by_member([role.version for role in about.roles]).alias("model_version"),
        _by_member([role.name for role in about.roles]).alias("role"),
        arm.alias("arm"),
        _served(arm, about).alias("served"),
        *beside,
        *extras,
        F.lit(about.definition_hash).alias("definition_hash"),
        F.lit(about.run_id).alias("run_id"),
        F.lit(about.scored_at).cast("timestamp").alias("scored_at"),
    )


def rejected(scored: DataFrame, about: Published) -> DataFrame:
    """The rows of `quarantine.scores_<model>`: what was not published, and why."""
    from pyspark.sql import functions as F

    return scored.where(_is_any(about.alive)).select(
        *map(quoted, about.keys),
        "score",
        "score_date",
        _by_member([role.name for role in about.roles]).alias("role"),
        _by_member([role.version for role in about.roles]).alias("model_version"),
        "reason",
        F.lit(about.run_id).alias("run_id"),
    )


def judged(scored: DataFrame, keys: Sequence[str]) -> DataFrame:
    """`scored` with `reason STRING`: why a row cannot be published, null where it can.

    Whether an entity is repeated is asked beforehand, so that the common night, without any, is not joined: one
    action, a shuffle of the keys.
    """
    from pyspark.sql import functions as F

    found = scored.withColumn("reason", _rejection(keys))
    repeated = _repeated(scored, keys)
    if repeated.isEmpty():
        return found
    marked = found.join(repeated.withColumn("is_repeated", F.lit(True)), on=[*keys, "score_date"], how="left")
    reason = F.when(F.col("is_repeated"), REPEATED).otherwise(F.col("reason"))
    return marked.withColumn("reason", reason).drop("is_repeated")


def _rejection(keys: Sequence[str]) -> Column:
    from pyspark.sql import functions as F

    null_key = F.lit(False)
    for key in keys:
        null_key = null_key | F.col(quoted(key)).isNull()
    return F.when(null_key, "null in the entity key").when(
        F.col("score").isNull(), "no finite score: the model gave none, or a feature is infinite"
    )


def _repeated(scored: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The keys and nights that stand more than once in the features, once each; null keys are rejected anyway."""
    champion = scored.where("member = 0").dropna(subset=[quoted(key) for key in keys])
    return champion.groupBy(*map(quoted, keys), "score_date").count().where("count > 1").drop("count")


def _served(arm: Column, about: Published) -> Column:
    """The arm's row; the champion's where the challenger gave none. Nothing of a restatement is served."""
    from pyspark.sql import functions as F

    champion, *others = about.roles
    if champion.name != arms.CHAMPION:
        return F.lit(False)
    if not others or others[0].name != arms.CHALLENGER or not others[0].is_alive:
        return F.col("member") == 0
    is_challenged = (arm == arms.CHALLENGER) & F.col("is_covered")
    return (
        F.when(F.col("member") == 0, ~F.coalesce(is_challenged, F.lit(False)))
        .when(F.col("member") == 1, arm == arms.CHALLENGER)
        .otherwise(False)
    )


def _arm(scoring: Scoring, about: Published) -> Column:
    from pyspark.sql import functions as F

    canary = scoring.canary
    return arms.arm(canary.experiment, canary.percent, about.keys) if canary else F.lit(arms.CHAMPION)


def _by_member(values: Sequence[str | float | None]) -> Column:
    from pyspark.sql import functions as F

    if len(values) == 1:
        return F.lit(values[0])
    return F.element_at(F.array(*map(F.lit, values)), F.col("member") + 1)


def _is_any(members: Sequence[int]) -> Column:
    from pyspark.sql import functions as F

    return F.col("member").isin(*members)


def _bucket(buckets: int | tuple[float, ...], about: Published) -> Column:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if isinstance(buckets, int):
        # Only what tells groups apart: Spark sorts by it first, and quickly by its first column alone.
        groups = ["score_date"] * (about.nights > 1) + ["member"] * (len(about.alive) > 1)
        ranks = Window.partitionBy(*groups) if groups else Window
        return F.ntile(buckets).over(ranks.orderBy(F.desc("score"), *map(quoted, about.keys)))
    # Declared edges, rising: a score at an edge belongs to the bucket above it.
    passed = [F.when(F.col("score") >= edge, 1).otherwise(0) for edge in buckets]
    return F.lit(1 + len(buckets)) - sum(passed, F.lit(0))
