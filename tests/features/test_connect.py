"""The engine on a Spark Connect session, in a process of its own: a process has one kind of session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from datetime import datetime, timedelta
from pyspark.sql import SparkSession
from scorelake.features import history
from scorelake.features.asof import as_of
from scorelake.features.views import View, Window

spark = SparkSession.builder.remote("local[2]").getOrCreate()
spark.conf.set("spark.sql.session.timeZone", "UTC")
noon = datetime(2024, 3, 10, 12)
rows = spark.createDataFrame([(1, 5, noon, noon, 7.5)], "k int, r int, e timestamp, a timestamp, v double")
spine = spark.createDataFrame([(1, noon), (1, noon - timedelta(seconds=1))], "k int, event_timestamp timestamp")
look = View("look", rows, {"k": "k"}, "e", "a", row_keys=("r",), lookups={"v": "v"})
windows = (Window("n", "count", "*", timedelta(days=1)), Window("s", "sum", "v"))
count = View("count", rows, {"k": "k"}, "e", "a", windows=windows)
print(sorted(map(tuple, as_of(spine, [look, count]).select("v", "n", "s").collect()), key=repr))
print(sorted(map(tuple, history.as_of_intervals(spine, look, history.intervals(look)).select("v").collect()), key=repr))
"""


@pytest.mark.slow
def test_a_connect_session_gives_the_same_answers() -> None:
    paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    environment = os.environ | {"PYTHONPATH": paths, "TZ": "UTC", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout.splitlines()[-2:] == ["[(7.5, 0, None), (None, 0, None)]", "[(7.5,), (None,)]"], done.stderr
