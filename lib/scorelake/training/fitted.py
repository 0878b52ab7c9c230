"""What training hands over: a model, how good it is on each part, and what proves later that it is still the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorelake.metrics import Estimate, better
from scorelake.models import Model, Scalar
from scorelake.training.dataset import Dataset, Feature, Part
from scorelake.training.deciding import Deciding
from scorelake.training.subgroups import Subgroup

Floats = NDArray[np.float64]
Predict = Callable[[Part], Floats]
"""Scores of a part: (rows,), or (rows, classes) of probabilities for a multi-class model."""


@dataclass(frozen=True)
class Learnt:
    """A model and how to ask it. `flavour` is MLflow's; `details` are facts of the fit, such as rounds used."""

    model: Any
    flavour: Literal["xgboost", "sklearn", "spark"]
    predict: Predict = field(repr=False)
    details: Mapping[str, float | int | str] = field(default_factory=dict)


Learner = Callable[[Model, Dataset], Learnt]


@dataclass(frozen=True)
class Scored:
    """Labels and scores of a part that the model did not learn from; `entity` groups rows for intervals."""

    label: Floats = field(repr=False)
    score: Floats = field(repr=False)
    entity: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class Spread:
    """A metric over the folds of train: mean and standard deviation (of the sample)."""

    mean: float
    deviation: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """One algorithm with its parameters and the headline metric it reached on validation, or on average over the
    folds; None if it could not."""

    params: Mapping[str, Scalar]
    value: float | None
    algorithm: str = ""


@dataclass(frozen=True)
class Replay:
    """Made-up rows and the model's answers. A version that answers otherwise is not the one that was registered."""

    rows: Part
    scores: Floats

    def columns(self) -> dict[str, list[float | str | None]]:
        """The rows column by column, in the model's order; null and NaN are None."""
        frame = self.rows.frame()
        return {
            feature.name: [
                None if isinstance(value, float) and math.isnan(value) else value
                for value in frame[feature.name].tolist()
            ]
            for feature in self.rows.features
        }


@dataclass(frozen=True)
class Fitted:
    """A trained model with its record.

    `metrics` by part and name; `baselines` by baseline, part and name; `importance` by feature: by how much the
    headline metric gets worse on validation when the feature is shuffled, greatest first. `params` are the
    algorithm's, after a search those that won it; `spec` is the model file with the algorithm that won. `subgroups` are
    of the test part.
    """

    spec: Model = field(repr=False)

    learnt: Learnt
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, Estimate]]
    baselines: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    scored: Mapping[str, Scored] = field(repr=False)
    importance: Mapping[str, float]
    replay: Replay = field(repr=False)
    warnings: tuple[str, ...] = ()
    params: Mapping[str, Scalar] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    folds: Mapping[str, Spread] = field(default_factory=dict)
    deciding: Deciding = field(default_factory=Deciding)
    subgroups: tuple[Subgroup, ...] = ()

    @property
    def feature_names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        """Each algorithm's best trial and each baseline by the headline metric on validation, best first."""
        headline = self.spec.headline
        found: dict[str, float] = {}
        for trial in self.trials:
            value, known = trial.value, found.get(trial.algorithm)
            if value is not None and (known is None or better(headline, value, known) > 0):
                found[trial.algorithm] = value
        for name, parts in self.baselines.items():
            value = parts["validation"].get(headline)
            if value is not None:
                found[name] = value
        return tuple(sorted(found.items(), key=lambda item: better(headline, 0.0, item[1])))

    @property
    def values(self) -> dict[str, float]:
        """Metrics as '<part>.<name>' and '<baseline>.<part>.<name>', without those that could not be told."""
        found: dict[str, float | None] = {
            f"{part}.{name}": estimate.value
            for part, of_part in self.metrics.items()
            for name, estimate in of_part.items()
        }
        for baseline, parts in self.baselines.items():
            kind = baseline.partition(":")[0].replace(" ", "_")
            found |= {f"{kind}.{part}.{name}": value for part, of in parts.items() for name, value in of.items()}
        for name, spread in self.folds.items():
            found |= {f"folds.{name}.mean": spread.mean, f"folds.{name}.deviation": spread.deviation}
        found |= self.deciding.values
        return {name: value for name, value in found.items() if value is not None}
