"""The model registry as jobs use it: the connection, names of tags and of files beside a model."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from scorelake.stores import model_registry

if TYPE_CHECKING:
    from scorelake.settings import Settings
    from scorelake.stores.model_registry import ModelRegistry

RUN_DATE = "scorelake.run_date"
RUN_ID = "scorelake.run_id"
TRAINING_SET = "scorelake.training_set"
FEATURES_HASH = "scorelake.features_hash"
MODEL_HASH = "scorelake.model_hash"

PROFILE = "drift_profile.json"
IMPORTANCE = "importance.json"
CALIBRATION = "calibration.json"
CALIBRATED = "replay_calibrated.json"
CUT = "cut.json"

_NEEDED = {
    "xgboost": ("xgboost-cpu", "numpy", "pandas"),
    "sklearn": ("scikit-learn", "skops", "numpy", "pandas"),
    "spark": ("pyspark", "numpy", "pandas"),
}


def connect(settings: Settings) -> ModelRegistry:
    return model_registry.connect(
        settings.mlflow.tracking_uri,
        registry_uri=settings.mlflow.registry_uri,
        artifact_root=settings.mlflow.artifact_root,
        allow_pickle=settings.mlflow.allow_pickle,
        registry_schema=settings.mlflow.registry_schema,
        experiment_folder=settings.mlflow.experiment_folder,
    )


def requirements(flavour: str) -> tuple[str, ...]:
    """What a model of this flavour needs, at the versions that trained it."""
    return tuple(f"{name}=={version(name)}" for name in ("mlflow", *_NEEDED[flavour]))
