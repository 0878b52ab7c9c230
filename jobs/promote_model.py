"""Judge each challenger at the gate of its model file and, if it passes, make it champion.

Reads   the model registry, the test part of training.<model> of the run date
Writes  ops.decisions, a row a gate and one for the verdict; alias `champion`

    ./spark-submit.sh promote_model --env local --run-date 2017-12-24

Challenger and champion are judged on the same rows. A repeated call returns the recorded decision. Exit code 4 when
a model is left without any champion.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import _registry
from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput, ScorelakeError
from scorelake.runs import Outcome, combined
from scorelake.scoring.package import pack, predictor
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from scorelake.stores.model_registry import CHALLENGER, CHAMPION
from scorelake.tables import quoted
from scorelake.training import gate
from scorelake.training.gate import Contender, Contest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from scorelake.decisions import Decision
    from scorelake.definitions import Definitions
    from scorelake.stores.model_registry import ModelRegistry, Pinned

STEP = "promote_model"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    registry = _registry.connect(settings)
    limit = settings.limits.local_matrix_bytes

    wanted = cli.chosen(definitions.models, only)
    return combined(_promote(lake, registry, definitions, name, day, limit) for day in dates for name in wanted)


def _promote(
    lake: Lake, registry: ModelRegistry, definitions: Definitions, name: str, day: date, limit_bytes: int
) -> Outcome:
    version = registry.version_of(name, CHALLENGER)
    if version is None:
        raise MissingInput(f"model {name} has no {CHALLENGER}; run train_model first")
    decisions = ops.recorded(lake, gate.GATE, f"{name}/{version}", day)
    if not decisions:
        decisions = _judged(lake, registry, definitions, name, day, limit_bytes)
        ops.record_decisions(lake, decisions)
    if gate.is_promoted(decisions):
        registry.promote(name, version)

    verdict = decisions[-1]
    line = f"{name} version {version}: {verdict.verdict} ({verdict.reason})"
    refused = (line,) if verdict.verdict == gate.REFUSE else ()
    return Outcome(notes=() if refused else (line,), refused=refused)


def _judged(
    lake: Lake, registry: ModelRegistry, definitions: Definitions, name: str, day: date, limit_bytes: int
) -> tuple[Decision, ...]:
    spec = definitions.models[name]
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        challenger = registry.resolve(name, CHALLENGER, Path(folder))
        champion = registry.resolve(name, CHAMPION, Path(folder)) if registry.version_of(name, CHAMPION) else None
        models = [model for model in (challenger, champion) if model is not None]
        keys = list(definitions.labels[spec.label].keys)
        rows = _test_rows(lake, name, day, keys, models, limit_bytes)
        contest = Contest(
            label=_label(rows, challenger),
            challenger=_contender(rows, challenger),
            champion=_contender(rows, champion) if champion is not None else None,
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


if __name__ == "__main__":
    cli.main(run, description=__doc__)
