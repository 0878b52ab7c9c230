"""Keep the interval tables of the feature views that ask for one, so that as-of reads of them are one cheap join.

Reads   silver.*, gold.*, the feature repo
Writes  features_history.<view>, made anew as a whole where its source table or its definition has changed

    ./spark-submit.sh build_history --env local
    ./spark-submit.sh build_history --env local --only customer_state

A view of lookups asks by its tag `history: keep`. Training sets, features and Feast's own historical calls read the
table while it is current and the source itself otherwise; the answers are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.feature_store import definitions as feature_definitions
from scorelake.feature_store import histories
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DATES = False


def run(spark: SparkSession, settings: Settings, only: Names = ALL) -> Outcome:
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    kept = {name: view for name, view in repo.views.items() if histories.is_kept(view)}

    written = {
        name: histories.refresh(lake, kept[name], run_id=runs.run_id(), conf_dir=str(settings.conf_dir))
        for name in cli.chosen(kept, only)
    }

    current = tuple(f"{histories.LAYER}.{name} is current" for name, rows in written.items() if rows is None)
    return Outcome({f"{histories.LAYER}.{name}": rows for name, rows in written.items() if rows is not None}, current)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
