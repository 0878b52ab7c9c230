"""XGBoost trained by the workers of a Spark Connect server, in a process of its own: each has one kind of session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json
import pandas as pd
from pyspark.sql import SparkSession
from scorelake.errors import ConfigError
from scorelake.rows import FrameRows
from scorelake.training import distributed, train
from tests.training.made_up import dataset, model

spark = SparkSession.builder.remote("local[2]").getOrCreate()
spec, data = model(), dataset(rows=1000, dtype="float32")
parts = [part.frame().astype("float64").assign(label=part.label, split=name) for name, part in data.parts.items()]
rows = FrameRows(spark.createDataFrame(pd.concat(parts)), tasks=2)
try:
    distributed.learner(rows)(spec, data)
except ConfigError as error:
    refused = str(error)
there, here = distributed.learner(rows, workers=2)(spec, data), train.learn(spec, data)
apart = float(abs(there.predict(data.test) - here.predict(data.test)).mean())
print(json.dumps({"refused": refused, "workers": there.details["workers"], "apart": apart}))
"""


@pytest.mark.slow
def test_workers_of_a_connect_server_train_together() -> None:
    paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    environment = os.environ | {"PYTHONPATH": paths, "TZ": "UTC", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-6000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert "set limits.training_workers" in told["refused"]
    assert told["workers"] == 2
    assert told["apart"] < 0.005
