"""When a difference between reference and current is drift."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field, model_validator

from scorelake.strict_yaml import Definition
from scorelake.tables import Share


class Mute(Definition):
    """Numbers are kept, alerts are not raised, up to and including run date `until`."""

    until: date
    reason: str = Field(min_length=1)


class DriftOverride(Definition):
    """Limits of one feature or segment; what is not given follows the model's."""

    warn: float | None = Field(default=None, gt=0)
    alert: float | None = Field(default=None, gt=0)
    alpha: float | None = Field(default=None, gt=0, lt=1)
    min_rows: int | None = Field(default=None, ge=1)
    null_change: Share | None = None
    unseen: Share | None = None
    mute: Mute | None = None


class DriftLimits(Definition):
    """Limits that hold for one feature in one segment on one night."""

    warn: float = Field(default=0.10, gt=0, description="PSI from which the status is WARN, if significant.")
    alert: float = Field(default=0.20, gt=0)
    alpha: float = Field(default=0.01, gt=0, lt=1, description="Level of the critical PSI.")
    min_rows: int = Field(default=1000, ge=1, description="Fewer rows are INSUFFICIENT.")
    null_change: Share = Field(default=0.01, description="Change of the share of nulls that alerts.")
    unseen: Share = Field(default=0.01, description="Share of categories unseen in training that alerts.")
    mute: Mute | None = None

    @model_validator(mode="after")
    def _rising(self) -> DriftLimits:
        if self.alert < self.warn:
            raise ValueError(f"alert ({self.alert}) is below warn ({self.warn})")
        return self


class Drift(DriftLimits):
    """default < model (here) < feature < segment; semantics section 8 and drift.md say what the words mean."""

    fdr: float = Field(default=0.05, gt=0, lt=1, description="False discovery rate over the features of a night.")
    k: int = Field(default=2, ge=1, description="An alert needs k of the last n nights, the latest included.")
    n: int = Field(default=3, ge=1)
    bins: int = Field(default=20, ge=2, description="Cells of a numeric feature.")
    features: dict[str, DriftOverride] = {}
    segments: dict[str, DriftOverride] = Field(default={}, description="Columns to split by, e.g. region: {}.")

    @model_validator(mode="after")
    def _sound(self) -> Drift:
        if self.k > self.n:
            raise ValueError(f"k ({self.k}) of n ({self.n}) nights can never be reached")
        for name in self.features:
            for segment in (None, *self.segments):
                self.limits(name, segment)
        return self

    def limits(self, feature: str, segment: str | None = None) -> DriftLimits:
        """What holds for `feature` within column `segment` (None: all rows)."""
        values: dict[str, Any] = {name: getattr(self, name) for name in DriftLimits.model_fields}
        for override in (self.features.get(feature), self.segments.get(segment) if segment else None):
            if override is not None:
                values |= {name: getattr(override, name) for name in override.model_fields_set}
        return DriftLimits(**values)
