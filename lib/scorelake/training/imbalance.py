"""Rare classes heard more while a model learns, and its probabilities put back to the shares that train really has.

Rows that are weighed or drawn change the prior of a class from p(c) to q(c) and nothing else, so a model of them
answers odds that are off by q(c) / p(c). Undone exactly on the scale of log-odds: log p(c) - log q(c) is added to the
class's intercept. (Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001, theorem 2; Saerens, Latinne and
Decaestecker, Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural Computation 14, 2002,
equation 2.4.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scorelake.errors import UnfitTrainingSet
from scorelake.models import Imbalance, Model
from scorelake.training.dataset import Dataset, Part

if TYPE_CHECKING:
    import xgboost

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Balanced:
    """`data` with train weighed or drawn, and validation weighed alike, so that what stops the training has the same
    prior; `shift` is what must be added to the log-odds of each class afterwards."""

    data: Dataset
    shift: Floats


@dataclass(frozen=True)
class Weighing:
    """By class code: `weights` of a row of train, and of a row of validation how much its class is `heard` then."""

    weights: Floats
    heard: Floats

    @property
    def shift(self) -> Floats:
        return -np.log(self.heard)


def weighing(asked: Imbalance, counts: Floats) -> Weighing:
    """For `imbalance.weigh`; `counts` are rows of train by class code, none of them 0."""
    weights = counts.sum() / (len(counts) * counts) if asked.weigh == "balanced" else np.array([1.0, asked.weigh])
    return Weighing(weights, _heard(counts, weights * counts))


def balance(spec: Model, asked: Imbalance, data: Dataset) -> Balanced:
    """The same rows and seed give the same draw. UnfitTrainingSet where drawing cannot reach the share."""
    codes = data.train.label.astype(np.int64)
    before = np.bincount(codes, minlength=max(2, len(data.classes))).astype(np.float64)
    if asked.weigh is not None:
        found = weighing(asked, before)
        train, heard = replace(data.train, weight=found.weights[codes]), found.heard
    else:
        train = data.train.take(_drawn(asked, codes, np.random.default_rng(spec.seed)))
        heard = _heard(before, np.bincount(train.label.astype(np.int64), minlength=2).astype(np.float64))
    validation = replace(data.validation, weight=heard[data.validation.label.astype(np.int64)])
    parts: dict[str, Part] = {**data.parts, "train": train, "validation": validation}
    return Balanced(replace(data, parts=parts), -np.log(heard))


def _heard(before: Floats, after: Floats) -> Floats:
    """q(c) / p(c)."""
    found: Floats = (after / after.sum()) / (before / before.sum())
    return found


def correct(model: Any, shift: Floats) -> None:
    """Put the answers of a fitted model (Booster, or Pipeline that ends in a classifier) back, in place."""
    last = model[-1] if hasattr(model, "steps") else model
    if type(last).__name__ == "LogisticRegression":
        last.intercept_ = last.intercept_ + (shift if len(last.intercept_) > 1 else shift[1] - shift[0])
    elif type(last).__name__ == "HistGradientBoostingClassifier":
        start = last._baseline_prediction  # its intercept, in log-odds; there is no public name for it
        start += shift if start.size > 1 else shift[1] - shift[0]
    elif hasattr(last, "tree_") or hasattr(last, "estimators_"):
        for tree in getattr(last, "estimators_", [last]):
            _correct_leaves(tree.tree_.value, shift)
    else:
        _correct_booster(last.get_booster() if hasattr(last, "get_booster") else last, shift)


def _drawn(asked: Imbalance, codes: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Positions in train, rising; the share of class 1 among them is `asked.share`, to one row."""
    positive, negative = np.flatnonzero(codes == 1), np.flatnonzero(codes == 0)
    if len(positive) >= asked.share * len(codes):
        raise UnfitTrainingSet(
            f"imbalance.share: {asked.share:.3g}, but {len(positive) / len(codes):.3g} of train are positive already"
        )
    if asked.sample == "under":
        negative = random.choice(negative, round(len(positive) * (1 - asked.share) / asked.share), replace=False)
    else:
        wanted = round(len(negative) * asked.share / (1 - asked.share))
        rest = random.choice(positive, wanted % len(positive), replace=False)
        positive = np.concatenate([np.repeat(positive, wanted // len(positive)), rest])
    return np.sort(np.concatenate([positive, negative]))


def _correct_leaves(shares: Floats, shift: Floats) -> None:
    """`shares` (nodes, 1, classes) of the rows heard in each node become those of the rows that there are."""
    shares *= np.exp(shift)
    shares /= shares.sum(axis=2, keepdims=True)


def _correct_booster(booster: xgboost.Booster, shift: Floats) -> None:
    """Its intercept is `base_score`: a probability for two classes, log-odds for more."""
    document = json.loads(booster.save_raw("json"))
    params = document["learner"]["learner_model_param"]
    found = np.atleast_1d(np.array(json.loads(params["base_score"]), np.float64))
    if len(found) == 1:
        odds = found / (1 - found) * np.exp(shift[1] - shift[0])
        found = odds / (1 + odds)
    else:
        found = found + shift
    params["base_score"] = json.dumps(found.tolist())
    booster.load_model(bytearray(json.dumps(document).encode()))
