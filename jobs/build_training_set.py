"""Join the labels known by each run date to features as of each label's own time.

Reads   label tables (gold.*), silver.*, gold.*, the feature repo
Writes  training.<model>, the slice of each run date, with its manifest in the commit

    ./spark-submit.sh build_training_set --env local --run-date 2017-12-24

A label enters only when it was known at the end of the run date (label_available_at <= D+1 00:00). The same inputs
give the same content digest.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from jobs import _inputs
from scorelake import cli, digests, runs
from scorelake import dates as calendar
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.feature_store import histories, retrieve
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark
from scorelake.training import splits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.models import Model
    from scorelake.nightly.graph import Node
    from scorelake.tables import Column

STEP = "build_training_set"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    nodes = {node.subject: node for node in graph.training_nodes(definitions, repo)}

    outcomes = []
    for model in cli.chosen(nodes, only):
        ranges, missing = _inputs.complete(lake, definitions, settings, nodes[model], dates)
        outcomes += [_build(lake, definitions, repo, nodes[model], day) for part in ranges for day in part]
        outcomes.append(Outcome(missing=missing))
    return runs.combined(outcomes)


def _build(lake: Lake, definitions: Definitions, repo: FeatureRepo, node: Node, day: date) -> Outcome:
    from pyspark.sql import functions as F

    spec = definitions.models[node.subject]
    inputs = lake.versions(node.inputs)
    spine = _spine(lake, definitions, spec, day)

    conf_dir, request = str(repo.conf_dir), repo.request(spec.feature_service)
    views = {selection.view.name: selection.view for selection in request.selections}
    kept = [view for view in views.values() if histories.is_kept(view)]
    for view in kept:
        histories.refresh(lake, view, run_id=runs.run_id(), conf_dir=conf_dir)
    stored = histories.reader(lake, conf_dir)
    labels = lake.read(spec.label).count() if kept else None  # the spine has a part of them
    answered = retrieve.features(spine, request, tables=lake, rows=labels, conf_dir=conf_dir, stored=stored)
    rows = answered.withColumn("run_date", F.lit(day)).withColumn("run_id", F.lit(runs.run_id()))

    columns = columns_of(rows)
    lake.create(node.table, columns, partitioned_by=["run_date"], comment=f"What {node.subject} learns from.")
    mark = Mark(runs.run_id(), STEP, (day,), node.definition_hash, inputs)
    commit = lake.replace_slices(rows, node.table, mark)
    return Outcome({node.table: commit.rows}, notes=(_manifest(lake, node.table, day, columns, inputs),))


def _spine(lake: Lake, definitions: Definitions, spec: Model, day: date) -> DataFrame:
    """Keys, event_timestamp, label, label_available_at and split of every row that may teach or judge at `day`."""
    contract = definitions.labels[spec.label]
    assert contract.label is not None
    labels = lake.read(spec.label).select(*contract.keys, "event_timestamp", "label", "label_available_at")
    label, known_by = contract.label, calendar.as_of(day)
    return splits.with_split(
        labels, spec.split, horizon=label.horizon, delay=label.delay, known_by=known_by, seed=spec.seed
    )


def _manifest(lake: Lake, table: str, day: date, columns: list[Column], inputs: dict[str, int]) -> str:
    """One line that identifies the content of the slice: rows, digest, versions of the inputs."""
    found = digests.digest_by_slice(lake.read_slices(table, [day]), columns).first()
    digest = f"{found['rows']:,} rows, digest {found['digest']}" if found else "no rows"
    return f"{table} of {day}: {digest}, from {', '.join(f'{name}@{version}' for name, version in inputs.items())}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
