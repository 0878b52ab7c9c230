"""XGBoost trained by all workers of a Spark cluster, for sets whose matrix one process cannot hold.

Workers start together (Spark's barrier mode), each takes its share of the rows into a matrix of its own, and XGBoost
sums what they see of it in every round. What comes out is the same Booster as from `boosting`, so that nothing behind
it knows where it was trained. `xgboost.spark` does the same by way of pandas and judges train again in every round,
for half as much CPU again (`bench training`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import xgboost

from scorelake.errors import ConfigError, ScorelakeError
from scorelake.models import Model, NumericSteps
from scorelake.training import boosting, collective, imbalance
from scorelake.training.dataset import Dataset, Part, names
from scorelake.training.fitted import Floats, Learner, Learnt

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.rows import Rows

_REFUSED = re.compile(r"XGBoostError: (?:\[[^]]*\] )?(?:\S+:\d+: )?(.*)")


def learner(rows: Rows, *, workers: int | None = None) -> Learner:
    """A Learner that trains on the train and validation rows of `rows` (features, `label`, `split`), whatever sample
    of them its Dataset holds; of the latter it takes the features and classes.

    `workers` train side by side, by default one a free task slot. Raises ConfigError where Spark cannot start them
    together or the model needs more than XGBoost does by itself, UnfitTrainingSet for rows that cannot teach.
    """

    def learn(spec: Model, data: Dataset) -> Learnt:
        _require_plain(spec, data)
        params = boosting.parameters(spec, len(data.classes))
        boosting.require_accepted(spec, params, len(data.classes))
        spark = rows.frame.sparkSession
        params["nthread"] = _cores_of_a_task(spark)
        count = _workers(spark, workers)
        columns = names(data.features, "number")
        asked = collective.Asked(spec, tuple(columns), data.classes, params)
        try:
            answers = rows.map(asked.run, [*columns, "label", "split"], collective.ANSWER, together=count)
            # Spark begins a barrier stage anew when a worker dies, but not the last stage of a job.
            [answer] = answers.repartition(1).collect()
        except Exception as error:
            refused = _REFUSED.search(str(error))
            if refused is None:
                raise
            raise ScorelakeError(f"model {spec.name}: XGBoost refused: {refused[1]}") from error
        told = json.loads(answer["told"])
        facts = collective.Facts(**told["facts"])
        facts.require(columns)
        return _learnt(spec, columns, bytearray(answer["trees"]), facts, used=told["used"], workers=told["workers"])

    return learn


def _learnt(
    spec: Model, columns: list[str], trees: bytearray, facts: collective.Facts, *, used: int, workers: int
) -> Learnt:
    booster = xgboost.Booster()
    booster.load_model(trees)
    booster.feature_names = columns
    kept = booster[:used]
    if spec.imbalance is not None:
        imbalance.correct(kept, facts.weighing(spec.imbalance).shift)

    def predict(part: Part) -> Floats:
        return boosting.predicted(kept, part)

    return Learnt(kept, "xgboost", predict, {"rounds_used": used, "workers": workers})


def _require_plain(spec: Model, data: Dataset) -> None:
    if spec.imbalance is not None and spec.imbalance.sample is not None:
        raise ConfigError(
            f"model {spec.name}: imbalance.sample: Spark's workers draw no rows; let them weigh (imbalance.weigh), or "
            "raise limits.local_matrix_bytes and set algorithm.engine: local"
        )
    texts = names(data.features, "category")
    if texts or spec.preparation != NumericSteps():
        found = f"features {', '.join(texts)} are strings" if texts else "preprocessing.numeric is declared"
        raise ConfigError(
            f"model {spec.name}: {found}: XGBoost on Spark takes numbers as they are; exclude or encode them in a "
            "feature view, choose a pyspark.ml algorithm, or algorithm.engine: local"
        )


def _cores_of_a_task(spark: SparkSession) -> int:
    return int(spark.conf.get("spark.task.cpus", "1") or 1)


def _workers(spark: SparkSession, asked: int | None) -> int:
    """How many workers start together. ConfigError where they never would: Spark then waits without an end."""
    if spark.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        raise ConfigError(
            "spark.dynamicAllocation.enabled is true: XGBoost's workers start together or not at all; set it to false "
            "for train_model (spark.conf of the environment) and give it executors"
        )
    slots = _slots(spark)
    if slots is None and asked is None:
        raise ConfigError(
            "Spark Connect does not say how many tasks run at once, and XGBoost's workers start together or not at "
            "all; set limits.training_workers"
        )
    if slots is not None and asked is not None and asked > slots:
        raise ConfigError(f"limits.training_workers = {asked}, but Spark has {slots} free task slots")
    return asked or max(1, slots or 1)


def _slots(spark: SparkSession) -> int | None:
    """Tasks that run at once; None where the session does not tell (Spark Connect)."""
    from pyspark.errors import PySparkException

    try:
        return spark.sparkContext.defaultParallelism // _cores_of_a_task(spark)
    except PySparkException:
        return None
