"""A model as it travels to the workers: its files in one archive, opened once a worker process.

The archive goes along with the function that Spark ships, so it needs neither a shared disk nor the SparkContext.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from scorelake.matrix import matrix
from scorelake.scoring.loaded import Loaded, Predictor


@dataclass(frozen=True)
class Package:
    """Everything a worker needs. `digest` identifies the files; `features` are the names in the model's order.

    `is_fast` allows a fast way; without, the library's own `predict` answers. An empty archive stands for a model that
    has answered already: its `features` are columns that hold the answers.
    """

    digest: str
    features: tuple[str, ...]
    archive: bytes = field(repr=False)
    is_fast: bool = True


_loaded: dict[tuple[str, bool], Loaded] = {}


def pack(folder: Path, *, digest: str, features: tuple[str, ...]) -> Package:
    """The model folder (MLflow's layout) as a Package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return Package(digest, features, buffer.getvalue())


def predictor(package: Package) -> Predictor:
    """How the model of `package` answers a batch."""
    return loaded(package).predict


def loaded(package: Package) -> Loaded:
    """The loaded model; loading happens once a process, whatever the number of tasks."""
    key = (package.digest, package.is_fast)
    if key not in _loaded:
        # Another model may follow in a long-lived worker: keep only the roles of one night.
        if len(_loaded) >= 8:
            _loaded.clear()
        _loaded[key] = _load(package)
    return _loaded[key]


def answers_frames(package: Package) -> bool:
    """Whether it is a Spark MLlib model; told without loading it."""
    if not zipfile.is_zipfile(io.BytesIO(package.archive)):
        return False  # nothing, or what will fail in its task
    with zipfile.ZipFile(io.BytesIO(package.archive)) as archive:
        return "MLmodel" in archive.namelist() and "spark" in yaml.safe_load(archive.read("MLmodel"))["flavors"]


def _load(package: Package) -> Loaded:
    from scorelake.scoring.predictors import compile_model

    if not package.archive:
        return Loaded(lambda batch: matrix(batch, package.features, dtype="float64"), "transform")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory(prefix="scorelake-model-") as folder:
        with zipfile.ZipFile(io.BytesIO(package.archive)) as archive:
            archive.extractall(folder)
        return compile_model(Path(folder), package.features, is_fast=package.is_fast)
