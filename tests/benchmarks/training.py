"""From the stored training table to a fitted booster: our way against XGBoost fed by hand from the same files.

    ./spark-submit.sh bench training

450,000 + 50,000 rows x 40 floats with nulls, 60 trees of depth 6; answers are judged on the 50,000. `spark` is
`algorithm.engine: spark` on the same two cores, its rows read in the workers; `spark_by_jvm` is the same where storage
does not let workers read.
`peak_memory_vs_matrix` is how far the process grows above its size after a tiny training, in multiples of the float32
matrix.
"""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scorelake import metrics, session
from scorelake.models import Model
from scorelake.rows import FileRows, FrameRows, SliceFile
from scorelake.training import boosting, distributed
from scorelake.training.collect import collect, extent
from tests.benchmarks import harness

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.rows import Rows
    from scorelake.training.dataset import Dataset
    from scorelake.training.fitted import Learnt

FEATURES = [f"f{number}" for number in range(40)]
TRAIN, VALIDATION, TEST = 450_000, 40_000, 10_000
SPEC = Model.model_validate(
    {
        "name": "benched",
        "description": "A benchmark",
        "feature_service": "benched",
        "label": "gold.benched",
        "task": "binary",
        "split": {"kind": "entity", "keys": ["id"]},
        "algorithm": {"name": "xgboost", "rounds": 60, "early_stopping_rounds": None, "params": {"max_depth": 6}},
    }
)


def bench(spark: SparkSession, options: harness.Options) -> harness.Report:
    """Training in one process from the stored table: CPU and memory against native XGBoost."""
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        table = _stored(spark, Path(folder) / "table", options.scale)
        tiny = _stored(spark, Path(folder) / "tiny", options.scale / 50)
        losses: dict[str, float] = {}

        def ours() -> None:
            losses["local"] = _ours(table, table.inputFiles())

        def by_spark() -> None:
            losses["local_by_spark"] = _ours(table, [])

        def spark_engine() -> None:
            files = tuple(SliceFile(file.removeprefix("file:")) for file in table.inputFiles())
            losses["spark"] = _by_the_cluster(table, FileRows(table, files, tasks=session.slots(spark)))

        def spark_by_jvm() -> None:
            losses["spark_by_jvm"] = _by_the_cluster(table, FrameRows(table, tasks=session.slots(spark)))

        def native() -> None:
            losses["native"] = _native(table.inputFiles())

        _ours(tiny, tiny.inputFiles())
        grown = _growth(ours)
        sides = {
            "local": ours,
            "local_by_spark": by_spark,
            "spark": spark_engine,
            "spark_by_jvm": spark_by_jvm,
            "native": native,
        }
        cpu = harness.measure(sides, options.rounds)
    rows = int(options.scale * (TRAIN + VALIDATION + TEST))
    return harness.Report(
        bench="training",
        answers_equal=max(losses.values()) - min(losses.values()) < 1e-3,
        cpu_seconds=cpu,
        ratios={
            "local_vs_native": harness.ratio(cpu, "local", "native"),
            "local_by_spark_vs_native": harness.ratio(cpu, "local_by_spark", "native"),
            "spark_vs_native": harness.ratio(cpu, "spark", "native"),
            "spark_by_jvm_vs_native": harness.ratio(cpu, "spark_by_jvm", "native"),
            "peak_memory_vs_matrix": grown / (rows * len(FEATURES) * 4),
        },
        rows=rows,
        rounds=options.rounds,
        extra={f"log_loss_{side}": loss for side, loss in losses.items()},
    )


def _stored(spark: SparkSession, place: Path, scale: float) -> DataFrame:
    """A Delta table as build_training_set leaves it: keys, clocks, label, split, features with 5 % nulls."""
    from pyspark.sql import functions as F

    train, validation, test = (max(100, int(scale * rows)) for rows in (TRAIN, VALIDATION, TEST))
    features = [
        F.when(F.rand(n) < 0.05, None).otherwise(F.randn(n + 100)).alias(name) for n, name in enumerate(FEATURES)
    ]
    rows = spark.range(train + validation + test, numPartitions=4).select("id", *features)
    signal = F.coalesce("f0", F.lit(0)) + F.coalesce("f1", F.lit(0)) / 2
    part = F.when(F.col("id") < train, "train").when(F.col("id") < train + validation, "validation").otherwise("test")
    whole = rows.select(
        "*",
        F.lit("2026-01-01").cast("timestamp").alias("event_timestamp"),
        (signal + F.randn(999) > 0).cast("int").alias("label"),
        part.alias("split"),
    )
    whole.write.format("delta").save(str(place))
    return spark.read.format("delta").load(str(place))


def _ours(table: DataFrame, files: list[str]) -> float:
    found = extent(table, FEATURES, task="binary", keys=["id"])
    data = collect(table, found, task="binary", keys=["id"], limit_bytes=2**34, files=files)
    return _judged(data, boosting.fit(SPEC, data))


def _by_the_cluster(table: DataFrame, rows: Rows) -> float:
    """`engine: spark`; what is judged comes here, of train a handful of rows."""
    few = table.where("split <> 'train' OR id < 100")
    found = extent(few, FEATURES, task="binary", keys=["id"])
    data = collect(few, found, task="binary", keys=["id"], limit_bytes=2**34)
    return _judged(data, distributed.learner(rows)(SPEC, data))


def _judged(data: Dataset, learnt: Learnt) -> float:
    judged = (data.validation, data.test)
    return _log_loss(np.concatenate([p.label for p in judged]), np.concatenate([learnt.predict(p) for p in judged]))


def _native(files: list[str]) -> float:
    """As its own best user would: Arrow straight from the files, one float32 matrix, QuantileDMatrix."""
    import pyarrow.dataset as ds
    import xgboost
    from pyarrow.fs import FileSystem

    source = ds.dataset([FileSystem.from_uri(file)[1] for file in files], format="parquet")

    def part(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        rows = source.to_table(columns=[*FEATURES, "label"], filter=ds.field("split") == name)
        matrix = np.empty((rows.num_rows, len(FEATURES)), np.float32, order="F")
        for position, feature in enumerate(FEATURES):
            matrix[:, position] = rows[feature].to_numpy()
        return matrix, rows["label"].to_numpy()

    train = xgboost.QuantileDMatrix(*part("train"))
    judged = [part("validation"), part("test")]
    validation = xgboost.QuantileDMatrix(*judged[0], ref=train)
    params = boosting.parameters(SPEC, 0)
    booster = xgboost.train(params, train, 60, evals=[(validation, "validation")], verbose_eval=False)
    answers = [booster.inplace_predict(matrix) for matrix, _ in judged]
    return _log_loss(np.concatenate([label for _, label in judged]), np.concatenate(answers))


def _log_loss(label: np.ndarray[Any, Any], score: np.ndarray[Any, Any]) -> float:
    loss = metrics.evaluate("binary", label, score)["log_loss"]
    return float("inf") if loss is None else loss


def _growth(action: Any) -> int:
    """Bytes by which this process grew at most during `action` (Linux: the kernel's own high-water mark)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    action()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    harness.main(bench)
