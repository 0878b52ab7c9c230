"""Rows that lie on disk: the same values, and a model as good as one whose rows are in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scorelake.training import pages, spilled, train
from tests.training.made_up import dataset, model


def test_matrix_on_disk_keeps_its_values_when_its_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled, "LARGE_BYTES", 1)
    matrix = spilled.allocated(50_000, 3, "float32")
    assert (matrix == 0).all()
    matrix[:, 1] = np.arange(50_000)
    spilled.release(matrix)
    spilled.release(matrix[10:20])
    assert (matrix[:, 1] == np.arange(50_000)).all()


def test_splits_lie_at_every_value_of_a_column_that_has_few_and_at_equal_ranks_of_others() -> None:
    few = np.repeat([3.0, 1.0, np.nan, 2.0], 250)
    many = np.random.default_rng(0).permutation(1_000) ** 2.0
    found = pages.split_values(np.column_stack([few, many, np.full(1_000, np.nan)]).astype(np.float32), 4)
    assert found[:3, 0].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(found[3, 0])
    assert found[:, 1].tolist() == [0.0, 333.0**2, 666.0**2, 999.0**2]
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_rows_on_disk_train_as_good_a_model_as_rows_in_memory(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(task, rows=3_000, dtype="float32")  # type: ignore[arg-type]
    spec = model(task, {"name": "xgboost", "params": {"max_depth": 3, "max_bin": 64}})  # type: ignore[arg-type]
    in_memory = train.fit(spec, data)
    monkeypatch.setattr(spilled, "LARGE_BYTES", 1)
    monkeypatch.setattr(pages, "_LEAST_PAGE", 8_000)
    first, second = train.fit(spec, data), train.fit(spec, data)
    headline = spec.headline
    assert first.metrics["test"][headline].value == pytest.approx(in_memory.metrics["test"][headline].value, abs=0.01)
    assert first.scored["test"].score.tobytes() == second.scored["test"].score.tobytes()
    assert first.feature_names == in_memory.feature_names


def test_cache_of_pages_is_gone_after_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled, "LARGE_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    train.learn(model(), dataset(dtype="float32"))
    assert list(tmp_path.iterdir()) == []
