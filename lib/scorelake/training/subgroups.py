"""How a model does for each group of entities that the model file names, with sizes and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorelake import metrics
from scorelake.metrics import Estimate
from scorelake.models import Model

MOST_GROUPS = 20
OTHERS, NULL = "(other values)", "(null)"
DEFAULT_CUT = 0.5
"""Decides 1 where neither model file nor version says otherwise."""
_ROUNDS = 200


@dataclass(frozen=True)
class Subgroup:
    """`estimates` by metric of the task and, for a binary model, by rate at the cut."""

    column: str
    value: str
    rows: int
    estimates: Mapping[str, Estimate]

    @property
    def name(self) -> str:
        return f"{self.column}={self.value}"


def judged(
    spec: Model,
    label: NDArray[np.float64],
    score: NDArray[np.float64],
    entity: NDArray[np.int64],
    groups: Mapping[str, NDArray[np.object_]],
    *,
    cut: float | None = None,
) -> tuple[Subgroup, ...]:
    """One entry a column and value: the 20 commonest values, the rest together; null is a value.

    `groups` holds the text of each row by column. Intervals draw whole entities, at most 200 times.
    """
    found = []
    for column, values in groups.items():
        for value, rows in _by_value(values):
            found.append(
                Subgroup(column, value, len(rows), _estimates(spec, label[rows], score[rows], entity[rows], cut))
            )
    return tuple(found)


def _by_value(values: NDArray[np.object_]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    texts = np.array([NULL if value is None else str(value) for value in values], np.object_)
    known, codes, counts = np.unique(texts.astype(str), return_inverse=True, return_counts=True)
    common = np.argsort(-counts, kind="stable")
    for code in np.sort(common[:MOST_GROUPS]):
        yield str(known[code]), np.flatnonzero(codes == code)
    if len(common) > MOST_GROUPS:
        yield OTHERS, np.flatnonzero(np.isin(codes, common[MOST_GROUPS:]))


def _estimates(
    spec: Model,
    label: NDArray[np.float64],
    score: NDArray[np.float64],
    entity: NDArray[np.int64],
    cut: float | None,
) -> dict[str, Estimate]:
    rounds, confidence = min(spec.metrics.bootstrap, _ROUNDS), spec.metrics.confidence
    found = metrics.intervals(
        spec.task, label, score, seed=spec.seed, rounds=rounds, confidence=confidence, groups=entity
    )
    if spec.task == "binary":
        at = DEFAULT_CUT if cut is None else cut
        found |= metrics.rates(label, score >= at, seed=spec.seed, rounds=rounds, confidence=confidence, groups=entity)
    return found
