"""One model from one dataset, judged on rows that it did not see, beside baselines that it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from scorelake import metrics
from scorelake.metrics import Estimate
from scorelake.models import ByTime, Folds, Model, NumericSteps
from scorelake.training import (
    baselines,
    boosting,
    checks,
    deciding,
    evidence,
    folds,
    imbalance,
    mllib,
    pipelines,
    search,
)
from scorelake.training.collect import Precision
from scorelake.training.dataset import Dataset, Part, names
from scorelake.training.fitted import Fitted, Learner, Learnt, Predict, Scored
from scorelake.training.journal import Journal

JUDGED = ("validation", "test")


def matrix_type(spec: Model) -> Precision:
    """What `collect` should store: XGBoost sees float32 anyway, a pipeline's sums want float64."""
    return "float32" if _takes_numbers_as_they_are(spec) else "float64"


def fit(
    spec: Model,
    data: Dataset,
    learner: Learner | None = None,
    journal: Journal | None = None,
    *,
    population: float | None = None,
) -> Fitted:
    """The model that `spec` describes, fitted on train, stopped early on validation, judged on all parts.

    `learner` says where it is fitted, by default in this process; its rows may be more than those of `data`, which
    then is a sample of them. Same rows, same spec: in this process bit-identical scores. What `journal` holds of a
    search that was interrupted is not trained again. `population` is the number of entities of a night, for a cut by
    capacity.

    Raises UnfitTrainingSet for rows that cannot teach and ConfigError for parameters that do not exist.
    """
    learner = learner or learn
    warnings = checks.check(data, spec.task)
    by_folds = _by_folds(spec.folds) if spec.folds is not None else None
    spec, trials = search.best(spec, data, learner, journal, judge=by_folds)
    learnt = learner(spec, data)
    scored = {name: _scored(learnt, data.parts[name]) for name in JUDGED}
    judged = scored | (_by_acquaintance(scored["test"], data.train) if _keeps_some_unseen(spec) else {})
    return Fitted(
        spec=spec,
        learnt=learnt,
        features=data.features,
        classes=data.classes,
        metrics=_metrics(spec, data, learnt, judged),
        baselines=_baselines(spec, data),
        scored=scored,
        importance=evidence.importance(
            learnt.predict, data.validation, spec.task, headline=spec.headline, seed=spec.seed
        ),
        replay=evidence.replay(learnt.predict, data.train, seed=spec.seed),
        warnings=warnings,
        params=spec.algorithm.params,
        trials=trials,
        folds={} if spec.folds is None else folds.spread(spec, spec.folds, data, learn),
        deciding=deciding.fixed(
            spec,
            (scored["validation"].label, scored["validation"].score),
            (scored["test"].label, scored["test"].score, scored["test"].entity),
            population=population,
        ),
    )


def learn(spec: Model, data: Dataset, *, checkpoints: Path | None = None) -> Learnt:
    """The fitted model alone, without judging it, from the rows of `data`: in this process, or by MLlib.

    XGBoost that takes numbers as they are leaves in `checkpoints` how far it is, and goes on from there.
    """
    if spec.algorithm.is_mllib:
        return mllib.learn(spec, data)
    if spec.imbalance is None:
        return _learnt(spec, data, checkpoints)
    balanced = imbalance.balance(spec, spec.imbalance, data)
    learnt = _learnt(spec, balanced.data, checkpoints)
    imbalance.correct(learnt.model, balanced.shift)
    return replace(learnt, details={**learnt.details, "rows_heard": len(balanced.data.train)})


def _learnt(spec: Model, data: Dataset, checkpoints: Path | None = None) -> Learnt:
    needs_preparation = not _takes_numbers_as_they_are(spec) or bool(names(data.features, "category"))
    return pipelines.fit(spec, data) if needs_preparation else boosting.fit(spec, data, checkpoints=checkpoints)


def _takes_numbers_as_they_are(spec: Model) -> bool:
    return all(one.name == "xgboost" for one in spec.algorithms) and spec.preparation == NumericSteps()


def _scored(learnt: Learnt, part: Part) -> Scored:
    return Scored(part.label, learnt.predict(part), part.entity)


def _by_folds(asked: Folds) -> search.Judge:
    def judge(spec: Model, data: Dataset) -> float | None:
        found = folds.spread(spec, asked, data, learn).get(spec.headline)
        return found.mean if found is not None else None

    return judge


def _keeps_some_unseen(spec: Model) -> bool:
    return isinstance(spec.split, ByTime) and spec.split.unseen is not None


def _by_acquaintance(test: Scored, train: Part) -> dict[str, Scored]:
    """The test rows of entities that train knows, and of those that it does not; without either where there is none."""
    is_seen = np.isin(test.entity, train.entity)
    apart = {"test_seen": is_seen, "test_unseen": ~is_seen}
    return {
        name: Scored(test.label[rows], test.score[rows], test.entity[rows])
        for name, rows in apart.items()
        if rows.any()
    }


def _metrics(
    spec: Model, data: Dataset, learnt: Learnt, scored: Mapping[str, Scored]
) -> dict[str, dict[str, Estimate]]:
    """Intervals where rows are unseen; on train, where they would mean little, the values alone."""
    train = metrics.evaluate(spec.task, data.train.label, learnt.predict(data.train))
    found = {"train": {name: Estimate(value, None, None, len(data.train)) for name, value in train.items()}}
    for name, part in scored.items():
        found[name] = metrics.intervals(
            spec.task,
            part.label,
            part.score,
            seed=spec.seed,
            rounds=spec.metrics.bootstrap,
            confidence=spec.metrics.confidence,
            groups=part.entity,
        )
    return found


def _baselines(spec: Model, data: Dataset) -> dict[str, dict[str, dict[str, float | None]]]:
    asked: dict[str, Predict] = {baselines.CONSTANT: baselines.constant(data, spec.task)}
    single = baselines.one_feature(data, spec.task, headline=spec.headline, seed=spec.seed)
    if single is not None:
        asked[f"one feature: {single[0]}"] = single[1]
    return {
        name: {part: metrics.evaluate(spec.task, data.parts[part].label, predict(data.parts[part])) for part in JUDGED}
        for name, predict in asked.items()
    }
