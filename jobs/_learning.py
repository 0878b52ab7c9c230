"""Where a model is trained: in this process while its rows fit, else by the cluster, which a sample here judges.

MLlib always trains on the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scorelake.stores.lake import files_of
from scorelake.training import collect, distributed, mllib, train

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
    limit, engine = limits.local_matrix_bytes, spec.algorithm.engine
    is_large = found.bytes > limit
    can_spark = spec.algorithm.name == "xgboost" or spec.algorithm.is_mllib
    is_local = not spec.algorithm.is_mllib and (
        engine == "local" or (engine == "auto" and not (is_large and can_spark))
    )
    learner: Learner = train.learn
    notes: list[str] = []
    few = rows
    if not is_local:
        learner = (
            mllib.learner(rows, keys=keys)
            if spec.algorithm.is_mllib
            else distributed.learner(rows, workers=limits.training_workers)
        )
        notes.append(f"{spec.name}: trained by Spark on {sum(found.rows.values()) - found.rows['test']:,} rows")
    if is_large and not is_local:
        few = collect.sample(rows, found, keys=keys, limit_bytes=limit)
        kept = collect.extent(few, features, task=spec.task, keys=keys, dtype=dtype)
        shown = ", ".join(f"{part} {kept.rows[part]:,} of {found.rows[part]:,}" for part in kept.rows)
        notes.append(f"{spec.name}: judged on a sample that this process can hold: {shown}")
        found = kept
    files = files_of(rows) if few is rows else ()
    data = collect.collect(few, found, task=spec.task, keys=keys, limit_bytes=limit, dtype=dtype, files=files)
    return data, learner, tuple(notes)
