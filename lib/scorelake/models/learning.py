"""What a model learns and from what: task, features, split, preprocessing, algorithm."""

from __future__ import annotations

from datetime import date, timedelta
from math import prod
from typing import Annotated, Literal

from pydantic import Field, model_validator

from scorelake.dates import Duration
from scorelake.strict_yaml import Definition
from scorelake.tables import Share

Task = Literal["binary", "multiclass", "regression"]

_CLASSIFIERS: tuple[Task, ...] = ("binary", "multiclass")
_REGRESSORS: tuple[Task, ...] = ("regression",)
ALGORITHMS: dict[str, tuple[Task, ...]] = {
    "xgboost": ("binary", "multiclass", "regression"),
    "sklearn.linear_model.LogisticRegression": _CLASSIFIERS,
    "sklearn.ensemble.RandomForestClassifier": _CLASSIFIERS,
    "sklearn.ensemble.ExtraTreesClassifier": _CLASSIFIERS,
    "sklearn.ensemble.HistGradientBoostingClassifier": _CLASSIFIERS,
    "sklearn.tree.DecisionTreeClassifier": _CLASSIFIERS,
    "sklearn.dummy.DummyClassifier": _CLASSIFIERS,
    "sklearn.linear_model.LinearRegression": _REGRESSORS,
    "sklearn.linear_model.Ridge": _REGRESSORS,
    "sklearn.linear_model.Lasso": _REGRESSORS,
    "sklearn.linear_model.ElasticNet": _REGRESSORS,
    "sklearn.ensemble.RandomForestRegressor": _REGRESSORS,
    "sklearn.ensemble.ExtraTreesRegressor": _REGRESSORS,
    "sklearn.ensemble.HistGradientBoostingRegressor": _REGRESSORS,
    "sklearn.tree.DecisionTreeRegressor": _REGRESSORS,
    "sklearn.dummy.DummyRegressor": _REGRESSORS,
    "pyspark.ml.classification.LogisticRegression": _CLASSIFIERS,
    "pyspark.ml.classification.RandomForestClassifier": _CLASSIFIERS,
    "pyspark.ml.classification.GBTClassifier": ("binary",),
    "pyspark.ml.regression.LinearRegression": _REGRESSORS,
    "pyspark.ml.regression.RandomForestRegressor": _REGRESSORS,
    "pyspark.ml.regression.GBTRegressor": _REGRESSORS,
}
"""What may be trained, and for which tasks. Each can be saved without pickle."""


class FeatureChoice(Definition):
    """Which features of the service enter the model; by default all of them."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> FeatureChoice:
        if self.only and self.exclude:
            raise ValueError("expected either only or exclude")
        return self

    def choose(self, available: list[str]) -> list[str]:
        """The chosen ones of `available`, in its order; ValueError names features that do not exist."""
        unknown = sorted({*self.only, *self.exclude} - set(available))
        if unknown:
            raise ValueError(f"no such feature: {', '.join(unknown)}; there are: {', '.join(available)}")
        return [name for name in available if name not in self.exclude and (not self.only or name in self.only)]


class Unseen(Definition):
    """Entities kept out of train and validation for good: a hash of `keys` and the model's seed decides."""

    keys: tuple[str, ...] = Field(min_length=1, description="Columns of the label table, e.g. customer_id.")
    share: Share = Field(default=0.2, gt=0, lt=1)


class ByTime(Definition):
    """Train on the past, judge on the future.

    A row whose label window [t, t + gap) reaches into the next part belongs to no part. With `unseen`, metrics of test
    are also reported apart for entities that train knows (test_seen) and for those that it does not (test_unseen).
    """

    gap: Duration | None = Field(default=None, description="At least the label's horizon, which is the default.")
    unseen: Unseen | None = None


class TemporalSplit(ByTime):
    """Parts that begin on fixed run dates; t = D+1 00:00 as everywhere."""

    kind: Literal["temporal"]
    validation_from: date
    test_from: date

    @model_validator(mode="after")
    def _forwards(self) -> TemporalSplit:
        if self.test_from <= self.validation_from:
            raise ValueError(f"test_from ({self.test_from}) must be after validation_from ({self.validation_from})")
        return self


class TrailingSplit(ByTime):
    """Parts that move with the run date, for models that are trained again and again: test are the rows of the newest
    `test` whose labels can be known by then, validation those of the `validation` before it, both without the gap."""

    kind: Literal["trailing"]
    validation: Duration
    test: Duration

    @model_validator(mode="after")
    def _some(self) -> TrailingSplit:
        if self.validation <= timedelta(0) or self.test <= timedelta(0):
            raise ValueError("validation and test: expected durations above 0, such as 28 days")
        return self


class _SharedOut(Definition):
    keys: tuple[str, ...] = Field(min_length=1, description="Columns of the label table, e.g. customer_id.")
    validation: Share = 0.2
    test: Share = 0.2

    @model_validator(mode="after")
    def _room_for_train(self) -> _SharedOut:
        if not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1):
            raise ValueError("validation and test must be above 0 and leave room for train")
        return self


class EntitySplit(_SharedOut):
    """Every entity belongs to one part for good: a hash of `keys` and the model's seed decides."""

    kind: Literal["entity"]


class StratifiedSplit(_SharedOut):
    """As `entity`, and each part holds the same share of each label: exact to one entity, so that rare labels are in
    all of them. An entity of several labels counts as the greatest of them."""

    kind: Literal["stratified"]


Split = Annotated[TemporalSplit | TrailingSplit | EntitySplit | StratifiedSplit, Field(discriminator="kind")]


class Folds(Definition):
    """Train cut into parts that are judged in turn by models of the others: metrics with their mean and spread, and
    what a search or `compare` goes by, instead of validation. Test stays apart.

    rolling: blocks of time, each judged by the past. grouped: whole entities. stratified: whole entities, with equal
    shares of each label.
    """

    kind: Literal["rolling", "grouped", "stratified"]
    count: int = Field(default=5, ge=2, le=20)
    gap: Duration | None = Field(
        default=None, description="With rolling, which needs it: at least the label's horizon."
    )


# ------------------------------------------------------------------ preprocessing, fitted on train only


class NumericSteps(Definition):
    """In this order: winsorise, impute, scale; and a 0/1 column beside each feature that had nulls in train."""

    winsorise: Share = Field(default=0.0, lt=0.5, description="Share cut off at each end, by quantiles of train.")
    impute: Literal["none", "mean", "median", "most_frequent", "constant", "knn", "iterative"] = Field(
        default="none",
        description="knn: mean of the nearest rows of train, told by distance, so that scale comes first; these rows "
        "become part of the model's file. iterative: each feature by a regression on the others.",
    )
    fill: float = Field(default=0.0, description="The constant.")
    neighbours: int = Field(default=5, ge=1, le=100, description="With impute: knn.")
    flag_missing: bool = False
    scale: Literal["none", "standard", "minmax", "robust"] = "none"


class CategoricalSteps(Definition):
    """Null is a category of its own; one unseen in train, or rarer than `min_rows` there, counts as "other"."""

    encode: Literal["one_hot", "ordinal", "target", "hash"] = Field(
        default="one_hot",
        description="target: mean label, out of fold, with the prior for unseen categories. hash: the place of a text "
        "among `hash_columns` follows from the text alone (MurmurHash3): for features of very many texts.",
    )
    min_rows: int = Field(default=20, ge=1, description="Of one_hot and ordinal.")
    target_folds: Annotated[int, Field(ge=2, le=100)] | Literal["leave_one_out"] = Field(
        default=5, description="Of target: a row of train is encoded by the labels of the other folds, or rows."
    )
    hash_columns: int = Field(default=64, ge=2, le=4096, description="Of hash, for each feature.")

    @model_validator(mode="after")
    def _own_words(self) -> CategoricalSteps:
        for word, encode in {"target_folds": "target", "hash_columns": "hash"}.items():
            if word in self.model_fields_set and self.encode != encode:
                raise ValueError(f"{word} belongs to encode: {encode}, found {self.encode}")
        return self


MLLIB_ENCODINGS = ("one_hot", "ordinal", "hash")
"""Encodings that Spark MLlib has a stage for."""
MLLIB_IMPUTERS = ("mean", "median", "most_frequent", "constant")


class Preprocessing(Definition):
    numeric: NumericSteps = NumericSteps()
    categorical: CategoricalSteps | None = Field(default=None, description="Needed as soon as a feature is a string.")


class Imbalance(Definition):
    """Rare classes heard more in training; probabilities are put back to the shares of train afterwards, exactly.

    For xgboost (on Spark: `weigh` alone) and the classifiers of scikit-learn, by their intercept or in their leaves.
    Only train is weighed or drawn; metrics are those of the rows as they are.
    """

    weigh: Literal["balanced"] | Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="balanced: each class weighs the same in sum; a number: a positive weighs so many."
    )
    sample: Literal["under", "over"] | None = Field(
        default=None, description="Leave negatives out, or take positives several times (binary)."
    )
    share: Share = Field(default=0.5, gt=0, lt=1, description="With `sample`: of positives in train, afterwards.")

    @model_validator(mode="after")
    def _one_way(self) -> Imbalance:
        if (self.weigh is None) == (self.sample is None):
            raise ValueError("expected either weigh or sample")
        if self.sample is None and "share" in self.model_fields_set:
            raise ValueError("share belongs to sample")
        return self


CORRECTED = (
    "xgboost",
    *(
        name
        for name, tasks in ALGORITHMS.items()
        if name.startswith("sklearn.") and "binary" in tasks and "dummy" not in name
    ),
)
"""Algorithms whose probabilities can be put back after classes were weighed or drawn."""

Scalar = bool | int | float | str | None


class Range(Definition):
    """Numbers from low to high, both inclusive; whole ones when both bounds are; even in the logarithm with `log`."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _rising(self) -> Range:
        if self.high <= self.low or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high (above 0 with log), found {self.low} to {self.high}")
        return self


class Search(Definition):
    """Parameters tried on validation by the headline metric; what wins replaces `algorithm.params`.

    random: `trials` draws from lists and ranges. grid: every combination of lists. bayesian: each draw learns from
    those before (optuna's tree-structured Parzen estimator). The same seed tries the same, unless `minutes` ends it.
    """

    method: Literal["random", "grid", "bayesian"] = "random"
    trials: int = Field(default=20, ge=2, le=1000, description="How many draws; a grid may not hold more.")
    minutes: float | None = Field(default=None, gt=0, description="No trial begins after so long, whatever `trials`.")
    patience: int | None = Field(
        default=None, ge=2, description="Stop after so many trials in a row that were no better than the best."
    )
    params: dict[str, Range | tuple[Scalar, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _finite(self) -> Search:
        lists = [values for values in self.params.values() if isinstance(values, tuple)]
        if not all(lists):
            raise ValueError("params: a list of values is empty")
        if self.method == "grid":
            if len(lists) < len(self.params):
                raise ValueError("a grid needs lists; ranges need method: random or bayesian")
            if (size := prod(map(len, lists))) > self.trials:
                raise ValueError(f"the grid holds {size} combinations, more than trials: {self.trials}")
        return self


class Algorithm(Definition):
    """`xgboost`, or the class path of a scikit-learn or Spark MLlib estimator from the allow-list."""

    name: str
    params: dict[str, Scalar] = Field(
        default={}, description="In the library's own words, e.g. max_depth: 6; seeds and threads are set for you."
    )
    rounds: int = Field(default=300, ge=1, description="Trees at most (xgboost).")
    early_stopping_rounds: int | None = Field(
        default=30, ge=1, description="Stop when validation has not improved for so many rounds (xgboost)."
    )

    search: Search | None = None
    engine: Literal["auto", "local", "spark"] = Field(
        default="auto",
        description="local: in one process, up to limits.local_matrix_bytes; spark: by the cluster (xgboost); auto: "
        "local while the rows fit. pyspark.ml algorithms are always trained by the cluster.",
    )

    @property
    def is_mllib(self) -> bool:
        return self.name.startswith("pyspark.ml.")

    @model_validator(mode="after")
    def _allowed(self) -> Algorithm:
        if self.name not in ALGORITHMS:
            raise ValueError(f"algorithm {self.name!r} is not on the allow-list: {', '.join(ALGORITHMS)}")
        own = {"seed", "random_state", "n_jobs", "nthread", "objective", "num_class", "eval_metric", "verbosity"}
        taken = sorted(own & {*self.params, *(self.search.params if self.search else ())})
        if taken:
            raise ValueError(f"params: {', '.join(taken)} follows from the model file (task, metrics, seed)")
        only_boosting = sorted({"rounds", "early_stopping_rounds"} & self.model_fields_set)
        if self.name != "xgboost" and only_boosting:
            raise ValueError(f"{', '.join(only_boosting)}: only xgboost has rounds; use params")
        if self.engine == "local" and self.is_mllib:
            raise ValueError(f"engine: local cannot train {self.name}: MLlib runs on the cluster; leave engine out")
        if self.engine == "spark" and self.name != "xgboost" and not self.is_mllib:
            raise ValueError(f"engine: spark cannot train {self.name}: scikit-learn runs in one process")
        return self
