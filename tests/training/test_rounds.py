"""A long training that is killed goes on from its last rounds, and ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scorelake.training import boosting, rounds
from tests.training.made_up import dataset, model

SPEC = model(
    "binary",
    {
        "name": "xgboost",
        "rounds": 120,
        "early_stopping_rounds": 60,
        "params": {"max_depth": 3, "eta": 0.02, "subsample": 0.7, "colsample_bytree": 0.7},
    },
)
ROOT = Path(__file__).resolve().parents[2]
MORTAL = """
import os, signal, sys
from pathlib import Path
from scorelake.training import rounds
from tests.training.test_rounds import SPEC, boosting, dataset
over = rounds.is_over
def dying(values, patience):
    if len(values) == 60:
        os.kill(os.getpid(), signal.SIGKILL)
    return over(values, patience)
rounds.is_over = dying
boosting.fit(SPEC, dataset(), checkpoints=Path(sys.argv[1]))
"""


def test_a_killed_training_goes_on_and_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    killed = subprocess.run(
        [sys.executable, "-c", MORTAL, str(tmp_path)], env=os.environ | {"PYTHONPATH": paths}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.glob("*.rounds")
    values, _ = rounds.Checkpoint(left).read()
    assert len(values) == 50

    begun: list[int] = []
    over = rounds.is_over
    monkeypatch.setattr(rounds, "is_over", lambda values, patience: begun.append(len(values)) or over(values, patience))
    resumed = boosting.fit(SPEC, dataset(), checkpoints=tmp_path)
    assert begun[0] == 50
    assert not list(tmp_path.glob("*.rounds"))
    whole = boosting.fit(SPEC, dataset())
    assert bytes(resumed.model.save_raw("ubj")) == bytes(whole.model.save_raw("ubj"))
    assert resumed.details == whole.details


def test_other_rows_or_parameters_begin_anew(tmp_path: Path) -> None:
    params = boosting.parameters(SPEC, 0)
    own = rounds.Checkpoint.of(tmp_path, params, dataset())
    assert rounds.Checkpoint.of(tmp_path, params, dataset()) == own
    assert rounds.Checkpoint.of(tmp_path, {**params, "eta": 0.1}, dataset()) != own
    assert rounds.Checkpoint.of(tmp_path, params, dataset(seed=2)) != own


def test_it_stops_after_so_many_rounds_without_a_better_one() -> None:
    values = [0.5, 0.4, 0.45]
    assert (rounds.best_round(values, 2), rounds.is_over(values, 2)) == (2, False)
    values.append(0.4)
    assert (rounds.best_round(values, 2), rounds.is_over(values, 2)) == (2, True)
    assert (rounds.best_round(values, None), rounds.is_over(values, None)) == (4, False)
