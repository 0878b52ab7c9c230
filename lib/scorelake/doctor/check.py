"""The words of an examination: a check looks at a machine, sees something, and that makes a diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scorelake.settings import Settings


@dataclass(frozen=True)
class Machine:
    """Where the checkout lies (`pyproject.toml` is in it) and what the environment is set to."""

    checkout: Path
    settings: Settings


@dataclass(frozen=True)
class Seen:
    """`what` is one line, for a reader: a version, a place, or what is wrong."""

    ok: bool
    what: str


@dataclass(frozen=True)
class Check:
    """`look` may raise: that is a finding as well, with the same fix."""

    name: str
    look: Callable[[Machine], Seen]
    fix: str


@dataclass(frozen=True)
class Diagnosis:
    """`fix` is empty when all is well."""

    name: str
    ok: bool
    what: str
    fix: str
