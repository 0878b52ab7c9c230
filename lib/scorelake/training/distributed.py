"""XGBoost trained by all workers of a Spark cluster, for sets whose matrix one process cannot hold.

What comes out is the same Booster as from `boosting`, so that nothing behind it knows where it was trained. Workers
start together (Spark's barrier mode), which has traps of its own: they are looked for before anything is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorelake.errors import ConfigError, ScorelakeError, UnfitTrainingSet
from scorelake.models import Model, NumericSteps, Task
from scorelake.tables import quoted
from scorelake.training import boosting
from scorelake.training.dataset import Dataset, Part, names
from scorelake.training.fitted import Floats, Learner, Learnt

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_VALIDATION_ROWS_A_WORKER = 20
"""More workers than this allows would mostly wait for the one that validates."""
_SKLEARN_NAMES = {
    "eta": "learning_rate",
    "lambda": "reg_lambda",
    "alpha": "reg_alpha",
    "min_split_loss": "gamma",
    "seed": "random_state",
}
_REFUSED = re.compile(r"XGBoostError: (?:\[[^]]*\] )?(?:\S+:\d+: )?(.*)")
_FEATURES, _LABEL, _IS_VALIDATION = "features", "label", "is_validation"


def learner(frame: DataFrame, *, workers: int | None = None) -> Learner:
    """A Learner that trains on the train and validation rows of `frame` (features, `label`, `split`), whatever sample
    of them its Dataset holds; of the latter it takes the features and classes.

    `workers` train side by side, by default one a free task slot. Raises ConfigError where Spark cannot start them
    together or the model needs more than XGBoost does by itself, UnfitTrainingSet for rows that cannot teach.
    """

    def learn(spec: Model, data: Dataset) -> Learnt:
        from pyspark.sql import functions as F

        _require_plain(spec, data)
        columns = names(data.features, "number")
        rows = frame.where("split IN ('train', 'validation')").select(
            F.array(*map(_number, columns)).alias(_FEATURES),
            label_of(spec.task, data.classes).alias(_LABEL),
            (frame["split"] == "validation").alias(_IS_VALIDATION),
        )
        watched = _require_labels(rows)
        count = _workers(frame.sparkSession, workers, watched)
        # A worker takes whole partitions of the table: shuffling them evenly costs as much as half of the training.
        return _fit(spec, rows.coalesce(count), columns, len(data.classes), count)

    return learn


def _fit(spec: Model, rows: DataFrame, columns: Sequence[str], classes: int, workers: int) -> Learnt:
    from xgboost.spark import SparkXGBRegressor

    params = boosting.parameters(spec, classes)
    boosting.require_accepted(spec, params, classes)
    del params["nthread"]  # the cores of a task
    stopping = spec.algorithm.early_stopping_rounds
    # The regressor takes any objective as it is; the classifier would count the classes once more.
    trainer = SparkXGBRegressor(
        # As columns of their own they fail on a batch of rows that validates nothing (XGBoost 3.2).
        features_col=_FEATURES,
        label_col=_LABEL,
        validation_indicator_col=_IS_VALIDATION,
        num_workers=workers,
        missing=math.nan,
        verbose=False,
        n_estimators=spec.algorithm.rounds,
        early_stopping_rounds=stopping,
        **{_SKLEARN_NAMES.get(name, name): value for name, value in params.items()},
    )
    try:
        booster: Any = trainer.fit(rows).get_booster()
    except Exception as error:
        # One worker meets the infinite value; the others lose that worker. Whose words come first is chance.
        infinite = _infinite(rows, columns)
        if infinite is not None:
            raise UnfitTrainingSet(infinite) from error
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise
        raise ScorelakeError(f"model {spec.name}: XGBoost refused: {refused[1]}") from error
    booster.feature_names = list(columns)
    rounds = booster.num_boosted_rounds() if stopping is None else booster.best_iteration + 1
    kept = booster[:rounds]

    def predict(part: Part) -> Floats:
        return boosting.predicted(kept, part)

    return Learnt(kept, "xgboost", predict, {"rounds_used": rounds, "workers": workers})


def _require_plain(spec: Model, data: Dataset) -> None:
    if spec.imbalance is not None:
        raise ConfigError(
            f"model {spec.name}: imbalance: XGBoost on Spark does not weigh or draw rows; raise "
            "limits.local_matrix_bytes and set algorithm.engine: local, or leave imbalance out"
        )
    texts = names(data.features, "category")
    if texts or spec.preparation != NumericSteps():
        found = f"features {', '.join(texts)} are strings" if texts else "preprocessing.numeric is declared"
        raise ConfigError(
            f"model {spec.name}: {found}: XGBoost on Spark takes numbers as they are; exclude or encode them in a "
            "feature view, choose a pyspark.ml algorithm, or algorithm.engine: local"
        )


def _workers(spark: SparkSession, asked: int | None, watched: int) -> int:
    """How many workers start together. ConfigError where they never would: Spark then waits without an end."""
    try:
        context = spark.sparkContext
    except Exception as error:
        raise ConfigError("algorithm.engine: spark needs a classic Spark session; Spark Connect has none") from error
    if context.getConf().get("spark.dynamicAllocation.enabled", "false") == "true":
        raise ConfigError(
            "spark.dynamicAllocation.enabled is true: XGBoost's workers start together or not at all; set it to false "
            "for train_model (spark.conf of the environment) and give it executors"
        )
    slots = context.defaultParallelism // int(context.getConf().get("spark.task.cpus", "1"))
    if asked is not None and asked > slots:
        raise ConfigError(f"limits.training_workers = {asked}, but Spark has {slots} free task slots")
    return max(1, min(asked or slots, watched // _VALIDATION_ROWS_A_WORKER))


def _number(name: str) -> Column:
    """As `scorelake.matrix` reads it: by way of a double, null as NaN."""
    from pyspark.sql import functions as F

    return F.coalesce(F.col(quoted(name)).cast("double").cast("float"), F.lit(math.nan).cast("float"))


def label_of(task: Task, classes: Sequence[str]) -> Column:
    """The label as XGBoost takes it; NaN for a class that is not among `classes`."""
    from pyspark.sql import functions as F

    if task != "multiclass":
        return F.col("label").cast("double")
    position = F.array_position(F.array(*map(F.lit, classes)), F.col("label").cast("string")) - 1
    return F.when(position >= 0, position.cast("double")).otherwise(math.nan)


def _require_labels(rows: DataFrame) -> int:
    """Validation rows. UnfitTrainingSet when the labels cannot teach."""
    from pyspark.sql import functions as F

    label, is_validation = F.col(_LABEL), F.col(_IS_VALIDATION)
    of_train = F.when(~is_validation, label)
    found = rows.agg(
        F.count_if(F.isnan(label) | (F.abs(label) == math.inf)).alias("unlabelled"),
        (F.min(of_train) == F.max(of_train)).alias("is_one"),
        F.count_if(is_validation).alias("watched"),
    ).collect()[0]
    require_teaching(found["unlabelled"], is_one=found["is_one"])
    return int(found["watched"])


def require_teaching(unlabelled: int, *, is_one: bool) -> None:
    """UnfitTrainingSet for labels that no model can learn from; `is_one`: those of train are all the same."""
    if unlabelled:
        raise UnfitTrainingSet(f"{unlabelled:,} labels are NaN, infinite or of a class too rare for a sample of train")
    if is_one:
        raise UnfitTrainingSet("train holds one label only; widen its dates, or check the label's SQL")


def _infinite(rows: DataFrame, columns: Sequence[str]) -> str | None:
    """Which features XGBoost will not take, if any; asked only once it has failed."""
    from pyspark.sql import functions as F

    counts = [F.count_if(F.abs(F.col(_FEATURES)[position]) == math.inf) for position in range(len(columns))]
    found = rows.agg(F.array(*counts).alias("infinite")).collect()[0]["infinite"]
    shown = ", ".join(f"{name} ({n:,} rows)" for name, n in zip(columns, found, strict=True) if n)
    return f"infinite values in {shown}; guard the feature's division or logarithm" if shown else None
