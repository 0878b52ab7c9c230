"""Boosting round by round: when to stop, and what a killed training leaves behind to go on from."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xgboost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scorelake.training.dataset import Dataset

KEPT_EVERY = 25
"""Rounds; so many are lost by a kill at most."""


@dataclass(frozen=True)
class Checkpoint:
    """A local file: one line with the validation values so far, then the trees (UBJ)."""

    path: Path

    @classmethod
    def of(cls, folder: Path, params: Mapping[str, Any], data: Dataset) -> Checkpoint:
        """The place of this very training: other parameters, other rows or other labels have another."""
        asked = hashlib.sha256(json.dumps({**params, "nthread": None}, sort_keys=True).encode())
        for part in (data.train, data.validation):
            asked.update(f"{part.matrix.shape}".encode() + part.label.tobytes() + part.entity.tobytes())
        return cls(folder / f"{asked.hexdigest()[:24]}.rounds")

    def read(self) -> tuple[list[float], bytearray | None]:
        if not self.path.is_file():
            return [], None
        first, _, trees = self.path.read_bytes().partition(b"\n")
        return json.loads(first), bytearray(trees)

    def write(self, values: list[float], booster: xgboost.Booster) -> None:
        """In one step: a kill leaves the one before or this one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".new")
        scratch.write_bytes(json.dumps(values).encode() + b"\n" + bytes(booster.save_raw("ubj")))
        os.replace(scratch, self.path)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


def boosted(
    params: Mapping[str, Any],
    train: xgboost.DMatrix,
    validation: xgboost.DMatrix,
    *,
    rounds: int,
    patience: int | None,
    checkpoint: Checkpoint | None = None,
) -> tuple[xgboost.Booster, int]:
    """The trees of at most `rounds`, and how many of them to keep: up to the first round that is best on validation, or
    all without `patience`, after so many rounds without a better one of which the training ends.

    XGBoost cannot be told where its draws (subsample, colsample) were. A training that draws begins them anew after
    every `KEPT_EVERY` rounds, whether it was killed or not, so that both draw alike.
    """
    values, begun = checkpoint.read() if checkpoint is not None else ([], None)
    booster = _begin(params, train, validation, begun, block=len(values) // KEPT_EVERY)
    while len(values) < rounds and not is_over(values, patience):
        booster.update(train, iteration=len(values))
        told = booster.eval_set([(validation, "validation")], iteration=len(values))
        values.append(float(told.rpartition(":")[2]))
        if len(values) % KEPT_EVERY == 0:
            if checkpoint is not None:
                checkpoint.write(values, booster)
            if _draws(params):
                trees = booster.save_raw("ubj")
                booster = _begin(params, train, validation, trees, block=len(values) // KEPT_EVERY)
    if checkpoint is not None:
        checkpoint.forget()
    return booster, best_round(values, patience)


def _begin(
    params: Mapping[str, Any],
    train: xgboost.DMatrix,
    validation: xgboost.DMatrix,
    trees: bytearray | None,
    *,
    block: int,
) -> xgboost.Booster:
    own = {**params, "seed": params["seed"] + block} if _draws(params) else dict(params)
    return xgboost.Booster(own, [train, validation], model_file=trees)


def _draws(params: Mapping[str, Any]) -> bool:
    shares = (value for name, value in params.items() if name == "subsample" or name.startswith("colsample"))
    return params.get("booster") == "dart" or any(share is not None and share < 1 for share in shares)


def is_over(values: list[float], patience: int | None) -> bool:
    return patience is not None and len(values) - best_round(values, patience) >= patience


def best_round(values: list[float], patience: int | None) -> int:
    """Lower is better, and of equal rounds the first."""
    if patience is None or not values:
        return len(values)
    return values.index(min(values)) + 1
