"""Figures of a night's scores that are plain aggregates, in the columns of monitoring.performance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame

    from scorelake.models import Task

SERVED, CHAMPION, EVERYBODY = "served", "champion", "all"

GROUP = ("run_date", "score_date", "role", "model_version", "segment")
MEASURED = (
    Column(name="run_date", type="date", comment="label slice: when the labels became known"),
    Column(name="score_date", type="date", comment="null for figures over several nights"),
    Column(name="role", type="string", comment="served (the headline), champion, challenger, shadow or restated"),
    Column(name="model_version", type="string", comment="of served scores all that served, by comma"),
    Column(name="segment", type="string", comment="all, column=value, or bucket=number"),
    Column(
        name="kind",
        type="string",
        comment="metric, gain (over the champion on the same rows, positive is better), bucket, business, coverage, "
        "immature, trend (change a night), contribution, or proxy (of scores without labels)",
    ),
    Column(name="metric", type="string"),
    Column(name="value", type="double", comment="null when the rows cannot tell, e.g. one class only"),
    Column(name="low", type="double", comment="lower end of the bootstrap interval"),
    Column(name="high", type="double"),
    Column(name="reference", type="double", comment="the same at training (test part), where known"),
    Column(name="rank", type="int", comment="of a contribution, 1 is the largest"),
    Column(name="rank_reference", type="int", comment="the feature's rank by importance at training"),
    Column(name="rows", type="bigint", comment="scored rows with a matured label; scored rows of a proxy"),
    Column(name="label_mean", type="double", comment="share of label 1, or mean label"),
    Column(name="score_mean", type="double"),
)
TYPES = {column.name: column.type for column in MEASURED}


def business(judged: DataFrame, figures: Mapping[str, str]) -> DataFrame:
    """MEASURED columns of kind business: each SQL aggregate over a night's served scores and their labels."""
    from pyspark.sql import functions as F

    of_night = judged.where("served").groupBy("run_date", "score_date")
    found = of_night.agg(
        F.count(F.lit(1)).alias("rows"),
        _versions().alias("model_version"),
        _figures({name: F.expr(sql).cast("double") for name, sql in figures.items()}),
    )
    return completed(found.select("*", F.inline("figures")), kind="business")


def contributions(served: DataFrame) -> DataFrame:
    """MEASURED columns of kind contribution: mean |contribution| of each feature over a night's scores.

    Of `reason_<n>` and `reason_<n>_contribution`: where a feature is not among a row's reasons it counts as 0 there,
    so the figure is a lower bound. The rank is that within the night.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    places = sorted(name.removesuffix("_contribution") for name in served.columns if name.endswith("_contribution"))
    night = Window.partitionBy("run_date", "score_date")
    pairs = [F.struct(F.col(n).alias("metric"), F.abs(f"{n}_contribution").alias("size")) for n in places]
    told = (
        served.withColumn("night_rows", F.count(F.lit(1)).over(night))
        .select("run_date", "score_date", "model_version", "night_rows", F.explode(F.array(*pairs)).alias("pair"))
        .where("pair.metric IS NOT NULL")
        .groupBy("run_date", "score_date", F.col("pair.metric").alias("metric"))
        .agg(
            (F.sum("pair.size") / F.max("night_rows")).alias("value"),
            F.max("night_rows").alias("rows"),
            _versions().alias("model_version"),
        )
    )
    rank = F.row_number().over(night.orderBy(F.desc("value"), "metric"))
    return completed(told.withColumn("rank", rank), kind="contribution")


def proxies(tonight: DataFrame, *, task: Task) -> DataFrame:
    """MEASURED columns of kind proxy: what a night's served scores say before any label is known.

    They tell what the model believes, not whether it is right: a calibrated model's mean score is the rate to
    expect, and the mean probability of its own answer the accuracy to expect.
    """
    from pyspark.sql import functions as F

    score = F.col("score")
    figures = {"proxy_mean_score": F.avg(score)}
    if task == "binary":
        figures = {"proxy_expected_rate": F.avg(score)}
        figures["proxy_expected_accuracy"] = F.avg(F.greatest(score, 1 - score))
    elif task == "multiclass":
        figures = {"proxy_expected_accuracy": F.avg(score)}
    if "decision" in tonight.columns:
        figures["proxy_share_decided"] = F.avg("decision")
    told = tonight.groupBy("run_date", "score_date").agg(
        F.count(F.lit(1)).alias("rows"),
        _versions().alias("model_version"),
        F.avg(score).alias("score_mean"),
        _figures(figures),
    )
    return completed(told.select("*", F.inline("figures")), kind="proxy")


def completed(told: DataFrame, *, kind: str) -> DataFrame:
    """All MEASURED columns; those that `told` lacks are null, its role and segment those of everybody served."""
    from pyspark.sql import functions as F

    given = {"role": SERVED, "segment": EVERYBODY, "kind": kind}
    columns = [
        F.col(name) if name in told.columns else F.lit(given.get(name)).cast(type_).alias(name)
        for name, type_ in TYPES.items()
    ]
    return told.select(*columns)


def _figures(figures: Mapping[str, SparkColumn]) -> SparkColumn:
    """One row a figure, for `inline`."""
    from pyspark.sql import functions as F

    named = (F.struct(F.lit(name).alias("metric"), value.alias("value")) for name, value in figures.items())
    return F.array(*named).alias("figures")


def _versions() -> SparkColumn:
    from pyspark.sql import functions as F

    return F.array_join(F.sort_array(F.collect_set("model_version")), ",")
