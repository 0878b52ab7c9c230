"""One model asked batch by batch, with the patience that its role has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from scorelake.errors import ContractBroken, ScorelakeError
from scorelake.scoring.loaded import Loaded
from scorelake.scoring.package import loaded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from scorelake.packing import Batch
    from scorelake.scoring.members import Member

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a model says of a batch: `score` (rows,) with NaN for none; the others where they were asked for.

    `probabilities` (rows, classes); `reasons` (rows, k) indices of features, `contributions` beside them.
    """

    score: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None = None
    reasons: np.ndarray[Any, Any] | None = None
    contributions: np.ndarray[Any, Any] | None = None


class Asked:
    """A member of the pass in one task; member 0 is the champion, whose failure is the task's."""

    def __init__(self, number: int, member: Member) -> None:
        self.number, self.member = number, member
        self._seconds, self._rows, self._failure = 0.0, 0, ""
        self._thread = ThreadPoolExecutor(1) if member.budget_seconds is not None else None

    def answers(self, batch: Batch) -> Answer | None:
        """None once the model has been given up."""
        if self._failure:
            return None
        began = time.monotonic()
        try:
            found = self._within_budget(lambda: _answer(self.member, batch))
        except TimeoutError:
            self._failure = f"used its {self.member.budget_seconds:g} s"
        except Exception as error:
            # Messages of libraries may show rows: only the kind of error leaves this task.
            told = str(error) if isinstance(error, ContractBroken) else type(error).__name__
            if self.number == 0:
                raise ScorelakeError(f"the champion failed on a batch of {len(batch):,} rows: {told}") from None
            self._failure = told
        finally:
            self._seconds += time.monotonic() - began
        if self._failure:
            return None
        self._rows += len(batch)
        return found

    def said(self) -> bytes:
        """What became of the model in this task, as JSON."""
        return json.dumps({"rows": self._rows, "seconds": self._seconds, "failure": self._failure}).encode()

    def _within_budget(self, ask: Callable[[], T]) -> T:
        """A call that does not come back is left behind in its thread, and its answer is not waited for."""
        if self._thread is None or self.member.budget_seconds is None:
            return ask()
        left = self.member.budget_seconds - self._seconds
        if left <= 0:
            raise TimeoutError
        answer = self._thread.submit(ask)
        try:
            return answer.result(timeout=left)
        finally:
            if not answer.done():
                self._thread.shutdown(wait=False, cancel_futures=True)


def _answer(member: Member, batch: Batch) -> Answer:
    import numpy as np

    model = loaded(member.package)
    matrix = _finite_matrix(model, batch, member.package.features)
    has_reasons = bool(member.reasons) and model.contributions is not None
    rows: pa.RecordBatch | None = None
    infinite: np.ndarray[Any, Any] | None = None
    if matrix is None or has_reasons:
        rows, infinite = without_infinite(batch.columns(member.package.features))
    answers = model.predict(rows) if matrix is None or model.of_matrix is None else model.of_matrix(matrix)
    best = None
    probabilities = None
    if member.classes:
        probabilities = answers.reshape(len(batch), len(member.classes))
        best = probabilities.argmax(axis=1)
        found = probabilities[np.arange(len(batch)), best]
    else:
        found = one_number(answers)
    found = np.where(np.isfinite(found), found, np.nan)
    if infinite is not None:
        found[infinite] = np.nan
    if not has_reasons:
        return Answer(found, probabilities)
    top, contributions = _top(model, rows, member.reasons, best)
    return Answer(found, probabilities, top, contributions)


def _finite_matrix(model: Loaded, batch: Batch, features: Sequence[str]) -> np.ndarray[Any, Any] | None:
    """The batch as the matrix that the model takes; None where it takes none, or a number may be infinite."""
    import numpy as np

    if model.of_matrix is None:
        return None
    matrix = batch.matrix(features)
    # A double beyond float32 looks infinite here: the columns tell them apart.
    return None if np.isinf(matrix).any() else matrix


def one_number(answers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Shape (rows,): of two columns, which are both classes of a binary classifier, the second, the positive one."""
    if answers.ndim == 2 and answers.shape[1] == 2:
        return answers[:, 1]
    return answers.reshape(len(answers))


def without_infinite(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, np.ndarray[Any, Any] | None]:
    """The batch with null for infinite numbers, and which rows had one; models differ in what they do with them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    infinite = None
    columns = batch.columns
    for position, column in enumerate(columns):
        if pa.types.is_floating(column.type):
            found = pc.is_inf(column)
            if pc.any(found).as_py():
                columns[position] = pc.if_else(found, pa.scalar(None, column.type), column)
                rows = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
                infinite = rows if infinite is None else np.logical_or(infinite, rows)
    if infinite is None:
        return batch, None
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names), infinite


def _top(
    model: Loaded, batch: pa.RecordBatch, count: int, best: np.ndarray[Any, Any] | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The features that moved each score most, by size of contribution; of classes, those of the predicted one."""
    import numpy as np

    assert model.contributions is not None
    found = model.contributions(batch)
    rows = np.arange(len(batch))
    own = found[rows, best if best is not None else 0, :-1]
    top = np.argsort(-np.abs(own), axis=1, kind="stable")[:, :count]
    return top, own[rows[:, None], top]
