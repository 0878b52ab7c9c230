"""The challenger tried on real features, as a night would ask it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from scorelake.drift import measures
from scorelake.scoring.asking import one_number, without_infinite
from scorelake.scoring.package import pack, predictor
from scorelake.tables import quoted
from scorelake.training.operation import Tried

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from scorelake.models import Model
    from scorelake.stores.lake import Lake
    from scorelake.stores.model_registry import Pinned

_BINS = 10
_TIMES = 3


def tried(lake: Lake, spec: Model, day: date, challenger: Pinned, champion: Pinned | None) -> Tried:
    """Scores of the first `smoke_rows` rows of the newest features slice up to `day`; all meet on the driver.

    Models are asked as the workers ask them. CPU is the least of three times, of one thread.
    """
    size = sum(path.stat().st_size for path in challenger.folder.rglob("*") if path.is_file())
    table, wanted = f"features.{spec.feature_service}", spec.promotion.smoke_rows
    slices = [night for night in lake.marks(table, "build_features") if night <= day] if lake.exists(table) else []
    if wanted is None or not slices:
        return Tried(size)
    models = [challenger, *([champion] if champion is not None else [])]
    newest = max(slices)
    rows = _rows(lake, table, newest, models, wanted)
    if rows is None:
        return Tried(size, newest)
    count = rows.num_rows
    try:
        score, seconds = _answers(challenger, rows)
    except Exception as error:  # whatever a library raises; its message may show rows
        return Tried(size, newest, count, count, type(error).__name__, has_champion=champion is not None)
    failures = int((~np.isfinite(score)).sum())
    psi = None
    if champion is not None and not failures:
        psi = score_psi(_answers(champion, rows)[0], score)
    return Tried(size, newest, count, failures, "", 1e6 * seconds / count, psi, champion is not None)


def _rows(lake: Lake, table: str, day: date, models: Sequence[Pinned], count: int) -> pa.RecordBatch | None:
    features = list(dict.fromkeys(feature for model in models for feature in model.features))
    slice_ = lake.read_slices(table, [day])
    found = slice_.select(*map(quoted, [name for name in features if name in slice_.columns])).limit(count)
    batches = found.toArrow().combine_chunks().to_batches()
    return without_infinite(batches[0])[0] if batches else None


def _answers(model: Pinned, rows: pa.RecordBatch) -> tuple[NDArray[np.float64], float]:
    """One score a row, of classes the greatest probability; and the CPU seconds it takes."""
    ask = predictor(pack(model.folder, digest=model.digest, features=model.features))
    seconds = []
    for _ in range(_TIMES):
        began = time.process_time()
        answers = ask(rows)
        seconds.append(time.process_time() - began)
    score = answers.max(axis=1) if model.classes else one_number(answers)
    return np.asarray(score, np.float64), min(seconds)


def score_psi(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float | None:
    """PSI of `current` in the tenths of `reference`, smoothed as drift is; None when a reference is not finite."""
    if not np.isfinite(reference).all():
        return None
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).astype(np.float64)
        for values in (reference, current)
    ]
    least = measures.epsilon(len(reference), len(current))
    return measures.psi(measures.smoothed(counts[0], least), measures.smoothed(counts[1], least))
