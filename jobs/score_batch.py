"""Score the population of each run date with the champion model.

Reads   features.<service>, the model registry
Writes  scores.<model>, slices score_date = run date; a re-run replaces them
        quarantine.scores_<model>, rows that got no score, with the reason

    ./spark-submit.sh score_batch --env local --run-date 2017-11-26

The champion is resolved once and checked by digest. A date that was published before is scored with the version
recorded for it. Population = scored + rejected.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import _registry
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput, ModelRefused
from scorelake.feature_store import definitions as feature_definitions
from scorelake.runs import Outcome
from scorelake.scoring import publish
from scorelake.scoring.package import pack, predictor
from scorelake.scoring.score import score
from scorelake.settings import Settings
from scorelake.stores.lake import Lake, Mark, columns_of
from scorelake.stores.model_registry import CHAMPION
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.scoring.package import Package
    from scorelake.stores.model_registry import ModelRegistry, Pinned

STEP = "score_batch"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    registry = _registry.connect(settings)

    outcomes = []
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        for name in cli.chosen(definitions.models, only):
            for model, nights in _versions(lake, registry, name, dates, Path(folder)):
                outcomes.append(_score(lake, definitions, repo, model, nights))
    return runs.combined(outcomes)


def _versions(
    lake: Lake, registry: ModelRegistry, name: str, dates: RunDates, folder: Path
) -> Iterable[tuple[Pinned, list[date]]]:
    """Which version scores which dates: the one recorded for a published date, else the champion of now."""
    recorded = {day: str(mark.notes["model_version"]) for day, (_, mark) in lake.marks(f"scores.{name}", STEP).items()}
    new = [day for day in dates if day not in recorded]
    if new:
        yield registry.resolve(name, CHAMPION, folder), new
    for version in sorted({recorded[day] for day in dates if day in recorded}):
        yield registry.pin(name, version, folder), [day for day in dates if recorded.get(day) == version]


def _score(lake: Lake, definitions: Definitions, repo: FeatureRepo, model: Pinned, dates: list[date]) -> Outcome:
    from pyspark.sql import functions as F

    spec = definitions.models[model.name]
    keys = list(definitions.labels[spec.label].keys)
    digest = _require_same_features(repo, spec.feature_service, model)
    features, inputs = _features(lake, spec.feature_service, dates)
    package = pack(model.folder, digest=model.digest, features=model.features)
    _replay(model, package)

    nightly_keys = [*keys, "run_date"]
    scored = score(features, package, keys=nightly_keys, classes=model.classes)
    scored = scored.withColumnRenamed("run_date", "score_date").withColumn("reason", publish.rejection(keys))
    scored = scored.persist()
    rejected = scored.where("reason IS NOT NULL").select(
        *map(quoted, keys), "score", "score_date", "reason", F.lit(runs.run_id()).alias("run_id")
    )
    rows = publish.published(
        scored.where("reason IS NULL").drop("reason"),
        keys=keys,
        scoring=spec.scoring,
        role=publish.CHAMPION,
        model_name=model.name,
        model_version=model.version,
        definition_hash=digest,
        run_id=runs.run_id(),
        scored_at=runs.wall_clock(),
    )
    notes = {"model_version": model.version, "model_digest": model.digest, "classes": list(model.classes)}
    mark = Mark(runs.run_id(), STEP, tuple(dates), digest, inputs, notes)
    outcome = _write(lake, model.name, rows, rejected, mark)
    scored.unpersist()
    return outcome


def _require_same_features(repo: FeatureRepo, service: str, model: Pinned) -> str:
    """The hash of tonight's feature definitions, which must be the one that the model learnt from."""
    tonight, trained = repo.definition_hash(service), model.tags.get(_registry.FEATURES_HASH)
    if trained != tonight:
        raise ModelRefused(
            f"model {model.name} version {model.version} learnt from other definitions of {service} "
            f"({(trained or 'none')[:12]} then, {tonight[:12]} now): give the changed view a new name, or train again"
        )
    return tonight


def _features(lake: Lake, service: str, dates: list[date]) -> tuple[DataFrame, dict[str, int]]:
    table = f"features.{service}"
    marks = lake.marks(table, "build_features")
    missing = [str(day) for day in dates if day not in marks]
    if missing:
        raise MissingInput(f"{table} has no slice {', '.join(missing)}; run build_features for it first")
    return lake.read_slices(table, dates), {table: max(marks[day][0] for day in dates)}


def _replay(model: Pinned, package: Package) -> None:
    """Refuse a version that answers its stored rows otherwise than when it was registered."""
    replay = model.replay
    if replay is not None:
        model.check_replay(predictor(package)(replay.batch(model.columns)), tolerance=1e-12)


def _write(lake: Lake, name: str, rows: DataFrame, rejected: DataFrame, mark: Mark) -> Outcome:
    """Rejects first, so that published scores always have the rest of their population on record."""
    rejects, scores = f"quarantine.scores_{name}", f"scores.{name}"
    lake.create(rejects, columns_of(rejected), partitioned_by=["score_date"], comment="Rows without a score, and why.")
    lake.create(scores, columns_of(rows), partitioned_by=["score_date"], comment=f"Scores of {name}, a night a slice.")
    refused = lake.replace_slices(rejected, rejects, mark, column="score_date")
    commit = lake.replace_slices(rows, scores, mark, column="score_date", also="role <> 'restated'")
    return Outcome({scores: commit.rows, rejects: refused.rows})


if __name__ == "__main__":
    cli.main(run, description=__doc__)
