"""Make the former champion of a model champion again, and say why.

Reads   the model registry
Writes  ops.promotions; alias `champion`; ops.decisions, a row with both versions and the reason

    ./spark-submit.sh rollback --env local --run-date 2017-12-31 --only lapse_xgboost --reason "scores fell"

The version that leaves loses the alias `challenger` too and is never promoted again by a repeated gate; train_model
makes a new one. Published scores stay; the next night is scored with the version that returns.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from jobs import _registry
from scorelake import cli
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.errors import Busy, UsageError
from scorelake.runs import Outcome
from scorelake.stores import ops, promotions
from scorelake.stores.lake import Lake
from scorelake.stores.promotions import Promotion

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.dates import RunDates
    from scorelake.settings import Settings

OPTIONS = {"--reason": {"required": True, "help": "why; kept with the decision and the version"}}


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: cli.Names = cli.ALL, *, reason: str) -> Outcome:
    if only is cli.ALL:
        raise UsageError("rollback: name the models with --only")
    registry = _registry.connect(settings)
    lake = Lake(spark, settings.lake)
    notes = []
    for name in cli.chosen(load_definitions(settings.conf_dir).models, only):
        promotions.settle(lake, registry, name)
        leaving, returning = registry.former(name)
        _record(lake, name, leaving, returning, dates.last, reason)
        registry.rollback(name, reason)
        told = f"version {leaving} left, version {returning} returned: {reason}"
        decision = Decision(
            "rollback", f"{name}/{leaving}", dates.last, "version", float(returning), None, "rollback", told
        )
        ops.record_decisions(lake, [decision])
        notes.append(f"{name}: {told}")
    return Outcome(notes=tuple(notes))


def _record(lake: Lake, name: str, leaving: str, returning: str, day: date, reason: str) -> None:
    """Busy when somebody else moved the champion meanwhile: what should be rolled back is another one then."""

    def decision(number: int) -> Promotion:
        newest = promotions.history(lake, name)
        if newest and newest[0].champion != leaving:
            raise Busy(f"model {name}: version {newest[0].champion} has become champion meanwhile; look again")
        return Promotion(name, number, "rollback", leaving, day, "rollback", leaving, returning, "rollback", reason)

    promotions.decide(lake, name, decision)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
