"""The files of one model version: written without pickle, known by a digest, proved by rows that they must repeat."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from scorelake.errors import ModelRefused

if TYPE_CHECKING:
    import pyarrow as pa

OWN = "scorelake"
"""Folder beside MLflow's own files: `replay.json` and what the job adds (profile, card)."""

TRUSTED_TYPES = (
    "numpy.clip",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.impute._iterative.IterativeImputer",  # on skops's own list only where it was enabled before skops
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
"""Types that skops may build beyond its own list; none of them runs code from the file."""

_TRACES = ("registered_model_meta", "__pycache__")
"""What MLflow and Python write beside a model's files where somebody loads it from a registry on this machine."""

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill")


@dataclass(frozen=True)
class Column:
    """One input of a model: a double (null is NaN) or a string."""

    name: str
    kind: Literal["number", "category"]


@dataclass(frozen=True)
class Replay:
    """Made-up rows, column by column in the model's order (None is null), and the scores that go with them."""

    columns: Mapping[str, Sequence[float | str | None]]
    scores: Sequence[float] | Sequence[Sequence[float]]

    def batch(self, columns: Sequence[Column]) -> pa.RecordBatch:
        """The rows as Arrow doubles and strings, ready for a predictor."""
        import pyarrow as pa

        kinds = {"number": pa.float64(), "category": pa.string()}
        arrays = [pa.array(self.columns[column.name], kinds[column.kind]) for column in columns]
        return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


@dataclass(frozen=True)
class Bundle:
    """Everything that becomes the folder of a version. `files` stand in `scorelake/` by name."""

    model: Any
    flavour: Literal["xgboost", "sklearn", "spark"]
    task: str
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    replay: Replay
    requirements: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)


def write(bundle: Bundle, folder: Path) -> str:
    """Write `bundle` as an MLflow model into the new `folder`; its digest."""
    metadata = {"task": bundle.task, "classes": list(bundle.classes), "kinds": [c.kind for c in bundle.columns]}
    common: dict[str, Any] = {
        "path": str(folder),
        "signature": _signature(bundle),
        "pip_requirements": list(bundle.requirements),
        "metadata": {OWN: metadata},
    }
    if bundle.flavour == "xgboost":
        import mlflow.xgboost

        mlflow.xgboost.save_model(bundle.model, model_format="ubj", **common)
    elif bundle.flavour == "spark":
        import mlflow.spark

        mlflow.spark.save_model(bundle.model, **common)
    else:
        import mlflow.sklearn

        mlflow.sklearn.save_model(
            bundle.model,
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED_TYPES),
            pyfunc_predict_fn="predict" if bundle.task == "regression" else "predict_proba",
            **common,
        )
    own = folder / OWN
    own.mkdir()
    replay = {"columns": dict(bundle.replay.columns), "scores": list(bundle.replay.scores)}
    (own / "replay.json").write_text(json.dumps(replay), encoding="utf-8")
    for name, content in bundle.files.items():
        (own / name).write_bytes(content)
    return digest(folder)


def _signature(bundle: Bundle) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = Schema([ColSpec("double" if c.kind == "number" else "string", c.name) for c in bundle.columns])
    answer = np.dtype("float32") if bundle.flavour == "xgboost" else np.dtype("float64")
    classes = len(bundle.classes) or (2 if bundle.flavour != "xgboost" and bundle.task == "binary" else 0)
    outputs = Schema([TensorSpec(answer, (-1, classes) if classes else (-1,))])
    return ModelSignature(inputs=inputs, outputs=outputs)


def digest(folder: Path) -> str:
    """sha256 over the names and contents of all files below `folder`, as 64 hexadecimal digits."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def remove_traces(folder: Path) -> None:
    """Delete, in a copy of a version's files, what was written there by those who loaded it before."""
    for path in [path for path in folder.rglob("*") if path.name in _TRACES]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # one trace may have lain within another


# ------------------------------------------------------------------ reading


@dataclass(frozen=True)
class Facts:
    """What the files say about themselves. `task` is empty for a model that Scorelake did not write."""

    columns: tuple[Column, ...]
    task: str
    classes: tuple[str, ...]
    flavours: tuple[str, ...]


def read(folder: Path) -> Facts:
    """The facts of the MLflow model in `folder`. ModelRefused when it has no signature with named columns."""
    document = _mlmodel(folder)
    text = (document.get("signature") or {}).get("inputs")
    inputs = json.loads(text) if text else []
    if not inputs or any("name" not in column for column in inputs):
        raise ModelRefused("the model has no signature with named columns; log it with one")
    columns = tuple(Column(c["name"], "category" if c["type"] == "string" else "number") for c in inputs)
    own = (document.get("metadata") or {}).get(OWN, {})
    return Facts(columns, own.get("task", ""), tuple(own.get("classes", ())), tuple(document["flavors"]))


def replay_of(folder: Path) -> Replay | None:
    """The stored rows; None for a model that Scorelake did not write."""
    path = folder / OWN / "replay.json"
    if not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Replay(stored["columns"], stored["scores"])


def why_unsafe(folder: Path) -> str | None:
    """Why loading these files could run code of their own making (pickle, foreign types); None when it cannot."""
    pickled = [path.name for path in folder.rglob("*") if path.suffix in _PICKLES]
    if pickled:
        return f"{', '.join(sorted(pickled))}: pickle runs any code when loaded"
    flavours = _mlmodel(folder)["flavors"]
    if "python_model" in flavours.get("python_function", {}):
        return "a cloudpickled Python model runs any code when loaded; log it as models-from-code"
    if "spark" in flavours and (asked := _foreign_stages(folder / flavours["spark"]["model_data"])):
        return f"its pipeline holds stages that Scorelake does not make: {', '.join(asked)}"
    sklearn = flavours.get("sklearn")
    if sklearn is not None and sklearn.get("serialization_format") != "skops":
        return f"scikit-learn model saved as {sklearn.get('serialization_format')}: pickle runs any code when loaded"
    foreign = set((sklearn or {}).get("skops_trusted_types") or ()) - set(TRUSTED_TYPES)
    if foreign:
        return f"its file asks to trust types that Scorelake does not: {', '.join(sorted(foreign))}"
    return None


def _foreign_stages(folder: Path) -> list[str]:
    """Classes of an MLlib pipeline beyond MLlib's own, and SQL that calls into the JVM."""
    found = set()
    for path in folder.rglob("metadata/part-*"):
        for line in path.read_text(encoding="utf-8").splitlines():
            stage = json.loads(line)
            if not stage["class"].startswith(("org.apache.spark.ml.", "pyspark.ml.")):
                found.add(stage["class"])
            statement = stage.get("paramMap", {}).get("statement", "").lower()
            found |= {name for name in ("reflect", "java_method") if name in statement}
    return sorted(found)


def _mlmodel(folder: Path) -> dict[str, Any]:
    path = folder / "MLmodel"
    if not path.is_file():
        raise ModelRefused("there is no file MLmodel: the version's files are gone or incomplete")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
