"""What a careful user writes instead of `score_batch`: the other side of `bench scoring_job`, a process of its own.

    spark-submit tests/benchmarks/scored_by_hand.py HOME NIGHT

The version behind the alias, its booster broadcast once, a slice of features through mapInPandas, deciles, one commit,
a line in a log. It proves nothing: no digest, no replay, no comparison of definitions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_loaded: dict[str, Any] = {}


def main(home: str, night: str) -> None:
    import mlflow
    import xgboost
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as F

    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    version = mlflow.MlflowClient().get_model_version_by_alias("heavy", "champion")
    model = mlflow.xgboost.load_model(f"models:/heavy/{version.version}")
    assert isinstance(model, xgboost.Booster)
    names, content = list(model.feature_names or ()), bytes(model.save_raw("ubj"))

    spark = (
        SparkSession.builder.appName("by hand")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    shared = spark.sparkContext.broadcast(content)

    def predict(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import numpy as np

        if "booster" not in _loaded:
            _loaded["booster"] = booster = xgboost.Booster()
            booster.load_model(bytearray(shared.value))
            booster.set_param({"nthread": 1})
        for frame in frames:
            matrix = frame[names].to_numpy(np.float32)
            yield frame[["id"]].assign(score=_loaded["booster"].inplace_predict(matrix, missing=np.nan))

    features = spark.read.format("delta").load(f"{home}/lake/features/heavy_v1").where(F.col("run_date") == night)
    slots = spark.sparkContext.defaultParallelism
    scored = features.select("id", *names).coalesce(slots).mapInPandas(predict, "id bigint, score double").cache()
    repeated = scored.groupBy("id").count().where("count > 1").count()
    refused = scored.where("id IS NULL OR score IS NULL OR isnan(score)").count()
    if repeated or refused:
        raise SystemExit(f"{repeated} repeated and {refused} refused")
    rows = scored.select(
        "id",
        "score",
        F.lit(night).cast("date").alias("score_date"),
        F.lit("heavy").alias("model_name"),
        F.lit(version.version).alias("model_version"),
        F.ntile(10).over(Window.orderBy(F.desc("score"), "id")).alias("bucket"),
        F.current_timestamp().alias("scored_at"),
    )
    table = rows.write.format("delta").partitionBy("score_date").mode("overwrite")
    table.option("replaceWhere", f"score_date = '{night}'").save(f"{home}/by_hand/scores")
    count = spark.read.format("delta").load(f"{home}/by_hand/scores").where(F.col("score_date") == night).count()
    log = spark.createDataFrame([(night, version.version, count)], "score_date string, version string, rows bigint")
    log.write.format("delta").mode("append").save(f"{home}/by_hand/runs")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
