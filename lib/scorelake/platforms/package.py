"""A package: the files that a platform needs to run jobs, the same bytes from the same sources.

scorelake.zip       code of lib/ and jobs/, for --py-files
definitions.zip     the conf folder and the feature repo
scorelake-*.whl     lib/ with its dependencies, for platforms that install
run.py              what is submitted; it finds the two zips and runs a job
databricks.yml      the bundle, when the conf folder has one (conf/deploy/databricks/)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scorelake.errors import EnvironmentProblem, UsageError
from scorelake.platforms import run

BUNDLE = "databricks.yml"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest instant that a zip can say."""
_FOR_THE_WHEEL = ("pyproject.toml", "README.md", "LICENSE")
_NOT_SHIPPED = ("deploy", "schemas")
"""Folders of the conf folder that no job reads."""


@dataclass(frozen=True)
class Package:
    """The folder that `build` filled."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run.py"

    @property
    def zips(self) -> tuple[Path, Path]:
        """What goes into --py-files."""
        return self.folder / run.CODE, self.folder / run.DEFINITIONS


def build(checkout: Path, conf_dir: Path, feature_repo: Path, folder: Path) -> Package:
    """Fill `folder` with the package. What else lies in it stays, except older wheels.

    UsageError when the definitions are not there; EnvironmentProblem when the wheel cannot be built.
    """
    for place, file in ((conf_dir, "base.yaml"), (feature_repo, "feature_store.yaml")):
        if not (place / file).is_file():
            raise UsageError(f"{place}: {file} expected; --conf-dir and --feature-repo name the definitions")
    folder.mkdir(parents=True, exist_ok=True)
    _zip(folder / run.CODE, [*_files(checkout / "lib"), *_files(checkout / "jobs", below="jobs")])
    conf = [(name, path) for name, path in _files(conf_dir, below="conf") if name.split("/")[1] not in _NOT_SHIPPED]
    _zip(folder / run.DEFINITIONS, [*conf, *_files(feature_repo, below="feature_repo")])
    _build_wheel(checkout, folder)
    shutil.copyfile(str(run.__file__), folder / "run.py")
    (folder / BUNDLE).unlink(missing_ok=True)
    bundle = conf_dir / "deploy" / "databricks" / BUNDLE
    if bundle.is_file():
        shutil.copyfile(bundle, folder / BUNDLE)
    return Package(folder)


def _files(folder: Path, *, below: str = "") -> Iterator[tuple[str, Path]]:
    """Name in the archive and path of every file; what is hidden, compiled or built stays behind."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        is_left_out = any(part.startswith(".") or part == "__pycache__" or ".egg-info" in part for part in name.parts)
        if path.is_file() and not is_left_out:
            yield f"{below}/{name.as_posix()}" if below else name.as_posix(), path


def _zip(target: Path, files: Iterable[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def _build_wheel(checkout: Path, folder: Path) -> None:
    """In a scratch copy, since setuptools leaves its traces beside the sources."""
    with tempfile.TemporaryDirectory(prefix="scorelake-wheel-") as scratch:
        source, built = Path(scratch, "source"), Path(scratch, "built")
        source.mkdir()
        for name in _FOR_THE_WHEEL:
            shutil.copyfile(checkout / name, source / name)
        for name, path in _files(checkout / "lib", below="lib"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, source / name)
            (source / name).chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_wheel({str(built)!r})"],
            cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"},
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(built.glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            raise EnvironmentProblem(f"the wheel could not be built; setuptools says: {done.stderr.strip()[-500:]}")
        for old in folder.glob("scorelake-*.whl"):
            old.unlink()
        shutil.copyfile(wheels[0], folder / wheels[0].name)
