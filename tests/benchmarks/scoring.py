"""What a night of scores costs against the model alone, and against MLflow's `spark_udf`.

    ./spark-submit.sh bench scoring
    ./spark-submit.sh bench scoring --scale 0.2 --rounds 1

Full scale: 1 million rows x 40 doubles with 5 % nulls and 200 trees of depth 6; a second model is a scikit-learn
pipeline (imputer, scaler, one-hot, logistic) of 12 numbers and 4 categories. `native` and `native_linear` are the
libraries alone on a matrix or pandas frame in memory, two threads for XGBoost. `stored` are files that the workers
read, as a night has them; `named` are the same rows by way of the JVM, as where files are not to be read. Sides named
`*_5m` have five times the rows, and are held against five times the native side. Reasons are asked of a fiftieth of
the rows, since exact contributions cost a hundred times a score.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from scorelake.rows import FileRows, FrameRows, Rows, SliceFile
from scorelake.scoring.members import Member
from scorelake.scoring.package import Package, pack
from scorelake.scoring.score import score
from tests.benchmarks import harness

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS, FILES, TASKS = 1_000_000, 4, 2
FEATURES = [f"f{number}" for number in range(40)]
NUMBERS, TEXTS = [f"n{number}" for number in range(12)], [f"t{number}" for number in range(4)]


@dataclass(frozen=True)
class Bench:
    """Models and data of one run."""

    spark: SparkSession
    folder: Path
    rows: int

    def frame(self, name: str) -> DataFrame:
        return self.spark.read.parquet(str(self.folder / name))

    def files(self, name: str) -> FileRows:
        paths = sorted((self.folder / name).glob("*.parquet"))
        return FileRows(self.frame(name), tuple(SliceFile(str(path)) for path in paths), TASKS)

    def few(self, frame: DataFrame) -> FrameRows:
        return FrameRows(frame, TASKS)

    def native(self, name: str, columns: list[str]) -> pd.DataFrame:
        return parquet.read_table(self.folder / name).to_pandas().sort_values("id")[columns]


def bench(spark: SparkSession, options: harness.Options) -> harness.Report:
    with tempfile.TemporaryDirectory(prefix="bench-scoring-") as folder:
        made = Bench(spark, Path(folder), max(int(ROWS * options.scale), 2_000))
        _write(made)
        boosters = [_booster(made, seed) for seed in range(3)]
        linear = _linear(made)
        sides = _sides(made, boosters, linear)
        cpu = harness.measure(sides, options.rounds) if options.rounds else {}
        return harness.Report(
            bench="scoring",
            answers_equal=_answers_equal(made, boosters, linear),
            cpu_seconds=cpu,
            ratios=_ratios(cpu),
            rows=made.rows,
            rounds=options.rounds,
        )


def _ratios(cpu: Mapping[str, float]) -> dict[str, float]:
    ratios = {
        "named_vs_native": harness.ratio(cpu, "named", "native"),
        "stored_vs_native": harness.ratio(cpu, "stored", "native"),
        "named_5m_vs_native": harness.ratio(cpu, "named_5m", "native") / 5,
        "spark_udf_default_vs_ours": harness.ratio(cpu, "spark_udf_default", "named"),
        "spark_udf_tuned_vs_ours": harness.ratio(cpu, "spark_udf_tuned", "named"),
        "spark_udf_default_vs_stored": harness.ratio(cpu, "spark_udf_default", "stored"),
        "spark_udf_tuned_vs_stored": harness.ratio(cpu, "spark_udf_tuned", "stored"),
        "linear_spark_udf_vs_ours": harness.ratio(cpu, "linear_spark_udf", "linear"),
        "small_partitions_vs_few": harness.ratio(cpu, "small_partitions", "named"),
        "roles_vs_sum": 0.0,
        "reasons_vs_native": harness.ratio(cpu, "reasons", "native_reasons"),
        "rows_5m_vs_1m": harness.ratio(cpu, "stored_5m", "stored") / 5,
    }
    if cpu:
        ratios["roles_vs_sum"] = cpu["roles"] / (cpu["native_roles"] + cpu["read"])
    return ratios


def _sides(
    made: Bench, boosters: list[tuple[Any, Package]], linear: tuple[Any, Package]
) -> dict[str, Callable[[], Any]]:
    (booster, package), *_ = boosters
    members = [Member(each) for _, each in boosters]
    matrix = made.native("numbers", FEATURES).to_numpy(np.float32)
    few = matrix[: made.rows // 50]
    frame, mixed = made.frame("numbers"), made.frame("mixed")
    sample = made.frame("sample")
    return {
        "native": lambda: _natively(booster, matrix),
        "named": lambda: _ours(made.few(frame), package),
        "stored": lambda: _ours(made.files("numbers"), package),
        "stored_5m": lambda: _ours(made.files("numbers_5m"), package),
        "named_5m": lambda: _ours(made.few(made.frame("numbers_5m")), package),
        "small_partitions": lambda: _ours(made.few(made.frame("small")), package),
        "spark_udf_default": lambda: _spark_udf(made, "booster 0", frame, FEATURES, is_tuned=False),
        "spark_udf_tuned": lambda: _spark_udf(made, "booster 0", frame, FEATURES, is_tuned=True),
        "linear": lambda: _ours(made.files("mixed"), linear[1]),
        "linear_spark_udf": lambda: _spark_udf(made, "linear", mixed, NUMBERS + TEXTS, is_tuned=False),
        "native_roles": lambda: [_natively(each, matrix) for each, _ in boosters],
        "read": lambda: [pa.table(parquet.read_table(made.folder / "numbers", use_threads=False))],
        "roles": lambda: harness.act(score(made.files("numbers"), members, keys=["id"])),
        "native_reasons": lambda: _contributions(booster, few),
        "reasons": lambda: harness.act(score(made.few(sample), [Member(package, reasons=3)], keys=["id"])),
    }


def _natively(booster: Any, matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    booster.set_param({"nthread": 2})
    return np.asarray(booster.inplace_predict(matrix, missing=np.nan))


def _contributions(booster: Any, matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import xgboost

    booster.set_param({"nthread": 2})
    return np.asarray(booster.predict(xgboost.DMatrix(matrix, feature_names=FEATURES, nthread=2), pred_contribs=True))


def _ours(rows: Rows, package: Package) -> None:
    harness.act(score(rows, [Member(package)], keys=["id"]))


def _spark_udf(made: Bench, model: str, frame: DataFrame, columns: list[str], *, is_tuned: bool) -> None:
    harness.act(_scored_by_mlflow(made, model, frame, columns, is_tuned=is_tuned))


def _scored_by_mlflow(made: Bench, model: str, frame: DataFrame, columns: list[str], *, is_tuned: bool) -> DataFrame:
    """As MLflow's manual shows it; tuned: few partitions, large batches, a plain double as result."""
    import mlflow
    from pyspark.sql import functions as F

    result = {"result_type": "array<double>"} if model == "linear" else {"result_type": "double"} if is_tuned else {}
    udf = mlflow.pyfunc.spark_udf(made.spark, str(made.folder / model), env_manager="local", **result)
    made.spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 50_000 if is_tuned else 10_000)
    rows = frame.coalesce(TASKS) if is_tuned else frame
    return rows.select("id", udf(F.struct(*columns)).alias("score"))


# ------------------------------------------------------------------ data and models


def _write(made: Bench) -> None:
    """The numbers in a few files, in five times as many and in 200 small ones; the mixed table; a small sample."""
    for name, rows, files in (
        ("numbers", made.rows, FILES),
        ("numbers_5m", made.rows * 5, FILES * 5),
        ("sample", made.rows // 50, 1),
    ):
        for file in range(files):
            _put(made.folder / name, file, _numbers(file, rows // files))
    for file in range(FILES):
        _put(made.folder / "mixed", file, _mixed(file, made.rows // FILES))
    made.frame("numbers").repartition(200).write.parquet(str(made.folder / "small"))


def _put(folder: Path, file: int, table: pa.Table) -> None:
    folder.mkdir(exist_ok=True)
    parquet.write_table(table, folder / f"{file:03}.parquet")


def _ids(file: int, rows: int) -> np.ndarray[Any, Any]:
    return np.arange(rows, dtype=np.int64) + file * rows


def _numbers(file: int, rows: int) -> pa.Table:
    draw = np.random.default_rng(file)
    columns: dict[str, Any] = {"id": _ids(file, rows)}
    for name in FEATURES:
        columns[name] = pa.array(draw.normal(size=rows).round(3), mask=draw.random(rows) < 0.05)
    return pa.table(columns)


def _mixed(file: int, rows: int) -> pa.Table:
    draw = np.random.default_rng(100 + file)
    columns: dict[str, Any] = {"id": _ids(file, rows)}
    for name in NUMBERS:
        columns[name] = pa.array(draw.normal(size=rows), mask=draw.random(rows) < 0.05)
    for name in TEXTS:
        texts = pa.array([f"category {code}" for code in range(20)])
        columns[name] = texts.take(pa.array(draw.integers(0, 20, rows), mask=draw.random(rows) < 0.05))
    return pa.table(columns)


def _booster(made: Bench, seed: int) -> tuple[Any, Package]:
    import mlflow.xgboost
    import xgboost

    learn = made.native("numbers", FEATURES)[:50_000]
    label = (
        learn[FEATURES[seed : seed + 5]].fillna(0).sum(axis=1) + np.random.default_rng(seed).normal(size=len(learn))
    ) > 0
    data = xgboost.DMatrix(learn.to_numpy(np.float32), label=label, feature_names=FEATURES)
    model = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "seed": seed, "nthread": 2}, data, 200)
    folder = made.folder / f"booster {seed}"
    mlflow.xgboost.save_model(
        model, str(folder), model_format="ubj", signature=_signature(FEATURES, []), pip_requirements=["xgboost-cpu"]
    )
    return model, pack(folder, digest=folder.name, features=tuple(FEATURES))


def _linear(made: Bench) -> tuple[Any, Package]:
    import mlflow.sklearn
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    learn = made.native("mixed", NUMBERS + TEXTS)[:20_000]
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    null = SimpleImputer(strategy="constant", fill_value="(null)", missing_values=None)
    texts = make_pipeline(null, OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    prepare = ColumnTransformer([("n", numeric, NUMBERS), ("t", texts, TEXTS)], sparse_threshold=0)
    model = make_pipeline(prepare, LogisticRegression(max_iter=200)).fit(learn, learn["n0"].fillna(0) > 0)
    folder = made.folder / "linear"
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
        pyfunc_predict_fn="predict_proba",
        signature=_signature(NUMBERS, TEXTS),
        pip_requirements=["skops"],
    )
    return model, pack(folder, digest="linear", features=tuple(NUMBERS + TEXTS))


def _signature(numbers: list[str], texts: list[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = [ColSpec("double", name, required=False) for name in numbers]
    inputs += [ColSpec("string", name, required=False) for name in texts]
    answer = TensorSpec(np.dtype("float64"), (-1, 2)) if texts else TensorSpec(np.dtype("float32"), (-1,))
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([answer]))


# ------------------------------------------------------------------ answers


def _answers_equal(made: Bench, boosters: list[tuple[Any, Package]], linear: tuple[Any, Package]) -> bool:
    """Bit for bit for XGBoost, 1e-12 for the linear model; contributions and score of every side."""
    (booster, package), *_ = boosters
    frame = made.frame("numbers")
    native = _natively(booster, made.native("numbers", FEATURES).to_numpy(np.float32)).astype(np.float64)
    ways: list[Rows] = [made.few(frame), made.files("numbers"), made.few(made.frame("small"))]
    found = [_column(score(way, [Member(package)], keys=["id"])) for way in ways]
    found += [
        _column(_scored_by_mlflow(made, "booster 0", frame, FEATURES, is_tuned=is_tuned)) for is_tuned in (False, True)
    ]
    together = score(made.files("numbers"), [Member(each) for _, each in boosters], keys=["id"])
    for number, (each, _) in enumerate(boosters):
        expected = _natively(each, made.native("numbers", FEATURES).to_numpy(np.float32)).astype(np.float64)
        if not np.array_equal(_column(together.where(f"member = {number}")), expected):
            return False
    return (
        all(np.array_equal(scores, native) for scores in found)
        and _linear_equal(made, linear)
        and _reasons_equal(made, booster, package)
    )


def _linear_equal(made: Bench, linear: tuple[Any, Package]) -> bool:
    model, package = linear
    expected = model.predict_proba(made.native("mixed", NUMBERS + TEXTS))[:, 1]
    ours = _column(score(made.files("mixed"), [Member(package)], keys=["id"]))
    theirs = _scored_by_mlflow(made, "linear", made.frame("mixed"), NUMBERS + TEXTS, is_tuned=False)
    both = _column(theirs.selectExpr("id", "score[1] AS score"))  # the second class
    return bool(np.abs(ours - expected).max() <= 1e-12 and np.abs(both - expected).max() <= 1e-6)


def _reasons_equal(made: Bench, booster: Any, package: Package) -> bool:
    sample = made.frame("sample")
    rows = score(made.few(sample), [Member(package, reasons=3)], keys=["id"]).where("about IS NULL").toPandas()
    exact = _contributions(booster, made.native("sample", FEATURES).to_numpy(np.float32))[:, :-1]
    largest = -np.sort(-np.abs(exact), axis=1)[:, :3]
    ours = rows.sort_values("id")[[f"reason_{n}_contribution" for n in (1, 2, 3)]].to_numpy()
    return bool(np.allclose(np.abs(ours), largest, rtol=0, atol=1e-6))


def _column(frame: DataFrame) -> np.ndarray[Any, Any]:
    rows = frame.where("id IS NOT NULL").select("id", "score").toPandas().sort_values("id")
    return np.asarray([each[0] if isinstance(each, list | np.ndarray) else each for each in rows["score"]], np.float64)


if __name__ == "__main__":
    harness.main(bench)
