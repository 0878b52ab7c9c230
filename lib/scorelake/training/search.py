"""Which parameters serve best: tried on validation, judged by the headline metric. Test is never looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import exp, log

import numpy as np

from scorelake.metrics import better, evaluate
from scorelake.models import Model, Range, Scalar, Search
from scorelake.training.dataset import Dataset
from scorelake.training.fitted import Learner, Trial


def best(spec: Model, data: Dataset, learner: Learner) -> tuple[Model, tuple[Trial, ...]]:
    """`spec` with the winning parameters and every trial in order; `spec` itself when it asks for no search.

    Of equal trials the first wins, so the same seed finds the same parameters.
    """
    if spec.algorithm.search is None:
        return spec, ()
    trials = []
    for params in _candidates(spec.algorithm.search, spec.seed):
        learnt = learner(_with_params(spec, params), data)
        found = evaluate(spec.task, data.validation.label, learnt.predict(data.validation))
        trials.append(Trial(params, found[spec.headline]))
    winner = trials[0]
    for trial in trials[1:]:
        if trial.value is not None and (winner.value is None or better(spec.headline, trial.value, winner.value) > 0):
            winner = trial
    return _with_params(spec, winner.params), tuple(trials)


def _with_params(spec: Model, params: Mapping[str, Scalar]) -> Model:
    algorithm = spec.algorithm.model_copy(update={"params": {**spec.algorithm.params, **params}, "search": None})
    return spec.model_copy(update={"algorithm": algorithm})


def _candidates(search: Search, seed: int) -> Iterator[dict[str, Scalar]]:
    if search.method == "grid":
        lists = [values for values in search.params.values() if isinstance(values, tuple)]
        yield from (dict(zip(search.params, values, strict=True)) for values in product(*lists))
        return
    generator = np.random.default_rng(seed)
    for _ in range(search.trials):
        yield {name: _drawn(values, generator) for name, values in search.params.items()}


def _drawn(values: Range | tuple[Scalar, ...], generator: np.random.Generator) -> Scalar:
    if isinstance(values, tuple):
        return values[int(generator.integers(len(values)))]
    low, high = values.low, values.high
    if isinstance(low, int) and isinstance(high, int) and not values.log:
        return int(generator.integers(low, high, endpoint=True))
    if not values.log:
        return float(generator.uniform(low, high))
    drawn = exp(generator.uniform(log(low), log(high)))
    return round(drawn) if isinstance(low, int) and isinstance(high, int) else min(max(drawn, low), high)
