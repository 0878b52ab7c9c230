"""What a binary model's scores are turned into: a calibrated probability and a decision, both fixed on validation.

The test part then says what they are worth. Both are kept with the version, so that every night applies the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from scorelake import calibration, metrics
from scorelake.calibration import Calibrator
from scorelake.errors import UnfitTrainingSet
from scorelake.metrics import Estimate
from scorelake.models import Costs, CutBy, Model

Floats = NDArray[np.float64]

NOBODY = float(np.nextafter(1, 2))
"""A cut that no probability reaches."""


@dataclass(frozen=True)
class Cut:
    """A score of at least `value` decides 1. `chosen` is the share of validation that it chooses."""

    value: float
    rule: str
    chosen: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Deciding:
    """`metrics` are of the test part: of the calibrated score by metric, and what the cut does there by name."""

    calibrator: Calibrator | None = None
    calibrated: Mapping[str, Estimate] = field(default_factory=dict)
    cut: Cut | None = None
    decisions: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def chosen(self) -> float | None:
        """The cut that the version brings along."""
        return self.cut.value if self.cut is not None else None

    @property
    def values(self) -> dict[str, float | None]:
        """As '<part>.<name>', for the record of the run."""
        found = {f"test_calibrated.{name}": estimate.value for name, estimate in self.calibrated.items()}
        found |= {f"test_decision.{name}": value for name, value in self.decisions.items()}
        return found | ({"cut": self.cut.value} if self.cut is not None else {})


def fixed(
    spec: Model,
    validation: tuple[Floats, Floats],
    test: tuple[Floats, Floats, NDArray[np.int64]],
    *,
    population: float | None = None,
) -> Deciding:
    """What `spec` asks for, from (label, score) of validation and (label, score, entity) of test.

    `population` is the number of entities of a night; a capacity is a share of it, by default of validation.
    """
    if spec.task != "binary":
        return Deciding()
    label, score, entity = test
    found = Deciding()
    if spec.calibration is not None:
        calibrator = _calibrator(spec.calibration, *validation)
        calibrated = metrics.intervals(
            "binary",
            label,
            calibrator(score),
            seed=spec.seed,
            rounds=spec.metrics.bootstrap,
            confidence=spec.metrics.confidence,
            groups=entity,
        )
        found = Deciding(calibrator, calibrated)
    cut_by = spec.scoring.cut_by
    if cut_by is None:
        return found
    cut = choose(cut_by, *validation, population=population)
    return Deciding(found.calibrator, found.calibrated, cut, decisions(label, score, cut.value, cut_by.costs))


def _calibrator(kind: calibration.Kind, label: Floats, score: Floats) -> Calibrator:
    try:
        return calibration.fit(kind, label, score)
    except ValueError as error:
        raise UnfitTrainingSet(f"calibration: {kind} needs both classes in validation: {error}") from error


def choose(cut_by: CutBy, label: Floats, score: Floats, *, population: float | None = None) -> Cut:
    """The cut that `cut_by` asks for on these rows: a score that one of them has, or NOBODY.

    Rows of equal score are chosen together. costs: the cheapest cut, of equally cheap ones that which chooses fewest.
    capacity and share: as many as there is room for, never more.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
    chosen = np.r_[0, ends + 1]
    if cut_by.costs is not None:
        hits = np.r_[0, np.cumsum(label[order])[ends]]
        spent = _cost(cut_by.costs, hits, chosen - hits, label.sum(), len(label))
        best, rule = int(np.argmin(spent)), "cheapest on validation by scoring.cut_by.costs"
    else:
        share = cut_by.share
        if cut_by.capacity is not None:
            share = min(1.0, cut_by.capacity / (population or len(label)))
        assert share is not None
        best = int(np.searchsorted(chosen, np.floor(share * len(label) + 1e-9), side="right")) - 1
        rule = f"at most {share:.4%} of the rows"
    value = NOBODY if best == 0 else float(score[order[ends[best - 1]]])
    return Cut(value, rule, float(chosen[best] / len(label)))


def decisions(label: Floats, score: Floats, cut: float, costs: Costs | None) -> dict[str, float | None]:
    """What deciding by `cut` does on these rows; a rate among no rows is None."""
    is_chosen = score >= cut
    hits = float(label[is_chosen].sum())
    chosen, positives, rows = float(is_chosen.sum()), float(label.sum()), len(label)
    found = {
        "selection_rate": chosen / rows if rows else None,
        "precision": hits / chosen if chosen else None,
        "recall": hits / positives if positives else None,
    }
    if costs is not None and rows:
        found["expected_cost"] = float(_cost(costs, np.array(hits), np.array(chosen - hits), positives, rows) / rows)
    return found


def _cost(costs: Costs, hits: Floats, misses: Floats, positives: float, rows: int) -> Floats:
    """Of `rows` rows with `positives` ones, where `hits` of them and `misses` others are chosen; benefits count as
    negative costs."""
    passed_over, left_alone = positives - hits, (rows - positives) - misses
    spent = costs.false_positive * misses + costs.false_negative * passed_over
    earned = costs.true_positive * hits + costs.true_negative * left_alone
    return np.asarray(spent - earned, np.float64)
