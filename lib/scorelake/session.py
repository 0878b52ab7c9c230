"""The one place that builds a SparkSession.

What the engine needs to be right is set here, for every environment; what only tunes it stands in
`conf/spark/<env>.conf` and arrives through spark-submit.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scorelake.errors import EnvironmentProblem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REQUIRED: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # The default still writes INT96, which carries no statistics and which other readers refuse.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Otherwise configured SQL could read any file as `text`.`/etc/passwd`.
    "spark.sql.runSQLOnFiles": "false",
    # Delta's extension breaks parameter markers without it (Spark 4.1 with Delta 4.4).
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
}
"""Runtime SQL settings that decide answers; a platform's own session gets them too."""

LOCAL: Mapping[str, str] = {
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.codegen.hugeMethodLimit": "8000",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""For a session that no spark-submit prepared: tests, notebooks, a Python shell."""


def use_utc() -> None:
    """Put this Python process on UTC; Spark converts timestamps with the process zone as well."""
    os.environ["TZ"] = "UTC"
    time.tzset()


def start(app_name: str, *, master: str | None = None, conf: Mapping[str, str] | None = None) -> SparkSession:
    """The session of this process, on UTC and able to read and write Delta.

    `master` is for a session of our own (tests, notebooks); under spark-submit it is None and the
    platform's settings stand. Raises EnvironmentProblem when the JVM runs in another zone, since
    timestamps would then be shifted silently.
    """
    from pyspark.sql import SparkSession

    use_utc()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle OpenMP threads spin otherwise
    builder = SparkSession.builder.appName(app_name)
    if master is not None:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.master(master)
        for key, value in LOCAL.items():
            builder = builder.config(key, value)
    for key, value in {**REQUIRED, **(conf or {})}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    _require_utc(spark)
    return spark


def stop(spark: SparkSession) -> None:
    """End the session, unless the platform lent it: Databricks takes a stopped session for a failed job."""
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        spark.stop()


def _require_utc(spark: SparkSession) -> None:
    """Refuse a JVM outside UTC: java.util.Date conversions in sources would shift values."""
    zone = spark.conf.get("spark.sql.session.timeZone")
    if zone not in ("UTC", "Etc/UTC"):
        raise EnvironmentProblem(f"spark.sql.session.timeZone is {zone}, expected UTC; set it in conf/spark/<env>.conf")


def slots(spark: SparkSession) -> int:
    """How many tasks run at once, as far as the session can tell."""
    if _is_connect(spark):
        return int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    return spark.sparkContext.defaultParallelism


# ------------------------------------------------------------------ cancelling


def tag(spark: SparkSession, name: str) -> None:
    """Give every Spark job that this thread starts from now on a name by which it can be cancelled."""
    if _is_connect(spark):
        spark.addTag(name)
    else:
        spark.sparkContext.addJobTag(name)


def cancel_tagged(spark: SparkSession, name: str) -> None:
    """Cancel the Spark jobs of that name, whichever thread started them.

    A classic session's own `interruptTag` knows only the tags of the thread that calls it.
    """
    if _is_connect(spark):
        spark.interruptTag(name)
    else:
        spark.sparkContext.cancelJobsWithTag(name)


def _is_connect(spark: SparkSession) -> bool:
    return type(spark).__module__.startswith("pyspark.sql.connect")
