"""What a machine needs before Scorelake runs on it: one check each, with what to do when it is not so.

`QUICK` answers in under a second and starts nothing; `THOROUGH` starts Spark and opens the registries.
A check is a function from a `Machine` to a `Diagnosis`; adding it to a list is all there is to a new one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from scorelake.settings import Settings

PYTHONS = ((3, 11), (3, 12))
JAVAS = (17, 21)
DISK_WANTED_GB = 5
"""The example's year of tables, models and reports, twice over."""

SET_UP_AGAIN = "run ./spark-submit.sh again; delete .venv first if that does not help"


@dataclass(frozen=True)
class Machine:
    """Where the checkout lies (`pyproject.toml` is in it) and what the environment is set to."""

    checkout: Path
    settings: Settings


@dataclass(frozen=True)
class Diagnosis:
    """One line of the doctor's answer; `fix` matters only when `ok` is false."""

    ok: bool
    found: str
    fix: str = ""


Check = Callable[[Machine], Diagnosis]


def examine(machine: Machine, checks: Iterable[Check]) -> Iterator[tuple[str, Diagnosis]]:
    """Each check's name and diagnosis as soon as it is known. A check that breaks is a diagnosis, not an end."""
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            yield name, check(machine)
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            yield name, Diagnosis(False, reason[0], SET_UP_AGAIN)


# ------------------------------------------------------------------------------------------- quick


def python(machine: Machine) -> Diagnosis:
    version = ".".join(map(str, sys.version_info[:3]))
    own = Path(sys.prefix) == machine.checkout / ".venv"
    found = f"{version} in {sys.prefix}"
    supported = sys.version_info[:2] in PYTHONS
    return Diagnosis(supported and own, found, "start it as ./spark-submit.sh doctor, with Python 3.11 or 3.12 on PATH")


def packages(machine: Machine) -> Diagnosis:
    """Every package of the lock that applies to this Python, in the version of the lock."""
    pins = _pins((machine.checkout / "requirements.lock").read_text(encoding="utf-8"))
    installed = {_canonical(d.name): d.version for d in metadata.distributions()}
    other = [f"{name} {installed.get(name, 'missing')}" for name, pin in pins.items() if installed.get(name) != pin]
    found = f"{len(pins)} as locked" if not other else f"not as locked: {', '.join(other)}"
    return Diagnosis(not other, found, SET_UP_AGAIN)


def java(_: Machine) -> Diagnosis:
    """The Java that Spark will take: JAVA_HOME's, else the first on PATH."""
    home = os.environ.get("JAVA_HOME")
    command = f"{home}/bin/java" if home else shutil.which("java")
    fix = "install Java 17 or 21 or unset JAVA_HOME; ./spark-submit.sh falls back to its own"
    if command is None:
        return Diagnosis(False, "none", fix)
    answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "((\d+)[^"]*)"', answer.stderr)
    if version is None:
        return Diagnosis(False, f"{command} does not run", fix)
    return Diagnosis(int(version[2]) in JAVAS, f"{version[1]} at {command}", fix)


def jars(machine: Machine) -> Diagnosis:
    """Delta and the database drivers beside pyspark's own jars, each the very file that was locked."""
    wanted = _locked_jars((machine.checkout / "conf/spark/jars.sha256").read_text(encoding="utf-8"))
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        return Diagnosis(False, "pyspark is not installed", SET_UP_AGAIN)
    folder = Path(spec.origin).parent / "jars"
    wrong = [name for name, checksum in wanted.items() if _sha256(folder / name) != checksum]
    found = f"{len(wanted)} intact" if not wrong else f"missing or damaged in {folder}: {', '.join(wrong)}"
    return Diagnosis(not wrong, found, f"delete them there and {SET_UP_AGAIN}")


def zone(_: Machine) -> Diagnosis:
    """Spark converts timestamps with the zone of the process as well as the session's."""
    return Diagnosis(time.timezone == 0 and not time.daylight, "/".join(time.tzname), "start with TZ=UTC")


def write_rights(machine: Machine) -> Diagnosis:
    """A file can be made where the environment writes; a place that a job will make counts by its parent."""
    folder = _place(machine)
    if folder is None:
        return Diagnosis(True, f"{machine.settings.lake.root or machine.settings.lake.catalog}: not on this machine")
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Diagnosis(True, str(folder))
    except OSError as error:
        return Diagnosis(False, f"{folder}: {error.strerror}", "give this user write rights there, or set local.home")


def disk(machine: Machine) -> Diagnosis:
    folder = _place(machine) or machine.checkout
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Diagnosis(
        free_gb >= DISK_WANTED_GB,
        f"{free_gb:.0f} GB free at {folder}",
        f"free {DISK_WANTED_GB} GB there, or set local.home to a larger disk",
    )


# ---------------------------------------------------------------------------------------- thorough


def spark(_: Machine) -> Diagnosis:
    """A session starts, with the JVM's own zone on UTC: sources that make java.util.Date use that one."""
    from scorelake import session

    spark = session.start("doctor")
    jvm_zone = spark.sql("SELECT reflect('java.time.ZoneId', 'systemDefault')").head()
    zone = str(jvm_zone[0]) if jvm_zone else "unknown"
    fix = "set -Duser.timezone=UTC in spark.driver.extraJavaOptions of conf/spark/<env>.conf"
    return Diagnosis(zone in ("UTC", "Etc/UTC"), f"{spark.version}, JVM zone {zone}", fix)


def delta(machine: Machine) -> Diagnosis:
    """A Delta table is written, replaced in part and read back where the environment writes."""
    from scorelake import session

    spark = session.start("doctor")
    with tempfile.TemporaryDirectory(prefix="doctor-", dir=_place(machine)) as folder:
        table = f"{folder}/table"
        spark.range(3).write.format("delta").save(table)
        spark.range(2, 3).write.format("delta").mode("overwrite").option("replaceWhere", "id = 2").save(table)
        rows = spark.read.format("delta").load(table).count()
    return Diagnosis(rows == 3, f"wrote and read {rows} of 3 rows", "check conf/spark/<env>.conf and the jars")


def model_registry(machine: Machine) -> Diagnosis:
    """MLflow answers. A SQLite file is only looked at: opening a new one would create its tables."""
    uri = machine.settings.mlflow.registry_uri or machine.settings.mlflow.tracking_uri
    missing = _not_yet_there(uri)
    if missing is not None:
        return missing
    from mlflow import MlflowClient

    MlflowClient(registry_uri=uri, tracking_uri=machine.settings.mlflow.tracking_uri).search_registered_models(
        max_results=1
    )
    return Diagnosis(True, uri)


def feature_registry(machine: Machine) -> Diagnosis:
    """Feast's registry can be opened: a file by reading it, a database by connecting."""
    place = machine.settings.feast.registry
    missing = _not_yet_there(place)
    if missing is not None:
        return missing
    if urlsplit(place).scheme in ("", "file"):
        Path(urlsplit(place).path).read_bytes()
    elif "+" in place.split(":")[0] or place.startswith("postgresql"):
        from sqlalchemy import create_engine

        create_engine(place).connect().close()
    return Diagnosis(True, place)


QUICK: tuple[Check, ...] = (python, packages, java, jars, zone, write_rights, disk)
THOROUGH: tuple[Check, ...] = (spark, delta, model_registry, feature_registry)


# ----------------------------------------------------------------------------------------- reading


def _pins(lock: str) -> dict[str, str]:
    """Name -> version of the lock's lines whose marker holds on this machine."""
    from packaging.requirements import Requirement

    lines = (line.rstrip("\\ ") for line in lock.splitlines() if line[:1].isalnum())
    requirements = (Requirement(line) for line in lines)
    return {
        _canonical(r.name): str(r.specifier).removeprefix("==")
        for r in requirements
        if r.marker is None or r.marker.evaluate()
    }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked_jars(text: str) -> dict[str, str]:
    """File name -> sha256 of the lines `SHA256 organisation:module:revision`."""
    entries = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {"-".join(coordinates.split(":")[1:]) + ".jar": checksum for checksum, coordinates in entries}


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(machine: Machine) -> Path | None:
    """The nearest folder that exists on the way to where the environment writes; None when that is elsewhere."""
    place = machine.settings.local.home or machine.settings.lake.root
    if not place or urlsplit(place).scheme not in ("", "file"):
        return None
    path = Path(urlsplit(place).path)
    return next((folder for folder in (path, *path.parents) if folder.is_dir()), None)


def _not_yet_there(uri: str) -> Diagnosis | None:
    """The diagnosis of a file that the first run will make; None for anything that can be opened now."""
    if not uri.startswith("sqlite:///") and urlsplit(uri).scheme not in ("", "file"):
        return None
    path = Path(uri.removeprefix("sqlite:///").removeprefix("file://"))
    return None if path.exists() else Diagnosis(True, f"{path}: not there yet, the first run makes it")
