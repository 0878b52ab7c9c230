"""How good published scores turned out to be, once their labels are in.

One group is one (score date, role, model version, segment): its rows meet in one worker, as two numbers a row, and
are judged by the same metrics as in training. What was served is the role `served`, whichever versions served it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scorelake.models import Metrics
from scorelake.scoring.figures import CHAMPION, EVERYBODY, GROUP, SERVED, TYPES
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame

    from scorelake.metrics import Estimate, Floats
    from scorelake.models import Task

MOST_SEGMENTS = 50
"""Values of a segment column that are judged apart, the commonest."""


def with_labels(scores: DataFrame, labels: DataFrame, *, keys: Sequence[str]) -> DataFrame:
    """Scores of the nights that `labels` speak of, with `label` and its `run_date`; scores without one are left out.

    A label belongs to (keys, event_timestamp = t), a score to (keys, score_date) with t = score_date + 1 day.
    `labels` has one row a (keys, event_timestamp).
    """
    from pyspark.sql import functions as F

    night = F.date_sub(F.col("event_timestamp").cast("date"), 1).alias("score_date")
    matured = labels.where(F.col("label").isNotNull()).select(*map(quoted, keys), night, "label", "run_date")
    return scores.join(matured, on=[*keys, "score_date"], how="inner")


def performance(
    judged: DataFrame,
    *,
    task: Task,
    classes: Sequence[str] = (),
    segments: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
    how: Metrics | None = None,
) -> DataFrame:
    """MEASURED columns of kinds metric and bucket: every metric of each group.

    `judged` has run_date, score_date, role, model_version, `served`, `label`, `score` and, with classes, each
    `score_<class>`; optional `bucket`. `segments` are the values of its columns that are judged apart. Rows whose
    label or score is null or not finite are left out.
    """
    from pyspark.sql import functions as F

    bucket = F.col("bucket").cast("int") if "bucket" in judged.columns else F.lit(None).cast("int")
    numbers, is_finite = _numbers(judged, classes)
    rows = judged.where(is_finite).select(
        "run_date", "score_date", _roles(), "model_version", _places(segments or {}), bucket.alias("_bucket"), *numbers
    )
    exploded = rows.withColumn("role", F.explode("role")).withColumn("segment", F.explode("segment"))
    is_served = F.col("role") == SERVED
    version = F.when(is_served, F.lit(SERVED)).otherwise(F.col("model_version"))
    grouped = exploded.withColumn("_version", version).groupBy("run_date", "score_date", "role", "_version", "segment")
    how = how or Metrics()

    def judge(key: tuple[Any, ...], group: pa.Table) -> pa.Table:
        return _judged(key, group, task=task, seed=seed, how=how)

    return grouped.applyInArrow(judge, _schema())


def gains(
    judged: DataFrame,
    *,
    keys: Sequence[str],
    task: Task,
    classes: Sequence[str] = (),
    seed: int = 0,
    how: Metrics | None = None,
) -> DataFrame:
    """MEASURED columns of kind gain: every other role against the champion, on the entities that both scored.

    Both are judged on the same resamples, so that the interval is that of the difference.
    """
    from pyspark.sql import functions as F

    numbers, is_finite = _numbers(judged, classes)
    rows = judged.where(is_finite).select(
        "run_date", "score_date", "role", "model_version", *map(quoted, keys), *numbers
    )
    scores = [name for name in rows.columns if name.startswith("_score")]
    champion = rows.where(F.col("role") == CHAMPION).select(
        "score_date", *map(quoted, keys), *(F.col(name).alias(f"_other{name}") for name in scores)
    )
    others = rows.where(F.col("role") != CHAMPION)
    pairs = others.join(champion, on=[*keys, "score_date"], how="inner").drop(*keys)
    pairs = pairs.withColumn("segment", F.lit(EVERYBODY))
    how = how or Metrics()

    def compare(key: tuple[Any, ...], group: pa.Table) -> pa.Table:
        return _compared(key, group, task=task, seed=seed, how=how)

    return pairs.groupBy(*GROUP).applyInArrow(compare, _schema())


def common_values(judged: DataFrame, columns: Sequence[str]) -> dict[str, list[str]]:
    """The commonest values of each column as text, MOST_SEGMENTS at most; ties by text."""
    from pyspark.sql import functions as F

    found = {}
    for name in columns:
        counted = judged.groupBy(F.col(quoted(name)).cast("string").alias("text")).count()
        top = counted.where("text IS NOT NULL").orderBy(F.desc("count"), "text").limit(MOST_SEGMENTS)
        found[name] = [row["text"] for row in top.collect()]
    return found


# ------------------------------------------------------------------ columns


def _schema() -> str:
    return ", ".join(f"`{name}` {type_}" for name, type_ in TYPES.items())


def _roles() -> SparkColumn:
    """The roles that a row counts for: its own and, if it was served, `served`."""
    from pyspark.sql import functions as F

    return F.when(F.col("served"), F.array("role", F.lit(SERVED))).otherwise(F.array("role")).alias("role")


def _places(segments: Mapping[str, Sequence[str]]) -> SparkColumn:
    """The segments that a row belongs to: everybody, and its value of each column when that is judged apart."""
    from pyspark.sql import functions as F

    own = []
    for name, values in segments.items():
        text = F.col(quoted(name)).cast("string")
        own.append(F.when(text.isin(*values), F.concat(F.lit(f"{name}="), text)))
    return F.array_compact(F.array(F.lit(EVERYBODY), *own)).alias("segment")


def _numbers(judged: DataFrame, classes: Sequence[str]) -> tuple[list[SparkColumn], SparkColumn]:
    """`_label` and `_score<n>` as doubles, and whether all of them are numbers."""
    from pyspark.sql import functions as F

    from scorelake.scoring.answers import escaped

    label = F.col("label")
    if classes:  # the code of a class is its position
        label = F.nullif(F.array_position(F.array(*map(F.lit, classes)), label.cast("string")), F.lit(0)) - 1
    names = [f"score_{escaped(name)}" for name in classes] or ["score"]
    values = [label.cast("double"), *(F.col(quoted(name)).cast("double") for name in names)]
    is_finite = F.lit(True)
    for value in values:
        is_finite = is_finite & value.isNotNull() & ~F.isnan(value) & (F.abs(value) != float("inf"))
    named = [value.alias("_label" if n == 0 else f"_score{n}") for n, value in enumerate(values)]
    return named, is_finite


# ------------------------------------------------------------------ inside a worker


def _judged(key: tuple[Any, ...], group: pa.Table, *, task: Task, seed: int, how: Metrics) -> pa.Table:
    from scorelake import metrics

    label, score = _in_order(group.column("_label").to_numpy(), _scores(group, "_score", task))
    run_date, score_date, role, _, segment = (part.as_py() for part in key)
    versions = ",".join(sorted(set(group.column("model_version").to_pylist())))
    found = metrics.intervals(task, label, score, seed=seed, rounds=how.bootstrap, confidence=how.confidence)
    place = [run_date, score_date, role, versions]
    rows = [_row([*place, segment, "metric", name], estimate, label, score) for name, estimate in found.items()]
    if segment == EVERYBODY and task != "multiclass":
        rows += _bucket_rows(place, group, task)
    return _table(rows)


def _bucket_rows(place: list[Any], group: pa.Table, task: Task) -> list[dict[str, Any]]:
    """Lift of each bucket: its mean label over that of all. With the mean score beside it this is the calibration."""
    import numpy as np

    from scorelake.metrics import Estimate

    buckets = group.column("_bucket").to_numpy(zero_copy_only=False)
    label, score = group.column("_label").to_numpy(), _scores(group, "_score", task)
    overall, rows = float(label.mean()), []
    for bucket in np.unique(buckets[~np.isnan(buckets.astype(np.float64))]):
        inside = buckets == bucket
        lift = float(label[inside].mean()) / overall if overall else None
        estimate = Estimate(lift, None, None, int(inside.sum()))
        rows.append(_row([*place, f"bucket={int(bucket)}", "bucket", "lift"], estimate, label[inside], score[inside]))
    return rows


def _compared(key: tuple[Any, ...], group: pa.Table, *, task: Task, seed: int, how: Metrics) -> pa.Table:
    from scorelake import metrics

    scores = _scores(group, "_score", task), _scores(group, "_other_score", task)
    label, score, other = _in_order(group.column("_label").to_numpy(), *scores)
    found = metrics.gains(task, label, score, other, seed=seed, rounds=how.bootstrap, confidence=how.confidence)
    place = [part.as_py() for part in key]
    return _table([_row([*place, "gain", name], estimate, label, score) for name, estimate in found.items()])


def _scores(group: pa.Table, prefix: str, task: Task) -> Floats:
    import numpy as np

    columns = [group.column(name).to_numpy() for name in group.column_names if name.startswith(prefix)]
    return np.column_stack(columns) if task == "multiclass" else columns[0]


def _in_order(label: Floats, *scores: Floats) -> tuple[Floats, ...]:
    """Labels and scores in an order of their own: rows arrive in another one in every run, and resamples draw them by
    position, so that intervals would differ."""
    import numpy as np

    columns = [column for score in scores for column in np.atleast_2d(score.T)]
    order = np.lexsort([label, *columns])
    return label[order], *(score[order] for score in scores)


def _row(place: list[Any], estimate: Estimate, label: Floats, score: Floats) -> dict[str, Any]:
    names = [*GROUP, "kind", "metric"]
    told = dict(zip(names, place, strict=True)) | {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    means = {"label_mean": float(label.mean()), "score_mean": None if score.ndim == 2 else float(score.mean())}
    return told | {"rows": estimate.rows} | means


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    types = {
        "date": pa.date32(), "string": pa.string(), "double": pa.float64(), "bigint": pa.int64(), "int": pa.int32()
    }  # fmt: skip
    return pa.Table.from_pylist(rows, pa.schema([(name, types[type_]) for name, type_ in TYPES.items()]))
