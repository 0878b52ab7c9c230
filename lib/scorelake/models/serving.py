"""Which versions score whom, what stands beside each score, and what a night's features must meet."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from scorelake.dates import Duration
from scorelake.strict_yaml import Definition
from scorelake.tables import Share


class Canary(Definition):
    """A share of the entities is served by the challenger. A hash of `experiment` and the entity's keys decides, so
    that entities keep their arm over nights and versions, and a growing share moves nobody back."""

    experiment: str = Field(min_length=1, description="Another name draws anew.")
    percent: float = Field(ge=0, le=100)


class ScoringLimits(Definition):
    """What a night's features must meet; beyond it the night is refused (exit code 4)."""

    null_rate: Share | None = Field(default=None, description="Of every feature of the model.")
    null_rates: dict[str, Share] = Field(default={}, description="By feature, instead of null_rate.")

    @property
    def are_set(self) -> bool:
        return self.null_rate is not None or bool(self.null_rates)

    def of(self, feature: str) -> float | None:
        return self.null_rates.get(feature, self.null_rate)


class Costs(Definition):
    """What a decision costs by how it turns out, in one unit; benefits are what a right one earns."""

    false_positive: float = Field(ge=0)
    false_negative: float = Field(ge=0)
    true_positive: float = Field(default=0.0, ge=0, description="Benefit.")
    true_negative: float = Field(default=0.0, ge=0, description="Benefit.")

    @model_validator(mode="after")
    def _some(self) -> Costs:
        if not (self.false_positive + self.true_negative and self.false_negative + self.true_positive):
            raise ValueError("expected wrong decisions to cost something both ways, else everybody or nobody is chosen")
        return self


class CutBy(Definition):
    """How train_model chooses the cut on validation; it is kept with the version. One of these."""

    costs: Costs | None = None
    capacity: int | None = Field(default=None, ge=1, description="So many entities a night at most.")
    share: Share | None = Field(default=None, gt=0, description="So large a part of the population at most.")

    @model_validator(mode="after")
    def _one(self) -> CutBy:
        if sum(way is not None for way in (self.costs, self.capacity, self.share)) != 1:
            raise ValueError("cut_by: expected one of costs, capacity, share")
        return self


class Scoring(Definition):
    """Who is scored by which versions, and what stands beside each score."""

    buckets: int | tuple[float, ...] | None = Field(
        default=None, description="A number of equal-sized buckets by rank, 1 = highest; or rising edges of scores."
    )
    cut: float | None = Field(default=None, description="A score of at least this decides 1, else 0 (binary).")
    cut_by: CutBy | None = Field(
        default=None, description="Lets train_model choose a cut for each version; a literal `cut` comes before it."
    )
    review: tuple[float, float] | None = Field(
        default=None, description="Scores from the first up to below the second are for a human to decide."
    )
    reasons: int = Field(default=0, ge=0, le=20, description="Features named with each score (XGBoost, linear).")
    challengers: tuple[str, ...] = Field(default=(), description="Aliases scored beside the champion.")
    shadows: tuple[str, ...] = Field(default=(), description="Aliases scored beside it that never serve.")
    canary: Canary | None = Field(default=None, description="What the first challenger serves; by default nothing.")
    budget: Duration = Field(
        default=timedelta(minutes=10),
        description="Predicting time of a challenger or shadow in one task.",
        json_schema_extra={"default": "10 minutes"},
    )
    limits: ScoringLimits = ScoringLimits()

    def cut_of(self, version: float | None) -> float | None:
        """The cut that decides: the literal one, else the one that the version brings along."""
        return version if self.cut is None else self.cut

    @model_validator(mode="after")
    def _sound(self) -> Scoring:
        if isinstance(self.buckets, int) and not 2 <= self.buckets <= 1000:
            raise ValueError("buckets: expected 2 to 1000")
        if isinstance(self.buckets, tuple) and list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError("buckets: expected rising edges, each once")
        if self.review is not None and not self.review[0] < self.review[1]:
            raise ValueError("review: expected two rising scores")
        if self.canary is not None and not self.challengers:
            raise ValueError("canary: expected challengers, the first of which serves it")
        beside = (*self.challengers, *self.shadows)
        if len(set(beside)) < len(beside) or "champion" in beside:
            raise ValueError("challengers, shadows: expected aliases other than champion, each once")
        return self
