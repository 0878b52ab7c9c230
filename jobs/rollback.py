"""Make the former champion of a model champion again, and say why.

Reads   the model registry
Writes  ops.promotions; alias `champion`; ops.decisions, a row with both versions and the reason

    ./spark-submit.sh rollback --env local --run-date 2017-12-31 --only lapse_xgboost --reason "scores fell"

The version that leaves loses the alias `challenger` too and is never promoted again by a repeated gate; train_model
makes a new one. Published scores stay; the next night is scored with the version that returns. evaluate_scores does the
same by itself where `promotion.rollback` says when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _registry, _returning
from scorelake import cli
from scorelake.definitions import load_definitions
from scorelake.errors import UsageError
from scorelake.runs import Outcome
from scorelake.stores.lake import Lake

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
    names = cli.chosen(load_definitions(settings.conf_dir).models, only)
    notes = [f"{name}: {_returning.back(lake, registry, name, dates.last, reason=reason)}" for name in names]
    return Outcome(notes=tuple(notes))


if __name__ == "__main__":
    cli.main(run, description=__doc__)
