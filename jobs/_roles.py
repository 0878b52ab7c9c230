"""Who takes part in a scoring pass: versions resolved, checked and proved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jobs import _registry
from scorelake.calibration import Calibrator
from scorelake.errors import ContractBroken, MissingInput, ModelRefused
from scorelake.scoring import arms, proof
from scorelake.scoring.contract import require_types
from scorelake.scoring.members import Member
from scorelake.scoring.package import loaded, pack, predictor
from scorelake.scoring.publish import Role

if TYPE_CHECKING:
    from scorelake.models import Scoring
    from scorelake.rows import Rows
    from scorelake.scoring.answers import Report
    from scorelake.stores.model_registry import ModelRegistry, Pinned


@dataclass(frozen=True)
class Fate:
    """What became of a role in the pass. `record` goes into the mark of the commit."""

    role: Role
    record: Mapping[str, object]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Cast:
    """A member of the pass with its role and version; `note` says why it is not asked the fast way, if it is not."""

    role: str
    model: Pinned
    member: Member
    note: str = ""

    def fate(self, number: int, reports: Iterable[Report]) -> Fate:
        """Member `number` of the pass, after what all tasks reported of it."""
        told = [json.loads(report.content) for report in reports if report.about == f"member {number}"]
        failures = sorted({each["failure"] for each in told if each["failure"]})
        seconds = sum((each["seconds"] for each in told), 0.0)
        record = {
            "role": self.role,
            "model_version": self.model.version,
            "model_digest": self.model.digest,
            "way": loaded(self.member.package).way,
            "seconds": round(seconds, 3),
            "failure": "; ".join(failures),
        }
        told_of = f"{self.model.name}: {self.role} version {self.model.version} was given up and has no rows"
        notes = (f"{told_of}: {'; '.join(failures)}",) if failures else ()
        role = Role(self.role, self.model.version, is_alive=not failures, cut=cut(self.model))
        return Fate(role, record, notes)


def cast(
    champion: Pinned, role: str, rows: Rows, scoring: Scoring, registry: ModelRegistry, folder: Path, features_hash: str
) -> tuple[list[Cast], list[str]]:
    """The champion (or a restating version) and all that are scored beside it; and why others are not.

    What is wrong with the champion is raised; anything wrong with another costs only that one.
    """
    leading = _proved(champion, role, rows, scoring, features_hash)
    found, notes = [leading], [leading.note] if leading.note else []
    if role == arms.RESTATED:
        return found, notes
    beside = [(arms.CHALLENGER, alias) for alias in scoring.challengers]
    beside += [(arms.SHADOW, alias) for alias in scoring.shadows]
    for other, alias in beside:
        version = registry.version_of(champion.name, alias)
        if version is None or version in [one.model.version for one in found]:
            what = "nobody" if version is None else f"version {version}, which is scored already"
            notes.append(f"{champion.name}: {other} {alias} is {what}")
            continue
        try:
            joined = _proved(registry.pin(champion.name, version, folder), other, rows, scoring, features_hash)
        except (ModelRefused, ContractBroken, MissingInput) as error:
            notes.append(f"{champion.name}: {other} {alias} (version {version}) is not scored: {error}")
            continue
        found.append(joined)
        notes += [joined.note] if joined.note else []
    return found, notes


def _proved(model: Pinned, role: str, rows: Rows, scoring: Scoring, features_hash: str) -> Cast:
    """The version, once its feature definitions, its files, its inputs and its fast way are known to be right."""
    trained = model.tags.get(_registry.FEATURES_HASH)
    if trained != features_hash:
        raise ModelRefused(
            f"model {model.name} version {model.version} learnt from other feature definitions "
            f"({(trained or 'none')[:12]} then, {features_hash[:12]} now): give the changed view a new name, or "
            "train again"
        )
    require_types(rows.types, {column.name: column.kind for column in model.columns})
    package = pack(model.folder, digest=model.digest, features=model.features)
    if model.replay is not None:
        model.check_replay(predictor(package)(model.replay.batch(model.columns)), tolerance=1e-12)
    package, reason = proof.proved(package, rows.first(model.features, proof.SAMPLE))
    note = f"{model.name} version {model.version}: {reason}" if reason else ""
    is_leading = role in (arms.CHAMPION, arms.RESTATED)
    member = Member(
        package,
        model.classes,
        reasons=0 if role == arms.SHADOW else min(scoring.reasons, len(model.features)),
        calibrator=calibrator(model),
        budget_seconds=None if is_leading else scoring.budget.total_seconds(),
    )
    return Cast(role, model, member, note)


def calibrator(model: Pinned) -> Calibrator | None:
    """What was kept with the version, proved on its stored rows as its scores are."""
    if not model.has(_registry.CALIBRATION):
        return None
    found = Calibrator.from_json(model.file(_registry.CALIBRATION).decode())
    if model.replay is not None:
        stored = json.loads(model.file(_registry.CALIBRATED))
        answered = found(np.asarray(model.replay.scores, np.float64))
        if not np.allclose(answered, stored, rtol=0, atol=1e-12):
            raise ModelRefused(
                f"model {model.name} version {model.version} calibrates its stored rows differently than when it was "
                "registered: check library versions against its requirements"
            )
    return found


def cut(model: Pinned) -> float | None:
    """The cut that was chosen for the version."""
    return float(json.loads(model.file(_registry.CUT))["value"]) if model.has(_registry.CUT) else None
