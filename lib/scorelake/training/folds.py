"""Train cut into folds, each judged by a model that learnt from others: how much a figure depends on the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from scorelake import metrics
from scorelake.errors import UnfitTrainingSet
from scorelake.models import Folds, Model
from scorelake.training.dataset import Dataset, Part
from scorelake.training.fitted import Learner, Spread

Rows = NDArray[np.int64]
_LEAST_ROWS = 20


def spread(spec: Model, asked: Folds, data: Dataset, learner: Learner) -> dict[str, Spread]:
    """Every metric over the folds, without those that some fold cannot tell. `learner` learns from the rows of the
    Dataset that it is given; early stopping watches validation, as in the training itself."""
    found: list[Mapping[str, float | None]] = []
    for teaching, judging in cut(asked, data.train, seed=spec.seed):
        part = data.train.take(judging)
        learnt = learner(spec, replace(data, parts={**data.parts, "train": data.train.take(teaching)}))
        found.append(metrics.evaluate(spec.task, part.label, learnt.predict(part)))
    told = {name: [fold[name] for fold in found] for name in found[0]}
    known = {name: [v for v in values if v is not None] for name, values in told.items()}
    return {
        name: Spread(fmean(values), stdev(values), tuple(values))
        for name, values in known.items()
        if len(values) == asked.count
    }


def cut(asked: Folds, train: Part, *, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Positions in train that teach and that judge, fold by fold. No entity does both, except over time (rolling)."""
    found = _rolling(asked, train) if asked.kind == "rolling" else _dealt(asked, train, np.random.default_rng(seed))
    for number, (teaching, judging) in enumerate(found, start=1):
        if min(len(teaching), len(judging)) < _LEAST_ROWS:
            raise UnfitTrainingSet(
                f"folds: fold {number} of {asked.count} has {len(teaching):,} rows to learn from and {len(judging):,} "
                f"to judge; expected at least {_LEAST_ROWS} each: fewer folds, or more cut-offs"
            )
        yield teaching, judging


def _rolling(asked: Folds, train: Part) -> Iterator[tuple[Rows, Rows]]:
    """The instants of train in count + 1 blocks of about as many rows: each but the first is judged by what was known
    before it, which is the rows whose label window had ended when it begins."""
    if train.moment is None:
        raise UnfitTrainingSet("folds: rolling needs the time of each row")
    gap = (asked.gap or timedelta()) // timedelta(microseconds=1)
    instants, rows = np.unique(train.moment, return_counts=True)
    block = np.minimum((np.cumsum(rows) - rows) * (asked.count + 1) // rows.sum(), asked.count)
    of_row = block[np.searchsorted(instants, train.moment)]
    for number in range(1, asked.count + 1):
        judging = np.flatnonzero(of_row == number)
        begins = train.moment[judging].min() if len(judging) else 0
        yield np.flatnonzero(train.moment <= begins - gap), judging


def _dealt(asked: Folds, train: Part, random: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """Whole entities dealt out in turn, shuffled; stratified: those of each label by themselves, so that every fold
    gets its share of it. An entity of several labels counts as the greatest."""
    entities, of_row = np.unique(train.entity, return_inverse=True)
    order = random.permutation(len(entities))
    if asked.kind == "stratified":
        greatest = np.full(len(entities), -np.inf)
        np.maximum.at(greatest, of_row, train.label)
        order = order[np.argsort(greatest[order], kind="stable")]
    fold = np.empty(len(entities), np.int64)
    fold[order] = np.arange(len(entities)) % asked.count
    for number in range(asked.count):
        is_judging = fold[of_row] == number
        yield np.flatnonzero(~is_judging), np.flatnonzero(is_judging)
