"""Where in a feature repo an object is written, so that a finding can say file and line."""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scorelake.errors import Finding


@dataclass(frozen=True)
class Places:
    """File and line by (constructor or decorator, name); objects whose name is computed stand at the repo itself."""

    repo: Path
    lines: Mapping[tuple[str, str], tuple[Path, int]] = field(repr=False)

    def finding(self, kind: str, name: str, message: str) -> Finding:
        path, line = self.lines.get((kind, name), (self.repo, 0))
        return Finding(str(path), line, message)


def places_of(repo: Path, files: Iterable[Path]) -> Places:
    """Every `Kind(name="...")` and every function under a decorator. Files that do not parse have none."""
    lines: dict[tuple[str, str], tuple[Path, int]] = {}
    for path in files:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            for kind, name in _names(node):
                lines.setdefault((kind, name), (path, getattr(node, "lineno", 0)))
    return Places(repo, lines)


def _names(node: ast.AST) -> Iterable[tuple[str, str]]:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if (
                keyword.arg == "name"
                and isinstance(keyword.value, ast.Constant)
                and isinstance(keyword.value.value, str)
            ):
                yield _callee(node.func), keyword.value.value
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        yield "on_demand_feature_view", node.name


def _callee(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def import_failure(repo: Path, error: BaseException) -> Finding:
    """What stopped the import of the repo, at the innermost line of the repo's own files."""
    if isinstance(error, SyntaxError) and error.filename:
        return Finding(error.filename, error.lineno or 0, f"not Python: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(repo)]
    path, line = (own[-1].filename, own[-1].lineno or 0) if own else (str(repo), 0)
    return Finding(path, line, f"{type(error).__name__}: {error}")
