"""Where a model is trained: in this process while its rows fit, else by the cluster, which a sample here judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scorelake.stores.lake import files_of
from scorelake.training import collect, distributed, train

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.models import Model
    from scorelake.settings import Limits
    from scorelake.training.dataset import Dataset
    from scorelake.training.fitted import Learner


def rows_and_learner(
    spec: Model, rows: DataFrame, features: list[str], keys: Sequence[str], limits: Limits
) -> tuple[Dataset, Learner, tuple[str, ...]]:
    """What this process sees of `rows`, who learns, and what is to be said of it.

    Beyond `limits.local_matrix_bytes` the cluster learns from all rows, and a sample stays here to judge by.
    """
    dtype = train.matrix_type(spec)
    found = collect.extent(rows, features, task=spec.task, keys=keys, dtype=dtype)
    is_large, engine = found.bytes > limits.local_matrix_bytes, spec.algorithm.engine
    if engine == "local" or (engine == "auto" and not (is_large and spec.algorithm.name == "xgboost")):
        limit = limits.local_matrix_bytes
        data = collect.collect(
            rows, found, task=spec.task, keys=keys, limit_bytes=limit, dtype=dtype, files=files_of(rows)
        )
        return data, train.learn, ()
    notes = [f"{spec.name}: trained by Spark on {sum(found.rows.values()) - found.rows['test']:,} rows"]
    few = rows
    if is_large:
        few = collect.sample(rows, found, keys=keys, limit_bytes=limits.local_matrix_bytes)
        kept = collect.extent(few, features, task=spec.task, keys=keys, dtype=dtype)
        shown = ", ".join(f"{part} {kept.rows[part]:,} of {found.rows[part]:,}" for part in kept.rows)
        notes.append(f"{spec.name}: judged on a sample that this process can hold: {shown}")
        found = kept
    data = collect.collect(few, found, task=spec.task, keys=keys, limit_bytes=limits.local_matrix_bytes, dtype=dtype)
    return data, distributed.learner(rows, workers=limits.training_workers), tuple(notes)
