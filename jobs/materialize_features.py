"""Bring the features of each view, as of the end of the last run date, into Feast's online store.

Reads   silver.*, gold.*, the feature repo
Writes  Feast's registry and online store; newer values are never overwritten by older ones

    ./spark-submit.sh materialize_features --env local --run-date 2017-11-26

A repeated or killed run changes nothing. Online answers are those that build_features gives for the same instant.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from scorelake import cli
from scorelake import dates as calendar
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.feature_store import definitions as feature_definitions
from scorelake.runs import Outcome
from scorelake.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    repo = feature_definitions.apply(settings)
    store = feature_definitions.open_store(settings)
    views = cli.chosen([name for name, view in repo.views.items() if view.online and view.enabled], only)
    start, end = calendar.data_start(dates.first), calendar.as_of(dates.last)

    with feature_definitions.quietly():
        store.materialize(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), feature_views=views)

    return Outcome(notes=(f"online as of {end}: {', '.join(views)}",))


if __name__ == "__main__":
    cli.main(run, description=__doc__)
