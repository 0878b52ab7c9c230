"""Score the population of each run date with the champion model, and with those that are tried beside it.

Reads   features.<service>, the model registry
Writes  scores.<model>, slices score_date = run date; a re-run replaces them
        quarantine.scores_<model>, rows that got no score, with the reason
        ops.score_runs, a row a model, role and date: versions of everything, counts, digest
        ops.decisions, when the model file sets limits for a night's features

    ./spark-submit.sh score_batch --env local --run-date 2017-11-26
    ./spark-submit.sh score_batch --env local --run-date 2017-11-26 --only lapse_xgboost --restate 3

The champion is resolved once and checked by digest. A date that was published before is scored with the version
recorded for it; --restate scores it with another one beside that, role `restated`, never served. Challengers and
shadows (scoring.challengers, scoring.shadows in the model file) share the pass; one that fails or exceeds its budget
has no rows that night. Population = scored + rejected.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import _registry, _roles, _rows, _score_tables
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput, UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.scoring import arms, nulls
from scorelake.scoring.members import Observed
from scorelake.scoring.publish import Published
from scorelake.scoring.score import score
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.stores.model_registry import CHAMPION
from scorelake.stores.staging import staging
from scorelake.tables import SLICE_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.rows import Rows
    from scorelake.stores.model_registry import ModelRegistry, Pinned

OPTIONS = {"--restate": {"metavar": "VERSION", "help": "score published dates again with this version or alias"}}

STEP = "score_batch"


@dataclass(frozen=True)
class Scene:
    """Where one model's rows come from and go to; `folder` takes the files of its versions."""

    lake: Lake
    definitions: Definitions
    repo: FeatureRepo
    registry: ModelRegistry
    folder: Path
    model: str

    @property
    def table(self) -> str:
        return f"scores.{self.model}"


def run(
    spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL, *, restate: str | None = None
) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    registry = _registry.connect(settings)

    outcomes = []
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        for name in cli.chosen(definitions.models, only):
            scene = Scene(lake, definitions, repo, registry, Path(folder), name)
            if restate is None:
                outcomes += [_score(scene, model, arms.CHAMPION, nights) for model, nights in _versions(scene, dates)]
            else:
                outcomes.append(_score(scene, _restating(scene, restate, dates), arms.RESTATED, list(dates)))
    return runs.combined(outcomes)


def _versions(scene: Scene, dates: RunDates) -> Iterable[tuple[Pinned, list[date]]]:
    """Which version scores which dates: the one recorded for a published date, else the champion of now."""
    marks = scene.lake.marks(scene.table, STEP)
    recorded = {day: str(mark.notes["model_version"]) for day, (_, mark) in marks.items()}
    new = [day for day in dates if day not in recorded]
    if new:
        yield scene.registry.resolve(scene.model, CHAMPION, scene.folder), new
    for version in sorted({recorded[day] for day in dates if day in recorded}):
        nights = [day for day in dates if recorded.get(day) == version]
        yield scene.registry.pin(scene.model, version, scene.folder), nights


def _restating(scene: Scene, version: str, dates: RunDates) -> Pinned:
    """The version (by number or alias) that scores published nights once more."""
    marks = scene.lake.marks(scene.table, STEP)
    missing = [str(day) for day in dates if day not in marks]
    if missing:
        raise UsageError(f"--restate: {scene.table} was never published for {', '.join(missing)}; leave --restate out")
    find = scene.registry.pin if version.isdigit() else scene.registry.resolve
    return find(scene.model, version, scene.folder)


def _score(scene: Scene, model: Pinned, role: str, dates: list[date]) -> Outcome:
    """One pass over the features, judged and published."""
    spec = scene.definitions.models[scene.model]
    keys = tuple(scene.definitions.labels[spec.label].keys)
    rows, inputs = _features(scene, dates)
    digest = scene.repo.definition_hash(spec.feature_service)
    casts, notes = _roles.cast(model, role, rows, spec.scoring, scene.registry, scene.folder, digest)

    with staging(scene.lake) as stage:
        counting = Observed(model.features, partial(nulls.Nulls, model.features))
        members = [cast.member for cast in casts]
        observers = {_score_tables.NULLS: counting} if spec.scoring.limits.are_set else {}
        staged = stage(score(rows, members, keys=[*keys, SLICE_COLUMN], night=SLICE_COLUMN, observers=observers))
        reports = _score_tables.reports(staged)
        fates = [cast.fate(number, reports) for number, cast in enumerate(casts)]
        judged, refused = _score_tables.judged(scene.model, spec.scoring.limits, reports, dates)
        ops.record_decisions(scene.lake, judged)
        published = [day for day in dates if day not in refused]
        recorded = {
            "model_version": model.version,
            "model_digest": model.digest,
            "classes": list(model.classes),
            "roles": [fate.record for fate in fates],
        }
        step = STEP if role == arms.CHAMPION else _score_tables.RESTATING
        mark = Mark(runs.run_id(), step, tuple(published), digest, inputs, recorded)
        about = Published(
            keys=keys,
            roles=tuple(fate.role for fate in fates),
            model_name=scene.model,
            definition_hash=digest,
            run_id=runs.run_id(),
            scored_at=runs.wall_clock(),
            nights=len(published),
        )
        written = _score_tables.publish(scene.lake, staged, spec.scoring, about, mark) if published else {}
    notes += [note for fate in fates for note in fate.notes]
    return Outcome(written, notes=tuple(notes), refused=tuple(refused.values()))


def _features(scene: Scene, dates: list[date]) -> tuple[Rows, dict[str, int]]:
    """The feature slices, which must be those of today's definitions."""
    service = scene.definitions.models[scene.model].feature_service
    [node] = [node for node in graph.feature_nodes(scene.definitions, scene.repo) if node.subject == service]
    marks = scene.lake.marks(node.table, node.step)
    missing = [str(day) for day in dates if day not in marks]
    if missing:
        raise MissingInput(f"{node.table} has no slice {', '.join(missing)}; run build_features for it first")
    stale = [str(day) for day in dates if marks[day][1].definition_hash != node.definition_hash]
    if stale:
        raise MissingInput(
            f"{node.table}: slice {', '.join(stale)} was built from other definitions than today's; "
            "run build_features for it again"
        )
    rows = _rows.rows_of(scene.lake, node.table, dates)
    return rows, {node.table: max(marks[day][0] for day in dates)}


if __name__ == "__main__":
    cli.main(run, description=__doc__)
