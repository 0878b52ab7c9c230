"""Train each model on the training set of the run date and register it as challenger.

Reads   training.<model>, the slice of the run date
Writes  an MLflow run and a model version, alias `challenger`, with the reference profile for drift

    ./spark-submit.sh train_model --env local --run-date 2017-12-24 --only lapse_xgboost

Every call makes a new version; the same rows and seed give the same model. Nothing is scored with it before
promote_model has let it through its gate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from jobs import _contest, _leakage, _learning, _pictures, _registry, _rows
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.drift.build import build, build_arrow
from scorelake.drift.freeze import Cutting
from scorelake.drift.profile import Profile
from scorelake.errors import MissingInput
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import hashes
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from scorelake.stores.model_files import Bundle, Column, Replay
from scorelake.stores.model_registry import Record
from scorelake.training import card, leakage, subgroups, train
from scorelake.training.dataset import part_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.models import Model
    from scorelake.settings import Limits
    from scorelake.stores.model_registry import ModelRegistry
    from scorelake.training.dataset import Dataset
    from scorelake.training.fitted import Fitted


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    registry = _registry.connect(settings)

    wanted = cli.chosen(definitions.models, only)
    return runs.combined(
        _train(lake, registry, definitions, repo, name, day, settings) for day in dates for name in wanted
    )


def _train(
    lake: Lake,
    registry: ModelRegistry,
    definitions: Definitions,
    repo: FeatureRepo,
    name: str,
    day: date,
    settings: Settings,
) -> Outcome:
    spec = definitions.models[name]
    stored = _rows.rows_of(lake, f"training.{name}", [day])
    rows = stored.frame
    if rows.isEmpty():
        raise MissingInput(f"training.{name} has no slice {day}; run build_training_set for it first")
    features = spec.features.choose([feature for _, feature in repo.request(spec.feature_service).asked])
    keys = definitions.labels[spec.label].keys

    version, _ = lake.marks(f"training.{name}", "build_training_set")[day]
    data, learner, notes = _learning.rows_and_learner(spec, stored, features, keys, settings.limits)
    progress = _learning.progress(settings, name, hashes.model(definitions, name), version)
    population = _population(rows) if _has_capacity(spec) else None
    fitted = train.fit(spec, data, _learning.remembering(learner, progress), progress, population=population)
    spec = fitted.spec
    fitted = _with_subgroups(lake, spec, fitted, day, keys, settings.limits)
    signs = (
        *leakage.check(spec, data, fitted, train.learn, run_date=day),
        *_leakage.of_rows(lake, registry, repo, spec, rows, day),
    )
    ops.record_decisions(lake, signs)
    leaks = tuple(f"{name}: {sign.reason}" for sign in signs if sign.verdict == "fail")
    if leaks:
        return Outcome(refused=leaks)

    tags = {
        _registry.RUN_DATE: day.isoformat(),
        _registry.RUN_ID: runs.run_id(),
        _registry.TRAINING_SET: f"training.{name}@{version}",
        _registry.FEATURES_HASH: repo.definition_hash(spec.feature_service),
        _registry.MODEL_HASH: hashes.model(definitions, name),
    }
    profile = _profile(rows, features, fitted, data.validation.categories, spec)
    number = registry.register(name, _bundle(spec, fitted, profile, tags), _record(spec, fitted, tags))
    if progress is not None:
        progress.forget()
    if spec.folds is not None and (over := fitted.folds.get(spec.headline)) is not None:
        told = f"{over.mean:.4f} (standard deviation {over.deviation:.4f})"
        notes = (*notes, f"{name}: {spec.headline} over {spec.folds.count} {spec.folds.kind} folds of train: {told}")
    if fitted.trials:
        ranked = ", ".join(f"{one} {value:.4f}" for one, value in fitted.ranking)
        notes = (*notes, f"{name}: {spec.headline} on validation: {ranked}")
    if spec.explain:
        personal = frozenset(column for table in definitions.tables.values() for column in table.personal)
        views = repo.views_of(spec.feature_service, lake)
        shows_rows = all(personal.isdisjoint(view.columns()) for view in views)
        notes = (*notes, _drawn(registry, number, spec, data, fitted, shows_rows=shows_rows))
    warnings = tuple(f"{name}: {sign.reason}" for sign in signs if sign.verdict == "warn")
    return Outcome(notes=(_summary(name, number, spec, fitted), *notes, *warnings, *fitted.warnings))


def _drawn(
    registry: ModelRegistry, number: str, spec: Model, data: Dataset, fitted: Fitted, *, shows_rows: bool
) -> str:
    """The version is trained, judged and registered by now: that a plot fails is told, and costs nothing more."""
    try:
        return _pictures.attach(registry, number, spec, data, fitted, shows_rows=shows_rows)
    except Exception as error:  # whatever a library of plots raises; its message may show values
        return f"{spec.name}: no plots of version {number}: {type(error).__name__}"


def _with_subgroups(lake: Lake, spec: Model, fitted: Fitted, day: date, keys: Sequence[str], limits: Limits) -> Fitted:
    """The model judged on each subgroup of the test rows; what tells them apart need not be among its features."""
    if spec.subgroups is None:
        return fitted
    groups, columns = spec.subgroups.by, fitted.feature_names
    rows = _contest.test_rows(lake, spec.name, day, list(keys), columns, groups, limits.local_matrix_bytes)
    label, entity = _contest.labels(rows, spec.task, fitted.classes), _contest.entities(rows)
    part = part_of(rows, fitted.features, label=label, entity=entity, dtype=train.matrix_type(spec))
    cut = spec.scoring.cut_of(fitted.deciding.chosen)
    score, values = fitted.learnt.predict(part), _contest.groups_of(rows, groups)
    return replace(fitted, subgroups=subgroups.judged(spec, label, score, entity, values, cut=cut))


def _has_capacity(spec: Model) -> bool:
    return spec.scoring.cut_by is not None and spec.scoring.cut_by.capacity is not None


def _population(rows: DataFrame) -> float:
    """Entities of a night, as the labelled rows of a cut-off tell it."""
    from pyspark.sql import functions as F

    [found] = rows.agg(F.count("label").alias("rows"), F.count_distinct("event_timestamp").alias("nights")).collect()
    return float(found["rows"] / found["nights"])


def _profile(rows: DataFrame, features: list[str], fitted: Fitted, texts: Mapping[str, Any], spec: Model) -> Profile:
    """Train's features and label, and the scores of validation, since those of train are too confident.

    `texts` are validation's text features, in the order of its scores.
    """
    import pyarrow as pa

    cutting = Cutting(bins=spec.drift.bins)
    segments = list(spec.drift.segments)
    of_train = build(
        rows.where("split = 'train'"),
        [*features, "label"],
        segments=segments,
        roles={"label": "label"},
        cutting=cutting,
    )
    score = fitted.scored["validation"].score
    score = score.max(axis=1) if score.ndim == 2 else score
    scored = pa.table({"score": score, **{name: pa.array(texts[name]) for name in segments if name in texts}})
    families = of_train.families
    of_scores = build_arrow(scored, ["score"], families=families, roles={"score": "score"}, cutting=cutting)
    return of_train.joined(of_scores)


def _bundle(spec: Model, fitted: Fitted, profile: Profile, tags: Mapping[str, str]) -> Bundle:
    page = card.card(spec, fitted, facts={name.removeprefix("scorelake."): value for name, value in tags.items()})
    return Bundle(
        model=fitted.learnt.model,
        flavour=fitted.learnt.flavour,
        task=spec.task,
        columns=tuple(Column(feature.name, feature.kind) for feature in fitted.features),
        classes=fitted.classes,
        replay=Replay(fitted.replay.columns(), fitted.replay.scores.tolist()),
        requirements=_registry.requirements(fitted.learnt.flavour),
        files={
            _registry.PROFILE: profile.to_json().encode(),
            "ranking.json": json.dumps(fitted.ranking).encode(),
            _registry.IMPORTANCE: json.dumps(dict(fitted.importance)).encode(),
            **_decided(fitted),
            "card.md": card.markdown(page).encode(),
            "card.html": card.html(page).encode(),
        },
    )


def _decided(fitted: Fitted) -> dict[str, bytes]:
    """The calibrator, with what it answers to the stored rows, and the cut, as far as there are any."""
    found, calibrator, cut = {}, fitted.deciding.calibrator, fitted.deciding.cut
    if calibrator is not None:
        found[_registry.CALIBRATION] = calibrator.to_json().encode()
        found[_registry.CALIBRATED] = json.dumps(calibrator(fitted.replay.scores).tolist()).encode()
    if cut is not None:
        found[_registry.CUT] = cut.to_json().encode()
    return found


def _record(spec: Model, fitted: Fitted, tags: Mapping[str, str]) -> Record:
    details = {key: str(value) for key, value in fitted.learnt.details.items()}
    trials = tuple(
        Record(
            {"algorithm": trial.algorithm, **{name: str(value) for name, value in trial.params.items()}},
            _told({spec.headline: trial.value}),
            {},
        )
        for trial in fitted.trials
    )
    params = {name: str(value) for name, value in fitted.params.items()}
    return Record(
        params={"algorithm": spec.algorithm.name, **params, **details, "seed": str(spec.seed)},
        metrics=fitted.values,
        tags=tags,
        description=spec.description,
        trials=trials,
    )


def _told(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}


def _summary(name: str, version: str, spec: Model, fitted: Fitted) -> str:
    judged = fitted.metrics["test"][spec.headline]
    baselines = ", ".join(
        f"{baseline} {parts['test'][spec.headline]:.4f}"
        for baseline, parts in fitted.baselines.items()
        if parts["test"].get(spec.headline) is not None
    )
    value = "none" if judged.value is None else f"{judged.value:.4f} ({judged.low:.4f} to {judged.high:.4f})"
    return f"{name} version {version}: test {spec.headline} {value} on {judged.rows:,} rows; {baselines}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
