"""What a model does with its features, on a sample: contributions, partial dependence, how it learns from more rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scorelake import metrics
from scorelake.models import Model
from scorelake.training.dataset import Dataset, Part, names
from scorelake.training.fitted import Floats, Learner, Predict

SAMPLE = 2_000
"""Rows whose contributions are shown."""
DRAWN = 6
"""Features whose dependence is shown: those that move scores most."""
LEAST = 10
"""Rows behind anything that is shown where single rows may not be."""
_PARTIAL_ROWS = 500
_GRID = 20
_MOST_TEXTS = 10
_LEARNING_ROWS = 20_000
_SHARES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to each sampled row's answer before its link (log-odds, a value): (rows, features), about
    the sample's mean; of several classes, those of the class that the feature moves. `values` are the features' own:
    ranks from 0 to 1 of numbers and codes, NaN for null; `texts` the names of categories by feature.
    """

    features: tuple[str, ...]
    added: Floats
    values: Floats
    numbers: dict[str, Floats]

    @property
    def order(self) -> list[int]:
        """Positions of features, greatest mean |contribution| first; ties by name."""
        size = self.size
        return sorted(range(len(self.features)), key=lambda n: (-size[n], self.features[n]))

    @property
    def size(self) -> Floats:
        return np.asarray(np.abs(self.added).mean(axis=0))


@dataclass(frozen=True)
class Line:
    """Mean answer of a sample in which a feature is set to each `x` in turn; `texts` name the values of a category."""

    feature: str
    x: Floats
    y: Floats
    texts: tuple[str, ...] = ()


def contributions(part: Part, found: NDArray[np.floating]) -> Contributions:
    """Of `found` (rows, outputs, features + 1), as `scorelake.scoring.loaded.Loaded` gives them for `part`'s rows."""
    own = np.asarray(found, np.float64)[:, :, :-1]
    own = own - own.mean(axis=0)
    strongest = np.abs(own).mean(axis=0).argmax(axis=0)
    if own.shape[1] == 2:  # both classes of a binary model mirror each other: the positive one speaks
        strongest[:] = 1
    added = own[:, strongest, np.arange(own.shape[2])]
    plain = {name: part.matrix[:, n].astype(np.float64) for n, name in enumerate(names(part.features, "number"))}
    values = [_ranked(plain[f.name]) if f.kind == "number" else _coded(part, f.name) for f in part.features]
    return Contributions(tuple(f.name for f in part.features), added, np.column_stack(values), plain)


def _ranked(values: Floats) -> Floats:
    """Rank from 0 to 1, equal for equal values; NaN stays."""
    known = ~np.isnan(values)
    found = np.full(len(values), np.nan)
    if known.any():
        steps = np.unique(values[known], return_inverse=True)[1]
        found[known] = steps / max(1, steps.max())
    return found


def _coded(part: Part, name: str) -> Floats:
    texts = part.categories[name]
    codes = np.unique(np.array(["" if text is None else str(text) for text in texts]), return_inverse=True)[1]
    return np.where(np.array([text is None for text in texts]), np.nan, codes / max(1, codes.max()))


def partial(predict: Predict, part: Part, features: Sequence[str]) -> list[Line]:
    """The mean answer of at most 500 rows with one feature set to each of 20 quantiles (5 % to 95 %) or 10 commonest
    texts. Of classes the mean probability of the last one. What is shown is a quantile of many rows, never a row."""
    few = part.take(np.arange(min(len(part), _PARTIAL_ROWS)))
    columns = names(part.features, "number")
    found = []
    for name in features:
        if name in columns:
            values = part.values(name)
            known = values[~np.isnan(values)]
            if len(known) < LEAST:
                continue
            grid = np.unique(np.quantile(known.astype(np.float64), np.linspace(0.05, 0.95, _GRID)))
            found.append(Line(name, grid, np.array([_mean(predict, few.with_values(name, v)) for v in grid])))
        else:
            texts, counts = np.unique(part.categories[name][part.categories[name] != None], return_counts=True)  # noqa: E711
            common = [texts[n] for n in np.argsort(-counts, kind="stable")[:_MOST_TEXTS] if counts[n] >= LEAST]
            answers = np.array([_mean(predict, few.with_values(name, text)) for text in common])
            found.append(Line(name, np.arange(len(common), dtype=np.float64), answers, tuple(map(str, common))))
    return found


def _mean(predict: Predict, part: Part) -> float:
    answers = predict(part)
    return float((answers if answers.ndim == 1 else answers[:, -1]).mean())


def learning_curve(spec: Model, data: Dataset, learner: Learner) -> list[tuple[int, float, float]]:
    """(rows, headline on them, headline on validation) for growing shares of at most 20,000 rows of train; trains four
    times. A share that cannot be judged, or holds one class only, has no point."""
    points = []
    validation = data.validation.take(np.arange(min(len(data.validation), _LEARNING_ROWS)))
    most = min(len(data.train), _LEARNING_ROWS)
    for share in _SHARES:
        train = data.train.take(np.arange(max(2, int(share * most))))
        if spec.task != "regression" and len(np.unique(train.label)) < max(2, len(data.classes)):
            continue
        learnt = learner(spec, replace(data, parts={**data.parts, "train": train, "validation": validation}))
        seen, unseen = (
            metrics.evaluate(spec.task, part.label, learnt.predict(part))[spec.headline] for part in (train, validation)
        )
        if seen is not None and unseen is not None:
            points.append((len(train), seen, unseen))
    return points
