"""What each of the workers does that train one XGBoost model together.

They agree on what the rows of all say of themselves before anybody waits for anybody, so that rows which cannot teach
are told as what they are, not as a worker that was lost.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xgboost
from numpy.typing import NDArray

from scorelake.matrix import numbers
from scorelake.models import Imbalance, Model
from scorelake.training import checks, imbalance, pages, rounds
from scorelake.training.fitted import Floats

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import BarrierTaskContext

    from scorelake.packing import Batch

ANSWER = "told string, trees binary"
"""The one row that the first worker answers."""


@dataclass(frozen=True)
class Facts:
    """What the rows of one worker, or of all, say of themselves before anybody learns from them.

    `unlabelled` rows have a label that is NaN, infinite or of an unknown class; `least` and `greatest` are labels of
    train (None without rows), `counts` its rows by class code, `infinite` the infinite values by feature.
    """

    unlabelled: int
    least: float | None
    greatest: float | None
    counts: list[int]
    infinite: list[int]

    @classmethod
    def of_all(cls, each: Iterable[Facts]) -> Facts:
        known = list(each)
        return cls(
            sum(one.unlabelled for one in known),
            min((one.least for one in known if one.least is not None), default=None),
            max((one.greatest for one in known if one.greatest is not None), default=None),
            np.sum([one.counts for one in known], axis=0).tolist(),
            np.sum([one.infinite for one in known], axis=0).tolist(),
        )

    @property
    def can_teach(self) -> bool:
        return not self.unlabelled and self.least != self.greatest and not any(self.infinite)

    def require(self, columns: Sequence[str]) -> None:
        """UnfitTrainingSet when the rows cannot teach; the message names features and counts."""
        infinite = dict(zip(columns, self.infinite, strict=True))
        checks.require_teaching(self.unlabelled, is_one=self.least == self.greatest, infinite=infinite)

    def weighing(self, asked: Imbalance) -> imbalance.Weighing:
        return imbalance.weighing(asked, np.array(self.counts, np.float64))


@dataclass(frozen=True)
class Asked:
    """What every worker does: `spec` trained on `columns` with XGBoost's `params`; `classes` as in a Dataset."""

    spec: Model
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    params: Mapping[str, Any]

    def run(self, batches: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
        """Reads, agrees with the others that the rows can teach, and trains with them. The first answers for all."""
        import pyarrow as pa
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        train, validation = self._read(batches)
        said = context.allGather(json.dumps(asdict(self._facts(train, validation))))
        facts = Facts.of_all(Facts(**json.loads(one)) for one in said)
        used, trees = self._trained(context, train, validation, facts) if facts.can_teach else (0, b"")
        if context.partitionId() == 0:
            told = json.dumps({"facts": asdict(facts), "used": used, "workers": len(said)})
            yield pa.RecordBatch.from_pydict({"told": [told], "trees": [trees]})

    def _read(self, batches: Iterable[Batch]) -> tuple[list[Piece], list[Piece]]:
        """Train and validation of this worker. Each begins with a piece of no rows, since there may be no other."""
        import pyarrow as pa
        import pyarrow.compute as pc

        nothing = Piece(np.empty((0, len(self.columns)), np.float32), np.empty(0))
        parts = {"train": [nothing], "validation": [nothing]}
        for batch in batches:
            piece = Piece(batch.matrix(self.columns), self._labels(batch))
            split = batch.columns(["split"]).column(0).cast(pa.string())
            for name, pieces in parts.items():
                mine = pc.equal(split, name).to_numpy(zero_copy_only=False)
                if mine.any():
                    pieces.append(piece if mine.all() else Piece(piece.matrix[mine], piece.label[mine]))
        return parts["train"], parts["validation"]

    def _labels(self, batch: Batch) -> Floats:
        """As XGBoost takes them; NaN for null and for an unknown class."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = batch.columns(["label"])
        if self.spec.task == "multiclass":
            codes = pc.index_in(column.column(0).cast(pa.string()), pa.array(self.classes))
            return codes.cast(pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
        found = numbers(column, "label").astype(np.float64)
        return np.where(np.isin(found, (0, 1)), found, np.nan) if self.spec.task == "binary" else found

    def _facts(self, train: Sequence[Piece], validation: Sequence[Piece]) -> Facts:
        labels = np.concatenate([piece.label for piece in train])
        finite = labels[np.isfinite(labels)]
        of_validation = sum(int(np.count_nonzero(~np.isfinite(piece.label))) for piece in validation)
        codes = [] if self.spec.task == "regression" else finite.astype(np.int64)
        return Facts(
            unlabelled=len(labels) - len(finite) + of_validation,
            least=float(finite.min()) if len(finite) else None,
            greatest=float(finite.max()) if len(finite) else None,
            counts=np.bincount(codes, minlength=max(2, len(self.classes))).tolist(),
            infinite=sum(np.isinf(piece.matrix).sum(axis=0) for piece in (*train, *validation)).tolist(),
        )

    def _trained(
        self, context: BarrierTaskContext, train: list[Piece], validation: list[Piece], facts: Facts
    ) -> tuple[int, bytes]:
        """How many rounds to keep, and the trees (UBJ). Empties `train` and `validation`: XGBoost has its own copy."""
        weighing = facts.weighing(self.spec.imbalance) if self.spec.imbalance is not None else None
        weights, heard = (weighing.weights, weighing.heard) if weighing is not None else (None, None)
        shared = {"nthread": self.params["nthread"], "max_bin": int(self.params.get("max_bin", pages.BINS))}
        algorithm = self.spec.algorithm
        with xgboost.collective.CommunicatorContext(**_communicator(context)):
            own = xgboost.QuantileDMatrix(_Pieces(train, weights), **shared)
            other = xgboost.QuantileDMatrix(_Pieces(validation, heard), ref=own, **shared)
            train.clear()
            validation.clear()
            booster, used = rounds.boosted(
                self.params, own, other, rounds=algorithm.rounds, patience=algorithm.early_stopping_rounds
            )
        return used, bytes(booster.save_raw("ubj"))


class Piece(NamedTuple):
    """Rows of one part: (rows, columns) of float32, and their labels."""

    matrix: NDArray[np.float32]
    label: Floats


class _Pieces(xgboost.DataIter):
    """A part of the rows, piece by piece; `weights` by class code."""

    def __init__(self, pieces: Sequence[Piece], weights: Floats | None) -> None:
        self._pieces, self._weights, self._next = pieces, weights, 0
        super().__init__()

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._next == len(self._pieces):
            return False
        piece = self._pieces[self._next]
        self._next += 1
        weight = None if self._weights is None else self._weights[piece.label.astype(np.int64)]
        input_data(data=piece.matrix, label=piece.label, weight=weight)
        return True

    def reset(self) -> None:
        self._next = 0


def _communicator(context: BarrierTaskContext) -> dict[str, Any]:
    """How this worker finds the others: by a tracker in the first, which a stage that starts again makes anew."""
    tasks = context.getTaskInfos()
    found: dict[str, Any] = {}
    if context.partitionId() == 0:
        host = socket.gethostbyname(tasks[0].address.rpartition(":")[0])
        tracker = xgboost.tracker.RabitTracker(n_workers=len(tasks), host_ip=host, sortby="task")
        tracker.start()
        threading.Thread(target=tracker.wait_for, daemon=True).start()
        found = dict(tracker.worker_args())
    args: dict[str, Any] = json.loads(context.allGather(json.dumps(found))[0])
    return {**args, "dmlc_task_id": str(context.partitionId())}
