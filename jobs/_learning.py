"""Where a model is trained: in this process while its rows fit, else by the cluster, which a sample here judges.

MLlib always trains on the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.rows import FileRows
from scorelake.training import collect, distributed, mllib, train
from scorelake.training.journal import Journal

if TYPE_CHECKING:
    from scorelake.models import Algorithm, Model
    from scorelake.rows import Rows
    from scorelake.settings import Limits, Settings
    from scorelake.training.dataset import Dataset
    from scorelake.training.fitted import Learner, Learnt


def rows_and_learner(
    spec: Model, rows: Rows, features: list[str], keys: Sequence[str], limits: Limits
) -> tuple[Dataset, Learner, tuple[str, ...]]:
    """What this process sees of `rows`, who learns, and what is to be said of it.

    Beyond `limits.local_matrix_bytes` the cluster learns from all rows, and a sample stays here to judge by.
    """
    dtype = train.matrix_type(spec)
    frame = rows.frame
    found = collect.extent(frame, features, task=spec.task, keys=keys, dtype=dtype)
    limit = limits.local_matrix_bytes
    is_large = found.bytes > limit
    on_cluster = [algorithm for algorithm in spec.algorithms if _is_for_cluster(algorithm, is_large=is_large)]
    notes: list[str] = []
    few = frame
    if on_cluster:
        of_names = "" if len(spec.algorithms) == 1 else f" ({', '.join(algorithm.name for algorithm in on_cluster)})"
        teaching = sum(found.rows.values()) - found.rows["test"]
        notes.append(f"{spec.name}: trained by Spark on {teaching:,} rows{of_names}")
    if is_large and len(on_cluster) == len(spec.algorithms):
        few = collect.sample(frame, found, keys=keys, limit_bytes=limit)
        kept = collect.extent(few, features, task=spec.task, keys=keys, dtype=dtype)
        shown = ", ".join(f"{part} {kept.rows[part]:,} of {found.rows[part]:,}" for part in kept.rows)
        notes.append(f"{spec.name}: judged on a sample that this process can hold: {shown}")
        found = kept
    files = [file.path for file in rows.files] if isinstance(rows, FileRows) and few is frame else ()
    data = collect.collect(few, found, task=spec.task, keys=keys, limit_bytes=limit, dtype=dtype, files=files)
    if not on_cluster:
        return data, train.learn, tuple(notes)

    def learner(one: Model, data: Dataset) -> Learnt:
        if one.algorithm.is_mllib:
            return mllib.learner(frame, keys=keys)(one, data)
        if _is_for_cluster(one.algorithm, is_large=is_large):
            return distributed.learner(rows, workers=limits.training_workers)(one, data)
        return train.learn(one, data)

    return data, learner, tuple(notes)


def progress(settings: Settings, name: str, model_hash: str, version: int) -> Journal | None:
    """Where this training notes how far it is: one that starts again from the same rows and model file goes on."""
    if settings.checkpoints is None:
        return None
    return Journal(Path(settings.checkpoints) / name / f"{model_hash[:16]}-{version}" / "trials.jsonl")


def remembering(learner: Learner, progress: Journal | None) -> Learner:
    """The learner, which in this process goes on from the rounds that a killed training has left."""
    if progress is None or learner is not train.learn:
        return learner
    return partial(train.learn, checkpoints=progress.path.parent)


def _is_for_cluster(algorithm: Algorithm, *, is_large: bool) -> bool:
    """Whether Spark trains it: MLlib always, XGBoost where it is told to or the rows ask for it."""
    if algorithm.name != "xgboost":
        return algorithm.is_mllib
    return algorithm.engine == "spark" or (algorithm.engine == "auto" and is_large)
