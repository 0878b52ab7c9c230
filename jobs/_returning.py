"""The former champion returns: by a person's word, or because matured scores have fallen."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from scorelake.decisions import Decision
from scorelake.errors import Busy
from scorelake.stores import ops, promotions
from scorelake.stores.promotions import Promotion

if TYPE_CHECKING:
    from scorelake.stores.lake import Lake
    from scorelake.stores.model_registry import ModelRegistry


def back(lake: Lake, registry: ModelRegistry, name: str, day: date, *, reason: str, by: str = "rollback") -> str:
    """What happened, in a sentence. MissingInput when there is nobody to return to; Busy when somebody else moved the
    champion meanwhile: what should be rolled back is another one then."""
    promotions.settle(lake, registry, name)
    leaving, returning = registry.former(name)

    def decision(number: int) -> Promotion:
        newest = promotions.history(lake, name)
        if newest and newest[0].champion != leaving:
            raise Busy(f"model {name}: version {newest[0].champion} has become champion meanwhile; look again")
        return Promotion(name, number, "rollback", leaving, day, "rollback", leaving, returning, by, reason)

    promotions.decide(lake, name, decision)
    registry.rollback(name, reason)
    told = f"version {leaving} left, version {returning} returned: {reason}"
    said = Decision("rollback", f"{name}/{leaving}", day, "version", float(returning), None, "rollback", told)
    ops.record_decisions(lake, [said])
    return told
