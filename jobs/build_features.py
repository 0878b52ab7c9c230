"""Compute the features of every entity that exists at the end of each run date.

Reads   silver.*, gold.*, the feature repo
Writes  features.<service>, the slices of the given run dates; a re-run replaces them

The share of nulls of each feature is noted with the step in `ops.runs`.

    ./spark-submit.sh build_features --env local --run-date 2017-11-26
    ./spark-submit.sh build_features --env local --from 2017-11-01 --to 2017-11-30 --only lapse_v1

Values are those visible at D+1 00:00. The same engine answers for training, so both agree; verify_pit proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs import _as_of, _inputs
from scorelake import cli, runs, sql
from scorelake import dates as calendar
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.feature_store import histories, retrieve
from scorelake.nightly import graph
from scorelake.nightly.graph import Node
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark
from scorelake.tables import quoted
from scorelake.transform import gold, views

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.transform.visible import At

STEP = "build_features"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    nodes = {node.subject: node for node in graph.feature_nodes(definitions, repo)}

    outcomes = []
    for service in cli.chosen(nodes, only):
        ranges, missing = _inputs.complete(lake, definitions, settings, nodes[service], dates)
        outcomes += [_build(lake, definitions, repo, nodes[service], chunk) for chunk in ranges]
        outcomes.append(Outcome(missing=missing))

    return runs.combined(outcomes)


def _build(lake: Lake, definitions: Definitions, repo: FeatureRepo, node: Node, dates: RunDates) -> Outcome:
    from pyspark.sql import functions as F

    inputs = lake.versions(node.inputs)
    query = definitions.populations[graph.populations_of_services(definitions)[node.subject]]

    with _as_of.reader(lake, definitions, sql.tables_read(query), instants=len(dates)) as at:
        spine = _populations(lake, query, dates, at)
        answered = retrieve.features(
            spine,
            repo.request(node.subject),
            tables=lake,
            between=(calendar.as_of(dates.first), calendar.as_of(dates.last)),
            conf_dir=str(repo.conf_dir),
            stored=histories.reader(lake, str(repo.conf_dir)),
        )
        rows = answered.withColumn("run_date", F.date_sub(F.to_date("event_timestamp"), 1)).withColumn(
            "run_id", F.lit(runs.run_id())
        )
        lake.create(node.table, columns_of(rows), partitioned_by=["run_date"], comment=f"Features of {node.subject}.")
        mark = Mark(runs.run_id(), STEP, tuple(dates), node.definition_hash, inputs)
        written = lake.replace_slices(rows, node.table, mark).rows
    features = [name for _, name in repo.request(node.subject).asked]
    return Outcome(
        {node.table: written}, notes=(_null_rates(lake.read_slices(node.table, dates), node.table, features),)
    )


def _null_rates(rows: DataFrame, table: str, features: Sequence[str]) -> str:
    """One line for the log of the run: which features are null, and in which share of the rows."""
    from pyspark.sql import functions as F

    is_null = {name: F.col(quoted(name)).isNull().cast("int") for name in features}
    rates = rows.agg(*(F.avg(flag).alias(name) for name, flag in is_null.items())).collect()[0].asDict()  # one row
    found = ", ".join(f"{name} {rate:.2%}" for name, rate in rates.items() if rate)
    return f"{table}: null rates: {found or 'no feature is null'}"


def _populations(lake: Lake, query: str, dates: RunDates, at: At) -> DataFrame:
    """Join keys and event_timestamp of everybody who exists at the end of each date."""
    from pyspark.sql import functions as F

    nights = []
    for day in dates:
        t = calendar.as_of(day)
        nights.append(gold.population(lake.spark, query, t, at).withColumn("event_timestamp", F.lit(t)))
    return views.union(nights)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
