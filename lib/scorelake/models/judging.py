"""How a model is judged: metrics by task, and the gate before it becomes champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scorelake.models.learning import Task
from scorelake.strict_yaml import Definition

METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "pr_auc", "log_loss", "brier", "calibration_error", "lift_10", "accuracy", "bias"),
    "multiclass": ("log_loss", "accuracy", "auc", "brier"),
    "regression": ("rmse", "mae", "r2", "bias"),
}
"""Metrics of each task; `scorelake.metrics` computes exactly these."""

HEADLINE: dict[Task, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


class Metrics(Definition):
    headline: str | None = Field(default=None, description="Decides gates and ranks; auc, log_loss or rmse by default.")
    bootstrap: int = Field(default=500, ge=100, description="Resamples behind each interval.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class Bounds(Definition):
    """Limits of one metric, both inclusive. A maximum of AUC is a ceiling: above it something leaks."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some(self) -> Bounds:
        if self.min is None and self.max is None:
            raise ValueError("expected min, max or both")
        return self


class Promotion(Definition):
    """When a challenger becomes champion. Every gate must pass; a missing or NaN metric fails."""

    require: dict[str, Bounds] = Field(default={}, description="Absolute limits by metric, on the test part.")
    min_gain: float = Field(
        default=0.0, ge=0, description="Better than the champion by more than this, whole interval; ties keep it."
    )
    no_champion: Literal["promote", "refuse"] = Field(
        default="promote", description="What happens when all limits hold and nobody is champion yet."
    )
    approval: bool = Field(
        default=False, description="A passed gate waits for promote_model --approve VERSION --by NAME --reason WHY."
    )
