"""Who takes part in a pass over feature rows: models that answer, observers that look on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scorelake.calibration import Calibrator
from scorelake.scoring.package import Package

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Member:
    """One model of the pass. `reasons` of its features are named for each score; `calibrator` answers beside it (binary
    models); `budget_seconds` of predicting are
    allowed to it in one task, without limit if None."""

    package: Package
    classes: tuple[str, ...] = ()
    reasons: int = 0
    calibrator: Calibrator | None = None
    budget_seconds: float | None = None


class Observer(Protocol):
    """Looks at what the pass reads, e.g. to count it; `part` is what it has to say at the end of a task."""

    def add(self, batch: pa.RecordBatch) -> None: ...

    def part(self, partition: int) -> bytes: ...


@dataclass(frozen=True)
class Observed:
    """An observer of the columns `columns` and, as `score`, what the champion answered; made new for each task and
    each value of the night."""

    columns: tuple[str, ...]
    make: Callable[[], Observer]
