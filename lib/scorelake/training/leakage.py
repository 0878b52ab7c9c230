"""Signs that a model knows what it could not have known; each is a row of `ops.decisions`.

A sign is a question to the team, not a proof, so most only warn. What a feature knew when is decided elsewhere: the
point-in-time engine is checked by brute force on the team's own data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import repeat

import numpy as np

from scorelake import metrics
from scorelake.decisions import Decision
from scorelake.models import Model
from scorelake.training import baselines
from scorelake.training.dataset import Dataset, Part
from scorelake.training.fitted import Fitted, Learner

GATE = "leakage"
PASS, WARN, FAIL = "pass", "warn", "fail"

MOST_OF_ONE_FEATURE = 0.95
MOST_SHARED_ROWS = 0.01
_SAMPLE = 20_000
_SHUFFLES = 8
_STUDENT = 4.785
"""The 99.9 % quantile of Student's t with 7 degrees of freedom, for 8 shuffles."""

Sign = tuple[str, float | None, float, str, str]
"""Metric, value, threshold, verdict, reason."""


def check(spec: Model, data: Dataset, fitted: Fitted, learner: Learner, *, run_date: date) -> tuple[Decision, ...]:
    """One row a check. `learner` trains 8 times more, on shuffled labels and at most 20,000 rows a part."""
    signs = [
        _one_feature(spec, data, fitted),
        _shared_rows(data),
        _shuffled_labels(spec, data, learner),
        *_beyond_belief(spec, fitted),
    ]
    return tuple(_decision(spec, run_date, sign) for sign in signs)


def shared_entities(spec: Model, shared: int, *, run_date: date) -> Decision:
    """`shared` is the number of entities that stand in more than one part, though the split keeps them apart."""
    reason = f"{shared:,} entities stand in more than one part, none may"
    sign = ("entities in more than one part", float(shared), 0.0, FAIL if shared else PASS, reason)
    return _decision(spec, run_date, sign)


def second_look(spec: Model, looks: int, *, run_date: date) -> Decision:
    """`looks` is how often this training set's test part has judged a version before, this one not counted.

    A test part that helps to choose between versions is no test any more: what it says of the best is too good.
    """
    reason = "it is the first version judged on this test part"
    if looks:
        reason = (
            f"{looks:,} versions were judged on this test part before: what it says of the best of them is too good"
        )
    return _decision(spec, run_date, ("looks at test before", float(looks), 0.0, WARN if looks else PASS, reason))


def _decision(spec: Model, run_date: date, sign: Sign) -> Decision:
    metric, value, threshold, verdict, reason = sign
    return Decision(GATE, spec.name, run_date, metric, value, threshold, verdict, reason)


def _beyond_belief(spec: Model, fitted: Fitted) -> Iterator[Sign]:
    """A metric of test that is better than the ceiling which `promotion.require` declares; its gate will refuse it."""
    for name, bounds in spec.promotion.require.items():
        ceiling = bounds.min if name in metrics.LOWER_IS_BETTER else bounds.max
        if ceiling is None or name in metrics.CLOSER_TO_ZERO_IS_BETTER:
            continue
        value = fitted.metrics["test"][name].value
        is_beyond = value is not None and metrics.better(name, value, ceiling) > 0
        reason = (
            "cannot be told from the test rows" if value is None else f"{value:.6g} on test, {ceiling:g} is declared"
        )
        if is_beyond:
            reason += ": better than believable, look for a feature that knows the label"
        verdict = WARN if value is None or is_beyond else PASS
        yield f"{name} beyond its ceiling", value, ceiling, verdict, reason


def _one_feature(spec: Model, data: Dataset, fitted: Fitted) -> Sign:
    """How much of what the model gains over a constant, its best single feature gains alone."""
    metric = f"share of {spec.headline} that one feature reaches"
    single = next((name for name in fitted.baselines if name != baselines.CONSTANT), None)
    model = fitted.metrics["test"][spec.headline].value
    constant = fitted.baselines[baselines.CONSTANT]["test"][spec.headline]
    alone = fitted.baselines[single]["test"][spec.headline] if single is not None else None
    if model is None or constant is None or alone is None:
        return metric, None, MOST_OF_ONE_FEATURE, WARN, "cannot be told from the test rows"
    gain = metrics.better(spec.headline, model, constant)
    if gain <= 0:
        return metric, None, MOST_OF_ONE_FEATURE, PASS, "the model gains nothing over a constant"
    share = metrics.better(spec.headline, alone, constant) / gain
    reason = f"{single} alone reaches {share:.0%} of the model's gain over a constant"
    return metric, share, MOST_OF_ONE_FEATURE, WARN if share > MOST_OF_ONE_FEATURE else PASS, reason


def _shared_rows(data: Dataset) -> Sign:
    """Share of test rows whose features all equal those of some train row. A few coarse features share honestly."""
    known = set(_rows(data.train))
    found = [row in known for row in _rows(data.test)]
    share = sum(found) / len(found)
    reason = f"{sum(found):,} of {len(found):,} test rows equal a train row in every feature"
    verdict = WARN if share > MOST_SHARED_ROWS else PASS
    return "share of test rows that train holds", share, MOST_SHARED_ROWS, verdict, reason


def _rows(part: Part) -> Iterator[int]:
    """A hash of each row's features; null equals null. Goes by chunks: the matrix is never copied as a whole."""
    for first in range(0, len(part), _SAMPLE):
        rows = slice(first, first + _SAMPLE)
        numbers = np.ascontiguousarray(part.matrix[rows] + 0.0)  # -0.0 is 0.0
        numbers[np.isnan(numbers)] = np.nan
        columns = [values[rows] for values in part.categories.values()]
        texts = zip(*columns, strict=True) if columns else repeat(())
        for row, text in zip(numbers, texts, strict=False):
            yield hash((row.tobytes(), text))


def _shuffled_labels(spec: Model, data: Dataset, learner: Learner) -> Sign:
    """Trained on labels that mean nothing, the model must do no better than a constant on honest ones, on average.

    One shuffle proves nothing: what is learnt from it is a random direction in the features, and where one of them
    dominates, that direction orders the test rows well as often as badly. So the mean of several is held against
    their own spread (Student's t, one-sided, 0.1%).
    """
    metric = f"{spec.headline} gain with shuffled labels"
    few = {name: part.take(np.arange(min(len(part), _SAMPLE))) for name, part in data.parts.items()}
    data = replace(data, parts=few)
    gains = []
    for shuffle in range(_SHUFFLES):
        gain = _gain_from_shuffled(spec, data, learner, np.random.default_rng((spec.seed, shuffle)))
        if gain is None:
            return metric, None, 0.0, WARN, "cannot be told from the test rows"
        gains.append(gain)
    mean = float(np.mean(gains))
    low = mean - _STUDENT * float(np.std(gains, ddof=1)) / len(gains) ** 0.5
    reason = f"mean gain over a constant {mean:.4g} in {_SHUFFLES} shuffles, at least {low:.4g}; expected none"
    return metric, mean, 0.0, FAIL if low > 0 else PASS, reason


def _gain_from_shuffled(spec: Model, data: Dataset, learner: Learner, random: np.random.Generator) -> float | None:
    parts = dict(data.parts)
    for name in ("train", "validation"):
        parts[name] = replace(parts[name], label=random.permutation(parts[name].label))
    shuffled = replace(data, parts=parts)
    test = parts["test"]
    model = metrics.evaluate(spec.task, test.label, learner(spec, shuffled).predict(test))[spec.headline]
    constant = metrics.evaluate(spec.task, test.label, baselines.constant(data, spec.task)(test))[spec.headline]
    return None if model is None or constant is None else metrics.better(spec.headline, model, constant)
