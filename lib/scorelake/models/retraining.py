"""When a model is trained anew by itself."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from scorelake.dates import Duration
from scorelake.models.judging import Bounds
from scorelake.strict_yaml import Definition


class Retrain(Definition):
    """Any of these is a reason to train; `label_rate` and failed gates are reasons not to, whatever speaks for it.

    What is trained always meets the promotion gate.
    """

    every: Duration | None = Field(default=None, description="On schedule: since the newest version's run date.")
    on_drift: bool = Field(default=False, description="While a drift alert of the champion is firing.")
    on_decay: bool = Field(default=False, description="When matured scores of the run date are found decayed.")
    new_labels: int | None = Field(default=None, ge=1, description="Labels that became known since the newest version.")
    at_least: Duration = Field(
        default=timedelta(days=7),
        description="Never sooner after the newest version, whatever the reason.",
        json_schema_extra={"default": "7 days"},
    )
    label_rate: Bounds | None = Field(
        default=None, description="Mean of the labels that became known since; outside, nothing is trained."
    )

    @model_validator(mode="after")
    def _some(self) -> Retrain:
        if not (self.every or self.on_drift or self.on_decay or self.new_labels):
            raise ValueError("retrain: expected a reason: every, on_drift, on_decay or new_labels")
        return self
