"""How good published scores turned out to be, once their labels are in.

One group is one (score date, role, model version): its rows meet in one worker, as two numbers a row, and are judged
by the same metrics as in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorelake.tables import Column, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from scorelake.models import Task

GROUP = ("run_date", "score_date", "role", "model_version")
MEASURED = (
    Column(name="run_date", type="date", comment="label slice: when the labels became known"),
    Column(name="score_date", type="date"),
    Column(name="role", type="string"),
    Column(name="model_version", type="string"),
    Column(name="metric", type="string"),
    Column(name="value", type="double", comment="null when the rows cannot tell, e.g. one class only"),
    Column(name="low", type="double", comment="lower end of the 95 % bootstrap interval"),
    Column(name="high", type="double"),
    Column(name="rows", type="bigint", comment="scored rows with a matured label"),
    Column(name="label_mean", type="double", comment="share of label 1, or mean label"),
    Column(name="score_mean", type="double"),
)


def with_labels(scores: DataFrame, labels: DataFrame, *, keys: Sequence[str]) -> DataFrame:
    """Scores of the nights that `labels` speak of, with `label` and its `run_date`; scores without one are left out.

    A label belongs to (keys, event_timestamp = t), a score to (keys, score_date) with t = score_date + 1 day.
    `labels` has one row a (keys, event_timestamp).
    """
    from pyspark.sql import functions as F

    night = F.date_sub(F.col("event_timestamp").cast("date"), 1).alias("score_date")
    matured = labels.where(F.col("label").isNotNull()).select(*map(quoted, keys), night, "label", "run_date")
    return scores.join(matured, on=[*keys, "score_date"], how="inner")


def performance(judged: DataFrame, *, task: Task, classes: Sequence[str] = (), seed: int = 0) -> DataFrame:
    """MEASURED columns: one row a group and metric. `judged` has GROUP, `label`, `score` and, with classes, each
    `score_<class>`. Rows whose label or score is null or not finite are left out."""
    from pyspark.sql import functions as F

    from scorelake.scoring.answers import escaped

    label = F.col("label")
    if classes:  # the code of a class is its position
        label = F.array_position(F.array(*map(F.lit, classes)), label.cast("string")) - 1
    scores = [f"score_{escaped(name)}" for name in classes] or ["score"]
    numbers = [F.col(quoted(name)).cast("double").alias(f"_{n}") for n, name in enumerate(scores)]
    rows = judged.select(*GROUP, label.cast("double").alias("_label"), *numbers)
    finite = F.lit(True)
    for name in rows.columns[len(GROUP) :]:
        finite = finite & F.col(name).isNotNull() & ~F.isnan(name) & (F.abs(name) != float("inf"))
    schema = ", ".join(column.ddl for column in MEASURED)

    def judge(key: tuple[Any, ...], group: pa.Table) -> pa.Table:
        return _judged(key, group, task=task, seed=seed)

    return rows.where(finite).groupBy(*GROUP).applyInArrow(judge, schema)


def _judged(key: tuple[Any, ...], group: pa.Table, *, task: Task, seed: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from scorelake import metrics

    label = group.column("_label").to_numpy()
    columns = [group.column(name).to_numpy() for name in group.column_names[len(GROUP) + 1 :]]
    score = np.column_stack(columns) if task == "multiclass" else columns[0]
    found = metrics.intervals(task, label, score, seed=seed)
    mean_score = None if task == "multiclass" else float(score.mean())
    rows = [
        [*(part.as_py() for part in key), name, e.value, e.low, e.high, e.rows, float(label.mean()), mean_score]
        for name, e in found.items()
    ]
    types = {"date": pa.date32(), "string": pa.string(), "double": pa.float64(), "bigint": pa.int64()}
    schema = pa.schema([(column.name, types[column.type]) for column in MEASURED])
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
    return pa.table(arrays, schema=schema)
