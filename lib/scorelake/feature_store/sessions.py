"""The Spark session that answers Feast's calls: the active one, in UTC, or one of our own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scorelake.errors import EnvironmentProblem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def spark_session() -> SparkSession:
    """The active session; under a plain `feast` command a local one is started.

    EnvironmentProblem when the session or this Python process is on another zone than UTC: instants would be
    shifted silently on their way between the two.
    """
    from pyspark.sql import SparkSession

    from scorelake import session

    spark = SparkSession.getActiveSession() or session.start("feast", master="local[*]")
    zone = spark.conf.get("spark.sql.session.timeZone")
    if zone not in ("UTC", "Etc/UTC"):
        raise EnvironmentProblem(
            f"spark.sql.session.timeZone is {zone}; features are answered in UTC only: "
            'spark.conf.set("spark.sql.session.timeZone", "UTC")'
        )
    if time.timezone or (time.daylight and time.altzone):
        raise EnvironmentProblem(
            f"this Python process is on {'/'.join(time.tzname)}; features are answered in UTC only: "
            "export TZ=UTC, or call scorelake.session.use_utc() first"
        )
    return spark
