"""Challenger and champion on the same matured rows, as promote_model lets them meet."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorelake.errors import MissingInput, ScorelakeError
from scorelake.scoring.package import pack, predictor
from scorelake.stores.lake import Lake
from scorelake.tables import quoted
from scorelake.training import gate
from scorelake.training.gate import Contender, Contest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from scorelake.decisions import Decision
    from scorelake.definitions import Definitions
    from scorelake.stores.model_registry import ModelRegistry, Pinned


def judged(
    lake: Lake,
    registry: ModelRegistry,
    definitions: Definitions,
    name: str,
    day: date,
    *,
    challenger: str,
    champion: str | None,
    limit_bytes: int,
) -> tuple[Decision, ...]:
    """What the gate says of version `challenger` beside version `champion`, on the test part of the run date."""
    spec = definitions.models[name]
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        models = [registry.pin(name, version, Path(folder)) for version in (challenger, champion) if version]
        keys = list(definitions.labels[spec.label].keys)
        rows = _test_rows(lake, name, day, keys, models, limit_bytes)
        contest = Contest(
            label=_label(rows, models[0]),
            challenger=_contender(rows, models[0]),
            champion=_contender(rows, models[1]) if champion is not None else None,
            entity=rows.column("__entity").to_numpy(),
        )
    return gate.judge(spec, contest, day)


def _test_rows(
    lake: Lake, name: str, day: date, keys: list[str], models: list[Pinned], limit_bytes: int
) -> pa.RecordBatch:
    """Label, entity and all inputs of the test part, in an order that depends on the rows alone.

    They meet on the driver, bounded by limits.local_matrix_bytes as training is.
    """
    from pyspark.sql import functions as F

    rows = lake.read_slices(f"training.{name}", [day]).where("split = 'test' AND label IS NOT NULL")
    features = list(dict.fromkeys(feature for model in models for feature in model.features))
    needed = rows.count() * 8 * (len(features) + 2)
    if needed > limit_bytes:
        raise ScorelakeError(
            f"the test part of training.{name} needs {needed:,} bytes on the driver, above "
            f"limits.local_matrix_bytes = {limit_bytes:,}: raise it or choose fewer cut-offs"
        )
    entity = F.xxhash64(*(F.col(quoted(key)) for key in keys)).alias("__entity")
    ordered = rows.orderBy(*map(quoted, keys), "event_timestamp")
    table = ordered.select(*map(quoted, features), F.col("label").alias("__label"), entity).toArrow().combine_chunks()
    if not table.num_rows:
        raise MissingInput(f"training.{name} has no test rows on {day}; run build_training_set for it first")
    [batch] = table.to_batches()
    return batch


def _label(rows: pa.RecordBatch, model: Pinned) -> np.ndarray[Any, Any]:
    import numpy as np
    import pyarrow as pa

    label = rows.column("__label")
    if model.task != "multiclass":
        return np.asarray(label.cast(pa.float64()).to_numpy(zero_copy_only=False))
    codes = {text: code for code, text in enumerate(model.classes)}
    return np.array([codes[text] for text in label.cast(pa.string()).to_pylist()], dtype=np.float64)


def _contender(rows: pa.RecordBatch, model: Pinned) -> Contender:
    answers = predictor(pack(model.folder, digest=model.digest, features=model.features))(rows)
    is_binary_pair = model.task == "binary" and answers.ndim == 2
    return Contender(model.version, answers[:, 1] if is_binary_pair else answers)
