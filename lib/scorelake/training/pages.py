"""Training rows as XGBoost takes them: at once while they are few, else page by page through a cache on disk.

XGBoost's index of a matrix with nulls is larger than the matrix itself, and so is the sketch from which it finds where
to split; both would stand in memory beside it. Pages need a few megabytes, and the values between which a tree may
split are found column by column from all rows, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from scorelake.training import spilled
from scorelake.training.dataset import Part, names

_LEAST_PAGE, _LARGEST_PAGE = 8 * 2**20, 64 * 2**20
_PAGES = 16
BINS = 256
"""XGBoost's own default of `max_bin`."""


def train_and_validation(
    train: Part, validation: Part, scratch: Path, *, bins: int = BINS
) -> tuple[xgboost.DMatrix, xgboost.DMatrix]:
    """Both parts, binned by the values of train. `scratch` is an empty folder that must outlive both."""
    columns = names(train.features, "number")
    if not spilled.is_large(train.matrix):
        own = xgboost.QuantileDMatrix(
            train.matrix, train.label, weight=train.weight, feature_names=columns, max_bin=bins
        )
        other = xgboost.QuantileDMatrix(
            validation.matrix,
            validation.label,
            weight=validation.weight,
            feature_names=columns,
            ref=own,
            max_bin=bins,
        )
        return own, other
    edges = xgboost.QuantileDMatrix(split_values(train.matrix, bins), feature_names=columns, max_bin=bins)
    paged = xgboost.ExtMemQuantileDMatrix(_Pages(train, columns, scratch / "train"), ref=edges, max_bin=bins)
    watched = _Pages(validation, columns, scratch / "validation")
    return paged, xgboost.ExtMemQuantileDMatrix(watched, ref=paged, max_bin=bins)


def split_values(matrix: NDArray[np.floating[Any]], bins: int) -> NDArray[np.float32]:
    """Shape (bins, columns): all values of a column that has at most `bins`, else `bins` of equal distance by rank,
    the least and the greatest among them. NaN fills the rest. One column is copied at a time.
    """
    found = np.full((bins, matrix.shape[1]), np.nan, np.float32)
    for position in range(matrix.shape[1]):
        column = np.sort(matrix[:, position])
        column = column[: len(column) - int(np.isnan(column).sum())]
        values = column[np.flatnonzero(np.diff(column, prepend=np.nan) != 0)]
        if len(values) > bins:
            values = np.unique(column[np.linspace(0, len(column) - 1, bins).astype(np.int64)])
        found[: len(values), position] = values
        spilled.release(matrix)
    return found


def by_page(part: Part, answer: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.float64]:
    """`answer` of all rows, asked page by page, so that of a matrix on disk no more than a page is resident."""
    answers = []
    for first in range(0, len(part), rows := _page_rows(part.matrix)):
        answers.append(np.asarray(answer(part.matrix[first : first + rows]), np.float64))
        spilled.release(part.matrix)
    return np.concatenate(answers)


def _page_rows(matrix: NDArray[Any]) -> int:
    page = min(max(matrix.nbytes // _PAGES, _LEAST_PAGE), _LARGEST_PAGE)
    row: int = matrix.shape[1] * matrix.itemsize
    return max(1, page // max(1, row))


class _Pages(xgboost.DataIter):
    def __init__(self, part: Part, columns: Sequence[str], cache: Path) -> None:
        self._part, self._columns = part, list(columns)
        self._rows, self._first = _page_rows(part.matrix), 0
        super().__init__(cache_prefix=str(cache))

    def next(self, input_data: Callable[..., Any]) -> bool:
        spilled.release(self._part.matrix)
        if self._first >= len(self._part):
            return False
        rows = slice(self._first, self._first + self._rows)
        self._first += self._rows
        page = np.ascontiguousarray(self._part.matrix[rows])
        weight = None if self._part.weight is None else self._part.weight[rows]
        input_data(data=page, label=self._part.label[rows], weight=weight, feature_names=self._columns)
        return True

    def reset(self) -> None:
        self._first = 0
