"""What is kept beside a model: which features it leans on, and made-up rows whose scores it must repeat."""

from __future__ import annotations

import numpy as np

from scorelake.metrics import better, evaluate
from scorelake.models import Task
from scorelake.training.dataset import Part
from scorelake.training.fitted import Predict, Replay

REPLAYED_ROWS = 100
_IMPORTANCE_ROWS = 5_000


def importance(predict: Predict, part: Part, task: Task, *, headline: str, seed: int) -> dict[str, float]:
    """How much worse `headline` gets when one feature's values are shuffled among the rows; greatest first.

    At most 5,000 rows. Zero: the model does not use the feature, or another one says the same. A feature that the
    headline cannot judge (one class only) has no entry.
    """
    sample = part.take(np.arange(min(len(part), _IMPORTANCE_ROWS)))
    before = evaluate(task, sample.label, predict(sample))[headline]
    found: dict[str, float] = {}
    for position, feature in enumerate(sample.features):
        after = evaluate(task, sample.label, predict(_shuffled(sample, position, seed)))[headline]
        if before is not None and after is not None:
            found[feature.name] = better(headline, before, after)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _shuffled(part: Part, position: int, seed: int) -> Part:
    order = np.random.default_rng([seed, position]).permutation(len(part))
    name = part.features[position].name
    return part.with_values(name, part.values(name)[order])


def replay(predict: Predict, train: Part, *, seed: int) -> Replay:
    """100 made-up rows with their scores: uniform between the 1st and 99th percentile of train, one in ten null.

    Nothing of any real row is kept but these two bounds; a category is one of the 20 most frequent (the model holds
    them anyway), one that train never saw, or null.
    """
    generator = np.random.default_rng(seed)
    columns = [_made_up(train.matrix[:, position], generator) for position in range(train.matrix.shape[1])]
    matrix = np.column_stack(columns) if columns else np.empty((REPLAYED_ROWS, 0))
    categories = {name: _drawn(values, generator) for name, values in train.categories.items()}
    rows = Part(
        train.features,
        np.asfortranarray(matrix.astype(train.matrix.dtype)),
        categories,
        np.zeros(REPLAYED_ROWS),
        np.arange(REPLAYED_ROWS),
    )
    return Replay(rows, predict(rows))


def _made_up(column: np.ndarray[tuple[int], np.dtype[np.floating]], generator: np.random.Generator) -> np.ndarray:
    low, high = np.nanquantile(column, [0.01, 0.99])
    made = generator.uniform(low, high, REPLAYED_ROWS)
    made[generator.random(REPLAYED_ROWS) < 0.1] = np.nan
    return made


def _drawn(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    known, counts = np.unique(values[values != None], return_counts=True)  # noqa: E711
    frequent = known[np.argsort(-counts, kind="stable")[:20]]
    choices = np.array([*frequent, "(never seen)", None], np.object_)
    return choices[generator.integers(0, len(choices), REPLAYED_ROWS)]
