"""The specification of a model: `conf/models/<name>.yaml`.

What is learnt, from which features and labels, how it is judged, scored and watched. What a value means for
rows stands in semantics.md (sections 4, 7, 8); what a parameter means stands with the library that takes it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scorelake.models.judging import HEADLINE, METRICS, RATES, Bounds, Metrics, Promotion, Rollback, Subgroups
from scorelake.models.learning import (
    ALGORITHMS,
    CORRECTED,
    MLLIB_ENCODINGS,
    MLLIB_IMPUTERS,
    Algorithm,
    ByTime,
    CategoricalSteps,
    EntitySplit,
    FeatureChoice,
    Folds,
    Imbalance,
    NumericSteps,
    Preprocessing,
    Range,
    Scalar,
    Search,
    Split,
    StratifiedSplit,
    Task,
    TemporalSplit,
    TrailingSplit,
    Unseen,
)
from scorelake.models.performing import Performance
from scorelake.models.retraining import Retrain
from scorelake.models.serving import Canary, Costs, CutBy, Scoring, ScoringLimits
from scorelake.models.watching import Drift, DriftLimits, DriftOverride, Mute, Period
from scorelake.strict_yaml import Definition


class Model(Definition):
    """What is learnt, from which features and labels, how it is judged, scored and watched."""

    name: str
    description: str
    feature_service: str
    label: str = Field(description="A label table, e.g. gold.churned.")
    task: Task
    features: FeatureChoice = FeatureChoice()
    split: Split
    folds: Folds | None = None
    preprocessing: Preprocessing | None = None
    imbalance: Imbalance | None = None
    algorithm: Algorithm
    compare: tuple[Algorithm, ...] = Field(
        default=(),
        description="Further algorithms that learn from the same parts; the best by the headline on validation is "
        "registered, of equals the first.",
    )
    calibration: Literal["isotonic", "sigmoid"] | None = Field(
        default=None,
        description="Fitted on validation and kept with the version; `score_calibrated` stands beside the score.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    metrics: Metrics = Metrics()
    subgroups: Subgroups | None = Field(default=None, description="Groups that the model is judged on apart.")
    promotion: Promotion = Promotion()
    scoring: Scoring = Scoring()
    drift: Drift = Drift()
    performance: Performance = Performance()
    prove_rows: int = Field(
        default=20,
        ge=0,
        description="Rows of the training set that train_model recomputes by brute force (as verify_pit): a feature "
        "that knew what came later is found; 0 leaves it out.",
    )
    explain: bool = Field(default=True, description="Plots and explanations beside the run of every training.")
    retrain: Retrain | None = Field(default=None, description="When the job retrain trains it; never without it.")

    @property
    def headline(self) -> str:
        return self.metrics.headline or HEADLINE[self.task]

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """All that are tried; one of them is registered."""
        return (self.algorithm, *self.compare)

    def with_algorithm(self, algorithm: Algorithm) -> Model:
        """The same model file with this algorithm alone, its parameters chosen."""
        alone = algorithm.model_copy(update={"search": None})
        return self.model_copy(update={"algorithm": alone, "compare": ()})

    @property
    def preparation(self) -> NumericSteps:
        """What happens to numbers before the algorithm sees them; by default nothing."""
        return self.preprocessing.numeric if self.preprocessing else NumericSteps()

    @model_validator(mode="after")
    def _fits_the_task(self) -> Model:
        known = METRICS[self.task]
        asked = [*self.promotion.require, *([self.metrics.headline] if self.metrics.headline else [])]
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise ValueError(f"a {self.task} model has no metric {', '.join(unknown)}; there are: {', '.join(known)}")
        told = known + RATES if self.task == "binary" else known
        foreign = [name for name in (self.subgroups.require if self.subgroups else ()) if name not in told]
        if foreign:
            raise ValueError(f"subgroups.require: no metric {', '.join(foreign)}; there are: {', '.join(told)}")
        if self.headline == "bias":
            raise ValueError("bias is no headline: every constant model has none; choose another metric")
        if self.folds is not None:
            self._fits_folds(self.folds)
        if isinstance(self.split, StratifiedSplit) and self.task == "regression":
            raise ValueError("split.kind: stratified needs classes; a regression model takes entity or temporal")
        for algorithm in self.algorithms:
            self._fits(algorithm)
        for name, asked_for in (
            ("scoring.cut", self.scoring.cut),
            ("scoring.cut_by", self.scoring.cut_by),
            ("calibration", self.calibration),
        ):
            if asked_for is not None and self.task != "binary":
                raise ValueError(f"{name} needs task: binary")
        has_costs = self.scoring.cut_by is not None and self.scoring.cut_by.costs is not None
        if self.promotion.max_cost is not None and not has_costs:
            raise ValueError("promotion.max_cost needs scoring.cut_by.costs")
        return self

    def _fits_folds(self, folds: Folds) -> None:
        if folds.kind == "rolling" and folds.gap is None:
            raise ValueError("folds: rolling needs gap, at least the label's horizon")
        if folds.kind != "rolling" and folds.gap is not None:
            raise ValueError(f"folds.gap belongs to rolling, found {folds.kind}")
        if folds.kind == "stratified" and self.task == "regression":
            raise ValueError("folds.kind: stratified needs classes; a regression model takes rolling or grouped")

    def _fits(self, algorithm: Algorithm) -> None:
        if self.task not in ALGORITHMS[algorithm.name]:
            raise ValueError(f"algorithm {algorithm.name} cannot do task {self.task}")
        if self.scoring.reasons and not algorithm.name.startswith(("xgboost", "sklearn.linear_model.")):
            raise ValueError("scoring.reasons needs xgboost or a linear model: others have no exact contributions")
        if algorithm.is_mllib:
            self._fits_mllib(algorithm)
        if self.imbalance is not None:
            self._fits_imbalance(algorithm, self.imbalance)

    def _fits_imbalance(self, algorithm: Algorithm, imbalance: Imbalance) -> None:
        if self.task == "regression" or (self.task == "multiclass" and imbalance.weigh != "balanced"):
            raise ValueError("imbalance: needs classes: weigh: balanced for any number of them, all else for two")
        if algorithm.name not in CORRECTED:
            raise ValueError(
                f"imbalance: probabilities of {algorithm.name} cannot be put back; there are: {', '.join(CORRECTED)}"
            )
        if algorithm.engine == "spark" and imbalance.sample is not None:
            raise ValueError("imbalance.sample: not with algorithm.engine: spark, which weighs (imbalance.weigh)")
        both = sorted(
            {"scale_pos_weight", "class_weight"}
            & {*algorithm.params, *(algorithm.search.params if algorithm.search else ())}
        )
        if both:
            raise ValueError(f"imbalance: not with {', '.join(both)} in params, which corrects nothing")

    def _fits_mllib(self, algorithm: Algorithm) -> None:
        if self.preparation.impute == "none":
            raise ValueError(f"{algorithm.name} takes no nulls: declare preprocessing.numeric.impute")
        if self.preparation.impute not in MLLIB_IMPUTERS:
            raise ValueError(
                f"preprocessing.numeric.impute: {self.preparation.impute} has no MLlib stage; for {algorithm.name} "
                f"there are: {', '.join(MLLIB_IMPUTERS)}"
            )
        categorical = self.preprocessing.categorical if self.preprocessing else None
        if categorical is not None and categorical.encode not in MLLIB_ENCODINGS:
            raise ValueError(
                f"preprocessing.categorical.encode: {categorical.encode} has no MLlib stage; for {algorithm.name} "
                f"there are: {', '.join(MLLIB_ENCODINGS)}"
            )


__all__ = [
    "ALGORITHMS",
    "HEADLINE",
    "METRICS",
    "RATES",
    "Algorithm",
    "Bounds",
    "ByTime",
    "Canary",
    "CategoricalSteps",
    "Costs",
    "CutBy",
    "Drift",
    "DriftLimits",
    "DriftOverride",
    "EntitySplit",
    "FeatureChoice",
    "Folds",
    "Imbalance",
    "Metrics",
    "Model",
    "Mute",
    "NumericSteps",
    "Performance",
    "Period",
    "Preprocessing",
    "Promotion",
    "Range",
    "Retrain",
    "Rollback",
    "Scalar",
    "Scoring",
    "ScoringLimits",
    "Search",
    "Split",
    "StratifiedSplit",
    "Subgroups",
    "Task",
    "TemporalSplit",
    "TrailingSplit",
    "Unseen",
]
