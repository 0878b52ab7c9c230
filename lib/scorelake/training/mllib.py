"""Spark MLlib algorithms: one pipeline of preparation and estimator, trained where the rows are."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorelake import mllib
from scorelake.errors import ConfigError, ScorelakeError
from scorelake.models import Model, Task
from scorelake.tables import quoted
from scorelake.training import checks, stages
from scorelake.training.dataset import Dataset, Part
from scorelake.training.fitted import Floats, Learner, Learnt
from scorelake.training.parameters import require_known

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

_PARTITION_ROWS = 25_000
_LABEL = "label"


def learner(frame: DataFrame, *, keys: Sequence[str]) -> Learner:
    """A Learner that trains on all train rows of `frame` (features, `label`, `split`, `event_timestamp`, `keys`),
    whatever sample of them its Dataset holds; of the latter it takes the features and classes.

    Rows are dealt out by their keys and sorted, so that the same rows and seed give the same model, whatever the
    layout of the table and the size of the cluster. ConfigError for parameters that do not exist, UnfitTrainingSet
    for rows that cannot teach.
    """

    def learn(spec: Model, data: Dataset) -> Learnt:
        train = frame.where("split = 'train'")
        dealt = train.repartition(_partitions(train.count()), *map(quoted, keys)).sortWithinPartitions(
            *map(quoted, keys), "event_timestamp"
        )
        names = [feature.name for feature in data.features]
        label = _label_of(spec.task, data.classes).alias(_LABEL)
        return _fit(spec, data, dealt.select(*mllib.inputs(dealt, names), label))

    return learn


def learn(spec: Model, data: Dataset) -> Learnt:
    """As `learner`, from the rows that a Dataset holds."""
    from pyspark.sql import SparkSession

    spark = SparkSession.active()
    rows = _table(data.train).append_column(_LABEL, [data.train.label])
    return _fit(spec, data, spark.createDataFrame(rows).repartition(_partitions(len(data.train))))


def _label_of(task: Task, classes: Sequence[str]) -> Column:
    """The label as MLlib takes it; NaN for a class that is not among `classes`."""
    from pyspark.sql import functions as F

    if task != "multiclass":
        return F.col("label").cast("double")
    position = F.array_position(F.array(*map(F.lit, classes)), F.col("label").cast("string")) - 1
    return F.when(position >= 0, position.cast("double")).otherwise(float("nan"))


def _partitions(rows: int) -> int:
    """A number that depends on the rows alone, since sums and draws follow the partitions."""
    return max(1, -(-rows // _PARTITION_ROWS))


def _fit(spec: Model, data: Dataset, train: DataFrame) -> Learnt:
    from pyspark.errors import IllegalArgumentException
    from pyspark.ml import Pipeline

    estimator = _estimator(spec)
    kinds = [feature.kind for feature in data.features]
    numbers, texts = stages.named(kinds, "number"), stages.named(kinds, "category")
    categorical = spec.preprocessing.categorical if spec.preprocessing else None
    if texts and categorical is None:
        named = ", ".join(feature.name for feature in data.features if feature.kind == "category")
        raise ConfigError(
            f"model {spec.name}: features {named} are strings: declare preprocessing.categorical, or exclude them"
        )
    train = train.persist()
    try:
        _require(train, data, numbers)
        found = stages.seen(train, numbers, texts, spec.preparation, categorical)
        steps = stages.stages(numbers, texts, spec.preparation, categorical, found)
        model = _without_summary(Pipeline(stages=[*steps, estimator]).fit(train))
    except IllegalArgumentException as error:
        raise ScorelakeError(f"model {spec.name}: MLlib refused: {str(error).splitlines()[0]}") from error
    finally:
        train.unpersist()

    def predict(part: Part) -> Floats:
        return predicted(model, part, spec)

    columns = stages.width(numbers, texts, spec.preparation, categorical, found)
    return Learnt(model, "spark", predict, {"columns_prepared": columns})


def _without_summary(model: PipelineModel) -> PipelineModel:
    """A model that Spark can send to its workers. What it keeps of its training holds the session, and a session that
    has ever observed a query is not serializable; a model that was loaded has no summary either.
    """
    from pyspark.sql import SparkSession

    for stage in model.stages:
        if getattr(stage, "hasSummary", False):
            stage._java_obj.setSummary(SparkSession.active()._jvm.scala.Option.empty())  # type: ignore[attr-defined,union-attr]
    return model


def predicted(model: PipelineModel, part: Part, spec: Model) -> Floats:
    """Scores of a part by the pipeline's own transform."""
    names = [mllib.input_name(position) for position in range(len(part.features))]
    answers = mllib.ask(model, _table(part), names)
    return answers[:, 1] if spec.task == "binary" and answers.ndim == 2 else answers


def _table(part: Part) -> pa.Table:
    """The features under the names of a pipeline's inputs; numbers as doubles, null texts as null."""
    import pyarrow as pa

    columns: list[pa.Array] = []
    numbers = iter(range(part.matrix.shape[1]))
    for feature in part.features:
        if feature.kind == "number":
            columns.append(pa.array(part.matrix[:, next(numbers)].astype("float64")))
        else:
            columns.append(pa.array(part.categories[feature.name], pa.string()))
    return pa.table(columns, names=[mllib.input_name(position) for position in range(len(columns))])


def _estimator(spec: Model) -> Any:
    """The estimator with its parameters and seed. ConfigError for a parameter that it does not have or take."""
    module, _, name = spec.algorithm.name.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    known = {param.name for param in kind().params}
    open_to_all = sorted(param for param in known if not param.endswith("Col"))
    require_known(spec, open_to_all, of=name)
    own = {"seed": spec.seed} if "seed" in known else {}
    try:
        return kind(**spec.algorithm.params, **own, featuresCol="features", labelCol=_LABEL)
    except TypeError as error:
        raise ConfigError(f"model {spec.name}: algorithm.params: {error}") from error


def _require(train: DataFrame, data: Dataset, numbers: Sequence[str]) -> None:
    """UnfitTrainingSet when the rows cannot teach; messages name features and counts."""
    from pyspark.sql import functions as F

    label = F.col(_LABEL)
    found = train.agg(
        F.count_if(F.isnan(label) | _is_infinite(label)).alias("unlabelled"),
        (F.min(label) == F.max(label)).alias("is_one"),
        *(F.count_if(_is_infinite(F.col(name))).alias(name) for name in numbers),
    ).collect()[0]
    named = {feature.name: mllib.input_name(position) for position, feature in enumerate(data.features)}
    infinite = {feature: found[name] for feature, name in named.items() if name in numbers}
    checks.require_teaching(found["unlabelled"], is_one=found["is_one"], infinite=infinite)


def _is_infinite(column: Column) -> Column:
    from pyspark.sql import functions as F

    return F.abs(column) == float("inf")
