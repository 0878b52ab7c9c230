"""Which algorithm and parameters serve best: tried on validation by the headline metric. Test is never looked at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from scorelake.metrics import better, evaluate
from scorelake.models import Algorithm, Model, Range, Scalar, Search
from scorelake.training.dataset import Dataset
from scorelake.training.fitted import Learner, Trial
from scorelake.training.journal import Journal

if TYPE_CHECKING:
    import optuna


Judge = Callable[[Model, Dataset], float | None]


def best(
    spec: Model,
    data: Dataset,
    learner: Learner,
    journal: Journal | None = None,
    *,
    judge: Judge | None = None,
) -> tuple[Model, tuple[Trial, ...]]:
    """`spec` with the winning algorithm and every trial in order; `spec` itself when there is nothing to choose.

    Of equal trials the first wins, so the same seed finds the same parameters. `judge` says how good a model file with
    one algorithm is, by default how good what `learner` learns is on validation.
    """
    judge = judge or (lambda one, rows: _on_validation(one, rows, learner))
    known = journal.read() if journal is not None else {}

    def tried(algorithm: Algorithm, params: Mapping[str, Scalar]) -> Trial:
        question = json.dumps([algorithm.model_dump(mode="json", exclude={"search"}), dict(params)], sort_keys=True)
        if question not in known:
            chosen = _with_params(algorithm, params)
            known[question] = judge(spec.with_algorithm(chosen), data)
            if journal is not None:
                journal.add(question, known[question])
        return Trial(params, known[question], algorithm.name)

    found: list[tuple[Algorithm, Trial]] = []
    for algorithm in spec.algorithms:
        if algorithm.search is not None:
            trials = _searched(algorithm, algorithm.search, spec, tried)
            found += [(algorithm, trial) for trial in trials]
        elif spec.compare:
            found.append((algorithm, tried(algorithm, {})))
    if not found:
        return spec, ()
    algorithm, winner = found[_first_best(spec.headline, [trial for _, trial in found])]
    return spec.with_algorithm(_with_params(algorithm, winner.params)), tuple(trial for _, trial in found)


def _on_validation(spec: Model, data: Dataset, learner: Learner) -> float | None:
    learnt = learner(spec, data)
    return evaluate(spec.task, data.validation.label, learnt.predict(data.validation))[spec.headline]


def _first_best(headline: str, trials: Sequence[Trial]) -> int:
    winner = 0
    for position, trial in enumerate(trials):
        best_so_far = trials[winner].value
        if trial.value is not None and (best_so_far is None or better(headline, trial.value, best_so_far) > 0):
            winner = position
    return winner


def _with_params(algorithm: Algorithm, params: Mapping[str, Scalar]) -> Algorithm:
    return algorithm.model_copy(update={"params": {**algorithm.params, **params}, "search": None})


# ------------------------------------------------------------------ what is tried


def _searched(
    algorithm: Algorithm, search: Search, spec: Model, tried: Callable[[Algorithm, Mapping[str, Scalar]], Trial]
) -> list[Trial]:
    """Trials until there are enough, time is up, or patience is."""
    import optuna

    began = time.monotonic()
    study = _study(search, spec)
    count = search.trials
    if search.method == "grid":
        lists = [values for values in search.params.values() if isinstance(values, tuple)]
        combinations = [dict(zip(search.params, values, strict=True)) for values in product(*lists)]
        for combination in combinations:
            study.enqueue_trial(combination)
        count = len(combinations)
    trials: list[Trial] = []
    while len(trials) < count and not _is_over(search, spec.headline, trials, time.monotonic() - began):
        asked = study.ask()
        trials.append(tried(algorithm, {name: _suggested(asked, name, of) for name, of in search.params.items()}))
        value = trials[-1].value
        study.tell(asked, value, state=optuna.trial.TrialState.FAIL if value is None else None)
    return trials


def _study(search: Search, spec: Model) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers = optuna.samplers
    sampler = (samplers.TPESampler if search.method == "bayesian" else samplers.RandomSampler)(seed=spec.seed)
    is_greater_better = better(spec.headline, 1.0, 0.0) > 0
    return optuna.create_study(sampler=sampler, direction="maximize" if is_greater_better else "minimize")


def _is_over(search: Search, headline: str, trials: Sequence[Trial], seconds: float) -> bool:
    if not trials:
        return False
    is_late = search.minutes is not None and seconds >= search.minutes * 60
    is_tired = search.patience is not None and len(trials) - 1 - _first_best(headline, trials) >= search.patience
    return is_late or is_tired


def _suggested(asked: optuna.Trial, name: str, values: Range | tuple[Scalar, ...]) -> Scalar:
    if isinstance(values, tuple):
        chosen: Scalar = asked.suggest_categorical(name, values)
        return chosen
    low, high = values.low, values.high
    if isinstance(low, int) and isinstance(high, int):
        return int(asked.suggest_int(name, low, high, log=values.log))
    return float(asked.suggest_float(name, low, high, log=values.log))
