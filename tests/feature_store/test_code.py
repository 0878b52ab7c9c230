"""A function's meaning is its syntax and everything in its repo that it reaches."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from scorelake.feature_store.code import function_meaning

SOURCE = '''
import math
RATE = 2
class Rule:
    def apply(self, x):
        return x + 1
def helper(x):
    """Twice."""
    return x * RATE
def feature(x):
    return Rule().apply(helper(math.floor(x)))
'''


def meaning(folder: Path, source: str) -> dict[str, str]:
    path = folder / f"module_{abs(hash(source))}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return function_meaning(module.feature, folder)


@pytest.mark.parametrize(("old", "new"), [('"""Twice."""', "# doubles"), ("return x * RATE", "return (x * RATE)")])
def test_comments_and_layout_leave_no_trace(tmp_path: Path, old: str, new: str) -> None:
    assert meaning(tmp_path, SOURCE.replace(old, new)) == meaning(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("x * RATE", "x + RATE"), ("RATE = 2", "RATE = 3"), ("x + 1", "x + 2"), ("math.floor", "math.ceil")],
)
def test_a_change_in_anything_it_reaches_shows(tmp_path: Path, old: str, new: str) -> None:
    assert meaning(tmp_path, SOURCE.replace(old, new)) != meaning(tmp_path, SOURCE)


def test_what_it_does_not_reach_leaves_no_trace(tmp_path: Path) -> None:
    assert meaning(tmp_path, SOURCE + "OTHER = 1\n") == meaning(tmp_path, SOURCE)
