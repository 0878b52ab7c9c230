"""Whether what is installed is what was locked: Python, its packages, Java and the jars beside Spark's own."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from scorelake.doctor.check import Machine, Seen

PYTHONS = ((3, 11), (3, 12))
JAVAS = (17, 21)
CONNECT = ("grpcio", "grpcio-status", "googleapis-common-protos", "pandas", "pyarrow")
"""Packages that Spark's Connect client imports."""


def python(machine: Machine) -> Seen:
    """This Python, of a supported version and the checkout's own."""
    version = ".".join(map(str, sys.version_info[:3]))
    is_own = Path(sys.prefix).resolve() == (machine.checkout / ".venv").resolve()
    return Seen(sys.version_info[:2] in PYTHONS and is_own, f"{version} in {sys.prefix}")


def packages(machine: Machine) -> Seen:
    """Every package of the lock that applies to this Python, in the version of the lock."""
    pins = _pins((machine.checkout / "requirements.lock").read_text(encoding="utf-8"))
    installed = {_canonical(d.name): d.version for d in metadata.distributions()}
    wrong = [f"{name} {installed.get(name, 'missing')}" for name, pin in pins.items() if installed.get(name) != pin]
    return Seen(not wrong, f"not as locked: {', '.join(wrong)}" if wrong else f"{len(pins)} as locked")


def java(_: Machine) -> Seen:
    """The Java that Spark will take: JAVA_HOME's, else the first on PATH."""
    home = os.environ.get("JAVA_HOME")
    command = f"{home}/bin/java" if home else shutil.which("java")
    if command is None:
        return Seen(False, "none")
    answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "((\d+)[^"]*)"', answer.stderr)
    if version is None:
        return Seen(False, f"{command} does not run")
    return Seen(int(version[2]) in JAVAS, f"{version[1]} at {command}")


def jars(machine: Machine) -> Seen:
    """Delta and the database drivers beside pyspark's own jars, each the very file that was locked."""
    wanted = _locked_jars((machine.checkout / "conf/spark/jars.sha256").read_text(encoding="utf-8"))
    spec = importlib.util.find_spec("pyspark")  # its place; importing it would cost the second we have
    if spec is None or spec.origin is None:
        return Seen(False, "pyspark is not installed")
    folder = Path(spec.origin).parent / "jars"
    wrong = [name for name, checksum in wanted.items() if _sha256(folder / name) != checksum]
    return Seen(not wrong, f"missing or damaged in {folder}: {', '.join(wrong)}" if wrong else f"{len(wanted)} intact")


def connect(_: Machine) -> Seen:
    """What a session on Spark Connect needs besides; where SPARK_REMOTE names a server, `spark` will ask it."""
    missing = [name for name in CONNECT if not _is_there(name)]
    if missing:
        return Seen("SPARK_REMOTE" not in os.environ, f"not possible, there is no {', '.join(missing)}")
    remote = os.environ.get("SPARK_REMOTE", "").partition(";")[0]  # a token may follow
    return Seen(True, f"sessions start at {remote}" if remote else "possible; SPARK_REMOTE names no server")


def _is_there(package: str) -> bool:
    return any(True for _ in metadata.distributions(name=package))


def zone(_: Machine) -> Seen:
    """UTC, since Spark converts timestamps with the zone of the process as well as the session's."""
    return Seen(time.timezone == 0 and not time.daylight, "/".join(time.tzname))


def _pins(lock: str) -> dict[str, str]:
    """Name -> version of the lock's entries whose marker holds on this machine."""
    from packaging.requirements import Requirement

    entries = (Requirement(line.rstrip("\\ ")) for line in lock.splitlines() if line[:1].isalnum())
    return {
        _canonical(entry.name): str(entry.specifier).removeprefix("==")
        for entry in entries
        if entry.marker is None or entry.marker.evaluate()
    }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked_jars(text: str) -> dict[str, str]:
    """File name -> checksum of the lines `SHA256 organisation:module:revision`."""
    entries = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {"-".join(coordinates.split(":")[1:]) + ".jar": checksum for checksum, coordinates in entries}


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
