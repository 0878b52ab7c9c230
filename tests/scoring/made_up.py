"""A model of each kind, trained on made-up rows and saved as a version's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scorelake.models import Task
from scorelake.stores import model_files
from scorelake.stores.model_files import Bundle, Column, Replay
from scorelake.training import train
from tests.training.made_up import dataset, model

FEATURES = ("signal", "noise", "gaps", "region")


def saved(folder: Path, task: Task, algorithm: Any, encode: str, scale: str, impute: str = "median") -> Path:
    """The folder of an MLflow model of FEATURES, its numbers clipped, imputed, scaled and flagged."""
    preparation = {
        "numeric": {"winsorise": "1%", "impute": impute, "scale": scale, "flag_missing": True},
        "categorical": {"encode": encode, "min_rows": 5},
    }
    spec = model(task, algorithm, preprocessing=preparation)
    fitted = train.fit(spec, dataset(task, rows=150, text=True))
    bundle = Bundle(
        model=fitted.learnt.model,
        flavour=fitted.learnt.flavour,
        task=task,
        columns=tuple(Column(feature.name, feature.kind) for feature in fitted.features),
        classes=fitted.classes,
        replay=Replay(fitted.replay.columns(), fitted.replay.scores.tolist()),
        requirements=("scikit-learn",),
    )
    model_files.write(bundle, folder / "model")
    return folder / "model"
