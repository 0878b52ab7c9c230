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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Predictor = Callable[["pa.RecordBatch"], "np.ndarray[Any, Any]"]
"""From a batch of features to shape (rows,), or (rows, classes) for class probabilities; float64."""

_loaded: dict[str, Predictor] = {}


@dataclass(frozen=True)
class Package:
    """Everything a worker needs. `digest` identifies the files; `features` are the names in the model's order."""

    digest: str
    features: tuple[str, ...]
    archive: bytes = field(repr=False)


def pack(folder: Path, *, digest: str, features: tuple[str, ...]) -> Package:
    """The model folder (MLflow's layout) as a Package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return Package(digest, features, buffer.getvalue())


def predictor(package: Package) -> Predictor:
    """The loaded model; loading happens once a process, whatever the number of tasks."""
    if package.digest not in _loaded:
        # Another model may follow in a long-lived worker: keep only the roles of one night.
        if len(_loaded) >= 8:
            _loaded.clear()
        _loaded[package.digest] = _load(package)
    return _loaded[package.digest]


def _load(package: Package) -> Predictor:
    from scorelake.scoring.predictors import compile_model

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory(prefix="scorelake-model-") as folder:
        with zipfile.ZipFile(io.BytesIO(package.archive)) as archive:
            archive.extractall(folder)
        return compile_model(Path(folder), package.features)
