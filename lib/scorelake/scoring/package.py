"""A model as it travels to the workers: its files in one archive, opened once a worker process.

The archive goes along with the function that Spark ships, so it needs neither a shared disk nor the SparkContext.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Predictor = Callable[["pa.RecordBatch"], "np.ndarray[Any, Any]"]
"""From a batch of features to shape (rows,), or (rows, classes) for class probabilities; float64."""

Way = Literal["booster", "linear", "ensemble", "library"]
"""How a model is asked: three fast ways over arrays, or the library's own `predict` on a pandas frame."""


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    `tolerance` is how far a fast way may lie from the library's own answer (absolute). `contributions`, where the
    model has them, are of shape (rows, outputs, features + 1): the last one is the same in every row, and their sum
    is the model's answer before its link function (log-odds, for a probability).
    """

    predict: Predictor
    way: Way
    tolerance: float = 0.0
    contributions: Predictor | None = None


@dataclass(frozen=True)
class Package:
    """Everything a worker needs. `digest` identifies the files; `features` are the names in the model's order.

    `is_fast` allows a fast way; without, the library's own `predict` answers.
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


def _load(package: Package) -> Loaded:
    from scorelake.scoring.predictors import compile_model

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory(prefix="scorelake-model-") as folder:
        with zipfile.ZipFile(io.BytesIO(package.archive)) as archive:
            archive.extractall(folder)
        return compile_model(Path(folder), package.features, is_fast=package.is_fast)
