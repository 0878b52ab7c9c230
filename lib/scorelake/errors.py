"""Every error that Scorelake raises on purpose. The class is the diagnosis and holds the exit code.

Exit codes: 1 failed; 2 wrong call or configuration (found before Spark starts);
3 an input is not there yet (retry later); 4 a gate said no (the refused date is not published).
A message says which table, file or setting, what was expected, what was found, what to do.
It never shows values of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class ScorelakeError(Exception):
    """Base of all; also what a run that failed for its own reasons raises."""

    exit_code = 1


# ------------------------------------------------------------------ 2: wrong call or configuration


class UsageError(ScorelakeError):
    """The command line asks for something that cannot be."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong in a definition file; `line` is 1-based, 0 when it concerns the whole file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ConfigError(ScorelakeError):
    """Definitions or settings that cannot be used; carries every finding, not only the first."""

    exit_code = 2

    def __init__(self, findings: Iterable[Finding] | str) -> None:
        self.findings = [] if isinstance(findings, str) else sorted(findings)
        super().__init__(findings if isinstance(findings, str) else "\n".join(map(str, self.findings)))


class EnvironmentProblem(ScorelakeError):
    """The machine cannot run this: Java, zone, rights, a missing jar."""

    exit_code = 2


# ------------------------------------------------------------------ 3: not there yet


class MissingInput(ScorelakeError):
    """An expected drop, slice or model is not there; a later attempt may find it."""

    exit_code = 3


class Busy(ScorelakeError):
    """Another run holds what this one needs; a later attempt may have it."""

    exit_code = 3


# ------------------------------------------------------------------ 4: a gate said no


class GateRefused(ScorelakeError):
    """Data, a model or drift failed a declared limit; nothing of the refused date was published."""

    exit_code = 4


class UnfitTrainingSet(GateRefused):
    """The labelled rows cannot teach: too few, one class only, an all-null feature, a label that is null."""


class ModelRefused(GateRefused):
    """A model version is not what was registered: files gone or changed, unsafe to load, or other scores."""


# ------------------------------------------------------------------ 1: failed


class DamagedFile(ScorelakeError):
    """A landed file cannot be read to its end."""


class ContractBroken(ScorelakeError):
    """A frame or table is not what its contract says: a column gone, renamed or of another type."""


class ExpectationRaised(ScorelakeError):
    """An expectation could not be judged at all; this is an error, not failed data."""


class FeatureOverflow(ScorelakeError):
    """An exact total of a window does not fit the type of its feature."""
