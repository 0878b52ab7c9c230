"""How frames meet a Spark MLlib pipeline: features by position, answers as one array a row.

A pipeline knows its inputs as in0, in1, ...: names of features may hold dots, blanks and backticks, which MLlib's own
parameters do not take. Training and scoring both come through here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorelake.errors import ModelRefused
from scorelake.tables import quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

ANSWERS = "__answers"
"""array<double>: probabilities of the classes in order, or one number; null where a numeric feature is infinite."""

_ROW = "__row"


def inputs(frame: DataFrame, features: Sequence[str]) -> list[Column]:
    """The features of `frame` as a pipeline takes them: texts as they are, anything else as a double."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    types = {column.name: column.dataType for column in frame.schema}
    return [
        (F.col(quoted(name)) if isinstance(types[name], StringType) else F.col(quoted(name)).cast("double")).alias(
            input_name(position)
        )
        for position, name in enumerate(features)
    ]


def input_name(position: int) -> str:
    return f"in{position}"


def answered(model: PipelineModel, frame: DataFrame, features: Sequence[str]) -> DataFrame:
    """`frame`, whatever its columns are called, and ANSWERS."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    whole = F.struct(*(F.col(quoted(name)) for name in frame.columns)).alias(_ROW)
    given = frame.select(whole, *inputs(frame, features))
    found = model.transform(given)
    chances = "probability" in found.columns
    answers = vector_to_array(F.col("probability")) if chances else F.array("prediction")
    numeric = [column.name for column in given.schema.fields[1:] if not isinstance(column.dataType, StringType)]
    is_infinite = F.lit(False)
    for name in numeric:
        is_infinite |= F.coalesce(F.abs(F.col(name)) == float("inf"), F.lit(False))
    return found.select(f"{_ROW}.*", F.when(~is_infinite, answers).alias(ANSWERS))


def ask(model: PipelineModel, rows: pa.Table, features: Sequence[str]) -> np.ndarray[Any, Any]:
    """Shape (rows,), or (rows, classes) for a classifier, of rows in this process; NaN for no answer.

    ModelRefused where no Spark session is active, as in a worker.
    """
    import numpy as np
    from pyspark.sql import SparkSession

    spark = SparkSession.getActiveSession()
    if spark is None:
        raise ModelRefused("a Spark MLlib model answers by its own transform, which needs a Spark session here")
    names = [input_name(position) for position in range(len(features))]
    given = spark.createDataFrame(_plain(rows.select(list(features)).rename_columns(names)))
    found = answered(model, given, names).select(ANSWERS).toArrow().column(ANSWERS).combine_chunks()
    width = len(found.values) // max(1, len(found) - found.null_count) if len(found) else 1
    answers = np.full((len(found), max(1, width)), np.nan)
    answers[found.is_valid().to_numpy(zero_copy_only=False)] = (
        found.flatten().to_numpy(zero_copy_only=False).reshape(-1, max(1, width))
    )
    return answers[:, 0] if width <= 1 else answers


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries as the texts that they stand for: Spark takes no others."""
    import pyarrow as pa

    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in table.schema.types]
    return table.cast(pa.schema(zip(table.column_names, kinds, strict=True)))


def load(folder: str) -> PipelineModel:
    """The pipeline of an MLflow model folder (flavour `spark`), by way of storage that the cluster reads."""
    import mlflow.spark

    model: PipelineModel = mlflow.spark.load_model(folder)
    return model
