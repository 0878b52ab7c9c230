"""What a machine needs before Scorelake runs on it, and what to do when it is not so.

`QUICK` answers in under a second and starts nothing; `THOROUGH` starts Spark and opens the registries.
A new check is a function from a `Machine` to `Seen`, and its line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scorelake.doctor import installation, places
from scorelake.doctor.check import Check, Diagnosis, Machine, Seen

_SET_UP_AGAIN = "run ./spark-submit.sh again; if that does not help, delete .venv first"

QUICK: tuple[Check, ...] = (
    Check("python", installation.python, "start it as ./spark-submit.sh doctor, with Python 3.11 or 3.12 on PATH"),
    Check("packages", installation.packages, _SET_UP_AGAIN),
    Check("java", installation.java, "install Java 17 or 21, or unset JAVA_HOME: spark-submit.sh brings its own"),
    Check("jars", installation.jars, f"delete them there and {_SET_UP_AGAIN}"),
    Check("connect", installation.connect, "install pyspark[connect], or unset SPARK_REMOTE"),
    Check("zone", installation.zone, "start it as ./spark-submit.sh doctor, or with TZ=UTC"),
    Check("write rights", places.write_rights, "give this user write rights there, or set local.home"),
    Check("disk", places.disk, f"free {places.DISK_WANTED_GB} GB there, or set local.home to a larger disk"),
)

THOROUGH: tuple[Check, ...] = (
    Check("spark", places.spark, "set -Duser.timezone=UTC in spark.driver.extraJavaOptions, conf/spark/<env>.conf"),
    Check("delta", places.delta, "look at the first WRONG line above, else at conf/spark/<env>.conf"),
    Check("model registry", places.model_registry, "correct mlflow.* in conf/<env>.yaml, or start its server"),
    Check(
        "feature registry", places.feature_registry, "correct feast.registry in conf/<env>.yaml, or start its server"
    ),
)


def examine(machine: Machine, checks: Iterable[Check]) -> Iterator[Diagnosis]:
    """The diagnoses, each as soon as it is known. A check that breaks is a diagnosis, not an end."""
    for check in checks:
        try:
            seen = check.look(machine)
        except Exception as error:
            seen = Seen(False, _first_line(error))
        yield Diagnosis(check.name, seen.ok, seen.what, "" if seen.ok else check.fix)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


__all__ = ["QUICK", "THOROUGH", "Check", "Diagnosis", "Machine", "Seen", "examine"]
