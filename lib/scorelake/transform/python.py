"""Functions of the team, named `module:function` in a contract, from `<conf-dir>/python/`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from scorelake.errors import ConfigError, Finding


def source_of(conf_dir: Path, reference: str) -> Path:
    """The file of the module that `reference` names; ConfigError when the reference is malformed or dangling."""
    module, colon, function = reference.partition(":")
    path = conf_dir / "python" / f"{module.replace('.', '/')}.py"
    if not (colon and function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigError(f"transform {reference!r}: expected module:function in {conf_dir / 'python'}")
    if not path.is_file():
        raise ConfigError([Finding(str(path), 0, f"not found, but a contract says transform: {reference}")])
    return path


def load(conf_dir: Path, reference: str) -> Callable[..., Any]:
    """The function itself. Its folder joins sys.path, so that modules beside it can be imported."""
    path = source_of(conf_dir, reference)
    module_name, _, function_name = reference.partition(":")
    function = getattr(_imported(path.parents[module_name.count(".")], module_name), function_name, None)
    if not callable(function):
        raise ConfigError([Finding(str(path), 0, f"has no function {function_name}")])
    return function  # type: ignore[no-any-return]


def import_all(conf_dir: Path) -> None:
    """Import every module of the folder, so that classes which register themselves (expectations) are known."""
    folder = conf_dir / "python"
    for path in sorted(folder.glob("*.py")):
        _imported(folder, path.stem)


def _imported(folder: Path, name: str) -> ModuleType:
    """The module; what it and its neighbours define travels to workers by value, since they have no such folder."""
    from pyspark import cloudpickle

    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = importlib.import_module(name)
    for known in list(sys.modules.values()):
        file = getattr(known, "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            cloudpickle.register_pickle_by_value(known)  # type: ignore[no-untyped-call]
    return module
