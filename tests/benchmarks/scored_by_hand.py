"""What a careful user writes instead of `score_batch`: the other side of `bench scoring_job`, a process of its own.

    spark-submit tests/benchmarks/scored_by_hand.py HOME NIGHT

The version behind the alias, its files' digest and its stored rows checked, its booster broadcast once, a slice of
features through mapInPandas, rows without a score put aside, deciles, one commit, a line in a log with the digest of
the rows. Definitions are not compared, a killed run is not repaired, and other models are not known.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_loaded: dict[str, Any] = {}


def main(home: str, night: str) -> None:
    import mlflow
    import numpy as np
    import xgboost
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as F

    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    version = mlflow.MlflowClient().get_model_version_by_alias("heavy", "champion")
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/heavy/{version.version}"))
    if _digest(folder) != version.tags["scorelake.digest"]:
        raise SystemExit("the model's files were changed")
    model = mlflow.xgboost.load_model(str(folder))
    assert isinstance(model, xgboost.Booster)
    replay = json.loads((folder / "scorelake" / "replay.json").read_text())
    matrix = np.array([replay["columns"][name] for name in model.feature_names or ()], np.float32).T
    if not np.array_equal(model.inplace_predict(matrix), np.array(replay["scores"], np.float32)):
        raise SystemExit("the model does not repeat its stored rows")
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
    if repeated:
        raise SystemExit(f"{repeated} repeated")
    refused = scored.where("id IS NULL OR score IS NULL OR isnan(score)")
    rejected = refused.count()
    if rejected:
        refused.write.format("delta").mode("overwrite").save(f"{home}/by_hand/rejected")
    scored = scored.where("id IS NOT NULL AND score IS NOT NULL AND NOT isnan(score)")
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
    written = spark.read.format("delta").load(f"{home}/by_hand/scores").where(F.col("score_date") == night)
    hashed = F.sum(F.xxhash64(*written.columns).cast("decimal(38,0)")).cast("decimal(38,0)")
    [(count, digest)] = written.agg(F.count("*"), hashed).collect()
    line = (night, version.version, count, rejected, digest)
    log = spark.createDataFrame(
        [line], "score_date string, version string, rows bigint, rejected bigint, digest decimal(38,0)"
    )
    log.write.format("delta").mode("append").save(f"{home}/by_hand/runs")
    spark.stop()


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "registered_model_meta"):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
