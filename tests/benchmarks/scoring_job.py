"""What a whole `score_batch` costs, session start included, against the same steps written by hand in PySpark.

    ./spark-submit.sh bench scoring_job
    ./spark-submit.sh bench scoring_job --scale 0.1 --rounds 1

Full scale: a night of 1 million entities x 40 doubles with 5 % nulls, 200 trees of depth 6. Each side is a process
started anew; what its JVM and its workers use counts, whoever survives whom.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa
import xgboost
from pyarrow import parquet

from jobs import _registry
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.settings import Settings, load_settings
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark
from scorelake.stores.model_files import Bundle, Column, Replay
from scorelake.stores.model_versions import Record
from tests.benchmarks import harness
from tests.benchmarks.harness import ROOT, Options, Report

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 1_000_000
NIGHT = date(2024, 3, 1)
BY_HAND = Path(__file__).with_name("scored_by_hand.py")
FEATURES = [f"f{number}" for number in range(40)]
_BECOME_SUBREAPER = 36
"""prctl's PR_SET_CHILD_SUBREAPER: descendants whose parent has ended become ours, and their CPU with them."""

_NUMBERS = ", ".join(f"{name} DOUBLE" for name in FEATURES)
DEFINITIONS = {
    "conf/base.yaml": "",
    "conf/local.yaml": "{}",
    "conf/tables/bronze/people.yaml": (
        f"description: People.\ncolumns: [id STRING, at STRING, {_NUMBERS.replace('DOUBLE', 'STRING')}]\n"
        "source: {kind: csv, path: 'people/{run_date}/*', delivery: events, starts: 2024-01-01, delivers: daily}\n"
    ),
    "conf/tables/silver/people.yaml": (
        f"description: People.\ncolumns: [id BIGINT, at TIMESTAMP, {_NUMBERS}]\nkeys: [id]\nevent_time: at\n"
    ),
    "conf/tables/silver/people.sql": f"SELECT id, at, {', '.join(FEATURES)} FROM bronze.people\n",
    "conf/populations/everybody.sql": "SELECT DISTINCT id FROM silver.people\n",
    "conf/tables/gold/leaves.yaml": (
        "description: Who leaves.\ncolumns: [id BIGINT, label INT]\nkeys: [id]\n"
        "label: {population: everybody, cutoffs: {from: 2024-01-01, to: 2024-02-01, every: 10 days},\n"
        "  horizon: 9 days, delay: 0 days}\n"
    ),
    "conf/tables/gold/leaves.sql": (
        "SELECT e.id, IF(COUNT(p.id) = 0, 1, 0) AS label FROM population AS e LEFT JOIN silver.people AS p\n"
        "  ON p.id = e.id AND p.at >= :as_of AND p.at < :label_end GROUP BY e.id\n"
    ),
    "conf/models/heavy.yaml": (
        "description: Who leaves.\nfeature_service: heavy_v1\nlabel: gold.leaves\ntask: binary\n"
        "split: {kind: entity, keys: [id], validation: 20%, test: 20%}\nalgorithm: {name: xgboost}\nseed: 7\n"
        "promotion: {require: {auc: {min: 0.5}}}\nscoring: {buckets: 10}\n"
    ),
    "repo/heavy.py": (
        "from feast import Entity, FeatureService, FeatureView, ValueType\n"
        "from scorelake.feature_store.source import LakeSource\n\n"
        "person = Entity(name='person', join_keys=['id'], value_type=ValueType.INT64)\n"
        "numbers = FeatureView(name='numbers', entities=[person], source=LakeSource(name='p', table='silver.people'))\n"
        "heavy_v1 = FeatureService(name='heavy_v1', features=[numbers])\n"
    ),
    "repo/feature_store.yaml": (ROOT / "feature_repo" / "feature_store.yaml").read_text(),
}


def bench(spark: SparkSession, options: Options) -> Report:
    """Both ways score one night in a process of their own; keys, scores and deciles are compared."""
    rows = max(int(ROWS * options.scale), 2_000)
    with tempfile.TemporaryDirectory(prefix="bench-scoring-job-") as folder:
        home = Path(folder)
        settings = _settings(home)
        _features_of_a_night(spark, settings, rows)
        _champion(settings)
        job = [f"{ROOT}/spark-submit.sh", "score_batch", "--env", "local", "--run-date", str(NIGHT)]
        job += ["--conf-dir", f"{home}/conf", "--feature-repo", f"{home}/repo", "--set", f"local.home={home}"]
        by_hand = ["spark-submit", "--properties-file", f"{ROOT}/conf/spark/local.conf", str(BY_HAND)]
        by_hand += [str(home), str(NIGHT)]
        ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1)
        sides = {"job": lambda: _run(job), "by_hand": lambda: _run(by_hand)}
        if options.rounds:
            cpu = harness.measure(sides, options.rounds, warm_up=1)
        else:
            cpu = {}
            for side in sides.values():
                side()
        names = ["id", "score", "bucket"]
        ours, theirs = (
            spark.read.format("delta").load(f"{home}/{place}").select(*names).orderBy("id").toArrow()
            for place in ("lake/scores/heavy", "by_hand/scores")
        )
        equal = ours.num_rows == rows and all(ours.column(n).equals(theirs.column(n)) for n in names)
    ratios = {"job_vs_by_hand": harness.ratio(cpu, "job", "by_hand")}
    return Report("scoring_job", equal, cpu, ratios, rows, options.rounds)


def _run(command: Sequence[str]) -> None:
    """A process, and all that it leaves behind; ours to wait for, and counted with us, once its parent has ended."""
    before = {process.pid for process in psutil.Process().children()}
    run = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while orphans := {process.pid for process in psutil.Process().children()} - before:
        for pid in orphans:
            os.waitpid(pid, 0)
    if run.returncode:
        raise RuntimeError(run.stdout[-4_000:])


def _settings(home: Path) -> Settings:
    for name, text in DEFINITIONS.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_settings(home / "conf", "local", [f"local.home={home}"], home / "repo")


def _features_of_a_night(spark: SparkSession, settings: Settings, rows: int) -> None:
    """The slice that `build_features` would have written, with its mark."""
    draw = np.random.default_rng(1)
    columns: dict[str, Any] = {"id": np.arange(rows, dtype=np.int64)}
    for name in FEATURES:
        columns[name] = pa.array(draw.normal(size=rows), mask=draw.random(rows) < 0.05)
    place = Path(settings.lake.root).parent / "features.parquet"
    parquet.write_table(pa.table(columns), place)
    slice_ = spark.read.parquet(str(place)).selectExpr(
        "id",
        f"TIMESTAMP '{NIGHT + timedelta(days=1)}' AS event_timestamp",
        *FEATURES,
        f"DATE '{NIGHT}' AS run_date",
        "'made' AS run_id",
    )
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    [node] = graph.feature_nodes(load_definitions(settings.conf_dir), repo)
    lake = Lake(spark, settings.lake)
    lake.create(node.table, columns_of(slice_), partitioned_by=["run_date"])
    lake.replace_slices(slice_, node.table, Mark("made", node.step, (NIGHT,), node.definition_hash, {}))


def _champion(settings: Settings) -> None:
    """A booster of depth 6, registered under the alias that both sides resolve."""
    draw = np.random.default_rng(2)
    matrix = draw.normal(size=(50_000, len(FEATURES))).astype(np.float32)
    label = matrix[:, :5].sum(axis=1) + draw.normal(size=len(matrix)) > 0
    data = xgboost.DMatrix(matrix, label=label, feature_names=FEATURES)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "seed": 1, "nthread": 2}, data, 200)
    few = matrix[:100].astype(np.float64)
    bundle = Bundle(
        model=booster,
        flavour="xgboost",
        task="binary",
        columns=tuple(Column(name, "number") for name in FEATURES),
        classes=(),
        replay=Replay({n: few[:, k].tolist() for k, n in enumerate(FEATURES)}, booster.inplace_predict(few).tolist()),
        requirements=("xgboost-cpu",),
    )
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    registry = _registry.connect(settings)
    version = registry.register(
        "heavy", bundle, Record({}, {}, {_registry.FEATURES_HASH: repo.definition_hash("heavy_v1")})
    )
    registry.client.set_registered_model_alias("heavy", "champion", version)


if __name__ == "__main__":
    harness.main(bench)
