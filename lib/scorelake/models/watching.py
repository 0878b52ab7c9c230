"""When a difference between reference and current is drift."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

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


class Period(Definition):
    """Nights that tonight is compared with, besides training: their counts are summed.

    One of `previous: 7` (the seven nights before), `weekdays: 4` (this weekday of the four weeks before) or a window
    `{from: 2017-06-01, to: 2017-08-31}`, both ends included. Nights without counts add nothing.
    """

    previous: int | None = Field(default=None, ge=1, le=366)
    weekdays: int | None = Field(default=None, ge=1, le=52)
    from_: date | None = Field(default=None, alias="from")
    to: date | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Period:
        given = [self.previous is not None, self.weekdays is not None, self.from_ is not None and self.to is not None]
        if sum(given) != 1 or (self.from_ is None) != (self.to is None):
            raise ValueError("expected previous, weekdays, or from and to")
        if self.from_ is not None and self.to is not None and self.to < self.from_:
            raise ValueError(f"to ({self.to}) is before from ({self.from_})")
        return self

    def nights(self, run_date: date) -> tuple[date, ...]:
        """The nights that run date is compared with, oldest first; never itself or a later one."""
        if self.previous is not None:
            found = [run_date - timedelta(days=n) for n in range(1, self.previous + 1)]
        elif self.weekdays is not None:
            found = [run_date - timedelta(weeks=n) for n in range(1, self.weekdays + 1)]
        elif self.from_ is not None and self.to is not None:
            days = (self.to - self.from_).days + 1
            found = [day for n in range(days) if (day := self.from_ + timedelta(days=n)) < run_date]
        return tuple(sorted(found))


class Drift(DriftLimits):
    """default < model (here) < feature < segment; semantics section 8 and drift.md say what the words mean."""

    fdr: float = Field(default=0.05, gt=0, lt=1, description="False discovery rate over the features of a night.")
    k: int = Field(default=2, ge=1, description="An alert needs k of the last n nights, the latest included.")
    n: int = Field(default=3, ge=1)
    bins: int = Field(default=20, ge=2, description="Cells of a numeric feature.")
    features: dict[str, DriftOverride] = {}
    segments: dict[str, DriftOverride] = Field(
        default={},
        description="Columns of the features to split by, e.g. region: {}. Scores are split by those that are texts.",
    )
    against: dict[str, Period] = Field(
        default={}, description="Periods to compare with besides training, e.g. last_week: {previous: 7}."
    )
    on_alert: Literal["report", "fail"] = Field(
        default="report", description="fail: a night whose drift from training raises an ALERT ends with exit code 4."
    )

    @model_validator(mode="after")
    def _sound(self) -> Drift:
        if "training" in self.against:
            raise ValueError("against.training: training is always compared with; choose another name")
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
