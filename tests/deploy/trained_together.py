"""Run by spark-submit on a cluster: models trained by all of its workers, and by this process, on the same rows.

    spark-submit --master spark://... --py-files scorelake.zip trained_together.py FOLDER

The last line is one JSON object: the AUC of each way on the same test rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from scorelake.models import Model
    from scorelake.packing import Batch
    from scorelake.rows import FileRows, Task

FEATURES = ["signal", "noise", "gaps"]
ROWS = 40_000


def main(folder: str) -> None:
    from scorelake import metrics, session
    from scorelake.rows import FileRows, FrameRows, SliceFile
    from scorelake.training import distributed, mllib, train
    from scorelake.training.collect import collect, extent

    spark = session.start("trained together")
    place = f"{folder}/rows"
    spark.sql(
        f"""SELECT id AS customer_id, TIMESTAMP '2026-01-01' AS event_timestamp, randn(1) AS signal, randn(2) AS noise,
                   IF(id % 3 = 0, NULL, randn(3)) AS gaps, CAST(randn(1) + randn(4) > 0 AS INT) AS label,
                   CASE WHEN id % 10 < 6 THEN 'train' WHEN id % 10 < 8 THEN 'validation' ELSE 'test' END AS split
            FROM range(0, {ROWS}, 1, 5)"""
    ).write.parquet(place)
    frame, keys = spark.read.parquet(place), ["customer_id"]
    data = collect(
        frame, extent(frame, FEATURES, task="binary", keys=keys), task="binary", keys=keys, limit_bytes=2**30
    )
    files = tuple(SliceFile(str(file)) for file in sorted(Path(place).glob("*.parquet")))
    boosted, logistic = model("xgboost"), model("pyspark.ml.classification.LogisticRegression")
    ways = {
        "here": train.learn(boosted, data),
        "files": distributed.learner(FileRows(frame, files, tasks=2))(boosted, data),
        "after_a_death": distributed.learner(once_killed(FileRows(frame, files, tasks=2), f"{folder}/died"))(
            boosted, data
        ),
        "jvm": distributed.learner(FrameRows(frame, tasks=2))(boosted, data),
        "mllib": mllib.learner(frame, keys=keys)(logistic, data),
    }
    found: dict[str, Any] = {
        name: metrics.evaluate("binary", data.test.label, learnt.predict(data.test))["auc"]
        for name, learnt in ways.items()
    }
    found["workers"] = [ways[name].details["workers"] for name in ("files", "after_a_death", "jvm")]
    spark.stop()
    print(json.dumps(found))


def once_killed(rows: FileRows, trace: str) -> FileRows:
    """The same rows; the first task to have read them kills its executor, once."""
    read = rows.map

    def map_and_die(task: Task, *args: Any, **more: Any) -> DataFrame:
        def run(batches: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
            mine = list(batches)
            with suppress(FileExistsError), open(trace, "x"):
                psutil.Process().parent().parent().kill()  # the worker's daemon's
            return task(mine)

        return read(run, *args, **more)

    object.__setattr__(rows, "map", map_and_die)
    return rows


def model(algorithm: str) -> Model:
    from scorelake.models import Model

    given: dict[str, Any] = {
        "name": "together",
        "description": "Trained by all",
        "feature_service": "customers",
        "label": "gold.churned",
        "task": "binary",
        "split": {"kind": "entity", "keys": ["customer_id"]},
        "algorithm": {"name": algorithm},
        "seed": 7,
    }
    if algorithm != "xgboost":
        given["preprocessing"] = {"numeric": {"impute": "mean"}}
    return Model.model_validate(given)


if __name__ == "__main__":
    main(*sys.argv[1:])
