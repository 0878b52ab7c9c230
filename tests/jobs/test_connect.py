"""The shop's whole life on a Spark Connect server, in a process of its own: a process has one kind of session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.shop.slices import digests_of

if TYPE_CHECKING:
    from tests.shop.night import Shop

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("silver.sales", "silver.events", "gold.churn_60d", "training.churn", "features.shop_v1", "scores.churn")
PROGRAM = """
import json, sys
from pathlib import Path
from scorelake import session
from tests.shop.night import lived, settings_in
from tests.shop.slices import digests_of

home = Path(sys.argv[1])
conf = {"spark.sql.warehouse.dir": str(home / "warehouse"), "spark.driver.memory": "3g", "spark.ui.enabled": "false"}
few = {"spark.sql.shuffle.partitions": "4", "spark.databricks.delta.snapshotPartitions": "2"}
utc = {"spark.driver.extraJavaOptions": "-Duser.timezone=UTC"}
spark = session.start("connect", conf=conf | few | utc)
assert type(spark).__module__.startswith("pyspark.sql.connect"), type(spark)
shop = lived(spark, settings_in(home))
print(json.dumps({table: digests_of(shop.lake.read(table), table) for table in sys.argv[2:]}))
"""


@pytest.mark.slow
def test_a_connect_session_writes_the_same_rows(shop: Shop, tmp_path: Path) -> None:
    expected = {table: digests_of(shop.lake.read(table), table) for table in TABLES}
    paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    environment = os.environ | {
        "PYTHONPATH": paths,
        "TZ": "UTC",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_REMOTE": "local[2]",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), *TABLES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=5400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {t: {day: tuple(said) for day, said in of.items()} for t, of in found.items()} == expected
