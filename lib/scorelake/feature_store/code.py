"""What a Python function means: its own syntax tree, and that of everything in the same repo that it calls."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from scorelake.digests import python_meaning

_PLAIN = (bool, int, float, str, bytes, Decimal, date, timedelta, type(None))


def function_meaning(function: Any, repo: Path) -> dict[str, str]:
    """By name: the syntax tree of `function` and of each function below `repo` that it reaches, and the plain values
    they read. Comments, layout, docstrings and decorators leave no trace; other packages are known by name alone.
    """
    found: dict[str, str] = {}
    pending = [("", function)]
    while pending:
        name, value = pending.pop()
        if name in found:
            continue
        if isinstance(value, FunctionType) and Path(value.__code__.co_filename).is_relative_to(repo):
            found[name] = _tree(value)
            pending += reads(value)
        elif isinstance(value, type) and any(isinstance(member, FunctionType) for member in vars(value).values()):
            found[name] = value.__qualname__
            pending += [(f"{name}.{key}", m) for key, m in vars(value).items() if isinstance(m, FunctionType)]
        else:
            found[name] = _plain(value)
    return found


def _tree(function: FunctionType) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda cut out of the call around it
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return python_meaning(ast.unparse(tree))


def reads(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Globals that the function's code names, and what it closes over."""
    known = function.__globals__
    yield from ((name, known[name]) for name in sorted(_names(function.__code__)) if name in known)
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    yield from ((f"closure {name}", cell.cell_contents) for name, cell in cells)


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _plain(value: Any) -> str:
    """Values that print as what they are; of anything else, which might print an address, where it comes from."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_plain(item) for item in value]
        return f"{type(value).__name__}{sorted(parts) if isinstance(value, set | frozenset) else parts}"
    if isinstance(value, dict):
        return f"dict{sorted((_plain(key), _plain(item)) for key, item in value.items())}"
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"
