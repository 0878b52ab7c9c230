"""What rows must be before they can teach. Messages name features and counts, never values of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorelake.errors import UnfitTrainingSet
from scorelake.models import Task
from scorelake.training.dataset import Dataset, Part, names


def classes(label: NDArray[np.object_]) -> tuple[str, ...]:
    """The class names of the train part: in order of number if all are numbers, else of text."""
    found = sorted(set(label.tolist()))
    try:
        return tuple(sorted(found, key=float))
    except ValueError:
        return tuple(found)


def codes(label: NDArray[np.object_], known: tuple[str, ...], part: str) -> NDArray[np.float64]:
    """Position of each label in `known`. UnfitTrainingSet when `part` holds a class that train does not."""
    position = {name: code for code, name in enumerate(known)}
    unknown = {value for value in set(label.tolist()) if value not in position}
    if unknown:
        raise UnfitTrainingSet(f"{part} holds {len(unknown)} classes that train does not; move the split dates")
    return np.fromiter((position[value] for value in label.tolist()), np.float64, len(label))


def check(data: Dataset, task: Task) -> tuple[str, ...]:
    """Warnings. UnfitTrainingSet says everything that is wrong, not only the first."""
    problems = [*_labels(data, task), *_infinite(data), *_all_null(data.train)]
    if problems:
        raise UnfitTrainingSet("; ".join(problems))
    constant = _constant(data.train)
    return (f"constant in train, so they teach nothing: {', '.join(constant)}",) if constant else ()


def require_teaching(unlabelled: int, *, is_one: bool, infinite: Mapping[str, int]) -> None:
    """UnfitTrainingSet for rows that were only counted and that no model can learn from; `is_one`: the labels of train
    are all the same; `infinite` are rows with an infinite value by feature.
    """
    if unlabelled:
        raise UnfitTrainingSet(f"{unlabelled:,} labels are NaN, infinite or of a class too rare for a sample of train")
    if is_one:
        raise UnfitTrainingSet("train holds one label only; widen its dates, or check the label's SQL")
    for problem in _told_infinite(infinite):
        raise UnfitTrainingSet(problem)


def _labels(data: Dataset, task: Task) -> Iterable[str]:
    for name, part in data.parts.items():
        if not np.isfinite(part.label).all():
            yield f"{name}: labels are NaN or infinite"
        elif task == "binary" and not np.isin(part.label, (0, 1)).all():
            yield f"{name}: labels of a binary model must be 0 or 1"
    if task != "regression" and len(np.unique(data.train.label)) < 2:
        yield "train holds one class only; widen its dates, or check the label's SQL"


def _infinite(data: Dataset) -> Iterable[str]:
    """Infinite as the model sees it: in float32, anything beyond 3.4e38 as well."""
    numeric = names(data.features, "number")
    bad: dict[str, int] = {}
    for part in data.parts.values():
        for position, name in enumerate(numeric):
            count = int(np.isinf(part.matrix[:, position]).sum())
            if count:
                bad[name] = bad.get(name, 0) + count
    yield from _told_infinite(bad)


def _told_infinite(rows: Mapping[str, int]) -> Iterable[str]:
    shown = ", ".join(f"{name} ({count:,} rows)" for name, count in rows.items() if count)
    if shown:
        yield f"infinite values in {shown}; guard the feature's division or logarithm"


def _all_null(train: Part) -> Iterable[str]:
    empty = [
        name
        for position, name in enumerate(names(train.features, "number"))
        if np.isnan(train.matrix[:, position]).all()
    ]
    empty += [name for name, values in train.categories.items() if all(value is None for value in values)]
    if empty:
        yield f"null in every row of train: {', '.join(empty)}; exclude them, or check their feature view"


def _constant(train: Part) -> list[str]:
    numeric = names(train.features, "number")
    return [name for position, name in enumerate(numeric) if _is_constant(train.matrix[:, position])] + [
        name for name, values in train.categories.items() if len(set(values.tolist())) == 1
    ]


def _is_constant(column: NDArray[np.floating[Any]]) -> bool:
    """One value and no null: a null beside one value still tells rows apart."""
    return bool((column == column[0]).all())
