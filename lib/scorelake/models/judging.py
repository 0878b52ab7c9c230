"""How a model is judged: metrics by task, and the gate before it becomes champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scorelake.models.learning import Task
from scorelake.strict_yaml import Definition
from scorelake.tables import Share

METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "pr_auc", "log_loss", "brier", "calibration_error", "lift_10", "accuracy", "bias"),
    "multiclass": ("log_loss", "accuracy", "auc", "brier"),
    "regression": ("rmse", "mae", "r2", "bias"),
}
"""Metrics of each task; `scorelake.metrics` computes exactly these."""

RATES = ("selection_rate", "false_positive_rate", "false_negative_rate")
"""What is told of a binary model's decisions besides."""

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


class Subgroups(Definition):
    """Groups of entities that the model is judged on apart, and what it must reach in each of them to be promoted."""

    by: tuple[str, ...] = Field(
        min_length=1, description="Columns of the feature service; those that the model does not use may be named too."
    )
    require: dict[str, Bounds] = Field(
        default={},
        description="Limits by metric in every group; of a binary model also selection_rate, false_positive_rate, "
        "false_negative_rate.",
    )
    min_rows: int = Field(default=100, ge=2, description="A group of fewer test rows is INSUFFICIENT.")
    too_few: Literal["fail", "tell"] = Field(
        default="fail", description="Whether an INSUFFICIENT group keeps a version from promotion, or is only told."
    )


class Rollback(Definition):
    """When the former champion returns by itself, as evaluate_scores finds it."""

    max_loss: Share = Field(default=0.05, gt=0, description="Of the headline's value at training, lost on a night.")
    k: int = Field(default=3, ge=1, description="So many of the newest n matured nights, the newest among them.")
    n: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _k_of_n(self) -> Rollback:
        if self.k > self.n:
            raise ValueError(f"k ({self.k}) cannot exceed n ({self.n})")
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
    smoke_rows: int | None = Field(
        default=None, ge=1, description="So many rows of the newest features slice must all get a score."
    )
    max_microseconds: float | None = Field(
        default=None, gt=0, description="CPU a row that scoring the smoke rows may take."
    )
    max_score_psi: float | None = Field(
        default=None, gt=0, description="How far scores of the smoke rows may lie from the champion's."
    )
    max_bytes: int | None = Field(default=None, gt=0, description="Of the version's files.")
    rollback: Rollback | None = Field(default=None, description="Without it only the job rollback moves anybody back.")
    max_cost: float | None = Field(
        default=None, description="Expected cost a row of the test part by scoring.cut_by.costs and the version's cut."
    )
    approval: bool = Field(
        default=False, description="A passed gate waits for promote_model --approve VERSION --by NAME --reason WHY."
    )

    @model_validator(mode="after")
    def _has_rows_to_smoke(self) -> Promotion:
        needing = [name for name in ("max_microseconds", "max_score_psi") if getattr(self, name) is not None]
        if needing and self.smoke_rows is None:
            raise ValueError(f"{', '.join(needing)} is measured on the smoke rows: set smoke_rows")
        return self
