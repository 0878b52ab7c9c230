"""Challenger and champion on the same matured rows, as promote_model lets them meet."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import _roles, _smoke
from scorelake.errors import ConfigError, MissingInput, ScorelakeError
from scorelake.scoring.package import pack, predictor
from scorelake.stores.lake import Lake
from scorelake.tables import quoted
from scorelake.training import gate, gate_page
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
    """What the gate says of version `challenger` beside version `champion`, on the test part of the run date.

    The page that shows it side by side becomes an artifact of the challenger's run.
    """
    spec = definitions.models[name]
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        models = [registry.pin(name, version, Path(folder)) for version in (challenger, champion) if version]
        keys = list(definitions.labels[spec.label].keys)
        features = list(dict.fromkeys(feature for model in models for feature in model.features))
        groups = spec.subgroups.by if spec.subgroups is not None else ()
        rows = test_rows(lake, name, day, keys, features, groups, limit_bytes)
        contest = Contest(
            label=labels(rows, models[0].task, models[0].classes),
            challenger=_contender(rows, models[0]),
            champion=_contender(rows, models[1]) if champion is not None else None,
            entity=entities(rows),
            groups=groups_of(rows, groups),
            tried=_smoke.tried(lake, spec, day, models[0], models[1] if champion is not None else None),
        )
    decisions = gate.judge(spec, contest, day)
    registry.attach(name, challenger, f"promotion/{day}.html", gate_page.html(spec, contest, decisions).encode())
    return decisions


def test_rows(
    lake: Lake, name: str, day: date, keys: list[str], features: list[str], groups: Sequence[str], limit_bytes: int
) -> pa.RecordBatch:
    """Label, entity, subgroups and all inputs of the test part, in an order that depends on the rows alone.

    They meet on the driver, bounded by limits.local_matrix_bytes as training is.
    """
    from pyspark.sql import functions as F

    rows = lake.read_slices(f"training.{name}", [day]).where("split = 'test' AND label IS NOT NULL")
    unknown = sorted(set(groups) - set(rows.columns))
    if unknown:
        raise ConfigError(f"model {name}: subgroups.by: no feature {', '.join(unknown)}")
    needed = rows.count() * 8 * (len(features) + len(groups) + 2)
    if needed > limit_bytes:
        raise ScorelakeError(
            f"the test part of training.{name} needs {needed:,} bytes on the driver, above "
            f"limits.local_matrix_bytes = {limit_bytes:,}: raise it or choose fewer cut-offs"
        )
    entity = F.xxhash64(*(F.col(quoted(key)) for key in keys)).alias("__entity")
    texts = [F.col(quoted(group)).cast("string").alias(f"__group_{n}") for n, group in enumerate(groups)]
    ordered = rows.orderBy(*map(quoted, keys), "event_timestamp")
    wanted = ordered.select(*map(quoted, features), F.col("label").alias("__label"), entity, *texts)
    table = wanted.toArrow().combine_chunks()
    if not table.num_rows:
        raise MissingInput(f"training.{name} has no test rows on {day}; run build_training_set for it first")
    [batch] = table.to_batches()
    return batch


def labels(rows: pa.RecordBatch, task: str, classes: Sequence[str]) -> np.ndarray[Any, Any]:
    import numpy as np
    import pyarrow as pa

    label = rows.column("__label")
    if task != "multiclass":
        return np.asarray(label.cast(pa.float64()).to_numpy(zero_copy_only=False))
    codes = {text: code for code, text in enumerate(classes)}
    return np.array([codes[text] for text in label.cast(pa.string()).to_pylist()], dtype=np.float64)


def entities(rows: pa.RecordBatch) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(rows.column("__entity").to_numpy())


def groups_of(rows: pa.RecordBatch, groups: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The text of each row by subgroup column."""
    found = {name: rows.column(f"__group_{n}") for n, name in enumerate(groups)}
    return {name: column.to_numpy(zero_copy_only=False) for name, column in found.items()}


def _contender(rows: pa.RecordBatch, model: Pinned) -> Contender:
    answers = predictor(pack(model.folder, digest=model.digest, features=model.features))(rows)
    is_binary_pair = model.task == "binary" and answers.ndim == 2
    score = answers[:, 1] if is_binary_pair else answers
    calibrator = _roles.calibrator(model)
    calibrated = calibrator(score) if calibrator is not None else None
    return Contender(model.version, score, calibrated, _roles.cut(model))
