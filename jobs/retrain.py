"""Train each model anew when its retrain policy gives a reason, and let it meet the promotion gate.

Reads   ops.decisions (drift, performance, gates), the label table, the model registry
Writes  ops.decisions, why it did or did not; and what build_training_set, train_model and promote_model write

    ./spark-submit.sh retrain --env local --run-date 2017-12-24

Runs after run_nightly of the same date. Reasons stand in the model file: `retrain: {every: 28 days, on_drift: true,
on_decay: true, new_labels: 5000}`; a model without it is named and left alone. Exit code 4 when there was a reason but
the data may not be learnt from: a gate behind it failed or was overridden, or the new labels' mean is out of limits.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from jobs import _registry, build_training_set, promote_model, train_model
from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.runs import Outcome, combined
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from scorelake.tables import SLICE_COLUMN
from scorelake.training import retraining
from scorelake.training.retraining import Known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.stores.model_registry import ModelRegistry

DATA_GATES = ("data", "volume", "profile", "pit")


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake, registry = Lake(spark, settings.lake), _registry.connect(settings)
    wanted = cli.chosen(definitions.models, only)
    without = [name for name in wanted if definitions.models[name].retrain is None]
    names = [name for name in wanted if name not in without]

    judged = [_retrain(lake, registry, settings, definitions, repo, name, day) for day in dates for name in names]
    return combined([*judged, _left_alone(settings, without)])


def _left_alone(settings: Settings, names: Sequence[str]) -> Outcome:
    if not names:
        return Outcome()
    said = f"never trained by themselves, for want of a `retrain` policy: {', '.join(names)}"
    files = settings.conf_dir / "models" / "<model>.yaml"
    return Outcome(notes=(f"{said}; write e.g. `retrain: {{every: 28 days, on_drift: true}}` into {files}",))


def _retrain(
    lake: Lake,
    registry: ModelRegistry,
    settings: Settings,
    definitions: Definitions,
    repo: FeatureRepo,
    name: str,
    day: date,
) -> Outcome:
    policy = definitions.models[name].retrain
    assert policy is not None
    decision = retraining.judge(name, policy, known(lake, registry, definitions, repo, name, day), day)
    ops.record_decisions(lake, [decision])
    line = f"{name}: {decision.verdict}: {decision.reason}"
    if decision.verdict == retraining.REFUSE:
        return Outcome(refused=(line,))
    outcomes = [Outcome(notes=(line,))]
    if decision.verdict == retraining.TRAIN:
        for step in (build_training_set.run, train_model.run, promote_model.run):
            outcomes.append(step(lake.spark, settings, RunDates.single(day), frozenset([name])))
            if outcomes[-1].exit_code:
                break
    return combined(outcomes)


def known(
    lake: Lake, registry: ModelRegistry, definitions: Definitions, repo: FeatureRepo, name: str, day: date
) -> Known:
    """What the lake and the registry know of the model on `day`; a handful of rows."""
    from pyspark.sql import functions as F

    spec = definitions.models[name]
    trained_on = registry.newest_tag(name, _registry.RUN_DATE)
    since = date.fromisoformat(trained_on) if trained_on is not None else None
    labels = lake.read(spec.label).where((F.col(SLICE_COLUMN) <= F.lit(day)) & F.col("label").isNotNull())
    if since is not None:
        labels = labels.where(F.col(SLICE_COLUMN) > F.lit(since))
    mean = F.avg(F.col("label").cast("double")) if spec.task != "multiclass" else F.lit(None).cast("double")
    [told] = labels.agg(F.count(F.lit(1)).alias("rows"), mean.alias("mean")).collect()
    drift, decay, failed = _decided(lake, definitions, repo, name, since, day)
    return Known(since, drift, decay, told["rows"], told["mean"], failed)


def _decided(
    lake: Lake, definitions: Definitions, repo: FeatureRepo, name: str, since: date | None, day: date
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """What drift and evaluation of the run date found, and the gates of the data since, as they last decided."""
    from pyspark.sql import functions as F

    if not lake.exists(ops.DECISIONS):
        return None, None, ()
    decisions = newest(lake.read(ops.DECISIONS))
    of_model = F.col("subject").startswith(f"{name}/") & (F.col("run_date") == F.lit(day))
    firing = decisions.where(of_model & (F.col("gate") == "drift") & (F.col("verdict") == "ALERT")).first()
    lost = decisions.where(of_model & (F.col("gate") == "performance") & (F.col("verdict") == "decay")).first()
    behind = sorted(_behind(definitions, repo, name))
    is_since = F.lit(True) if since is None else F.col("run_date") > F.lit(since)
    bad = decisions.where(
        F.col("gate").isin(*DATA_GATES)
        & F.col("subject").isin(*behind)
        & F.col("verdict").isin("fail", "override")
        & is_since
        & (F.col("run_date") <= F.lit(day))
    )
    rows = bad.select("subject", "run_date").distinct().orderBy("run_date", "subject").limit(10).collect()
    failed = tuple(f"{row['subject']} of {row['run_date']}" for row in rows)
    return firing["reason"] if firing else None, lost["reason"] if lost else None, failed


def newest(decisions: DataFrame) -> DataFrame:
    """Each decision as it was made last: a slice that passed on a second run has passed."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    key = Window.partitionBy("gate", "subject", "run_date", "metric").orderBy(F.desc("decided_at"), "run_id")
    return decisions.withColumn("_place", F.row_number().over(key)).where("_place = 1").drop("_place")


def _behind(definitions: Definitions, repo: FeatureRepo, name: str) -> set[str]:
    """Every table of the definitions that the training set is made from, at any distance."""
    nodes = {node.table: node for node in graph.table_nodes(definitions)}
    [training] = [node for node in graph.training_nodes(definitions, repo) if node.subject == name]
    found: set[str] = set()
    waiting = [f"training.{name}", *training.inputs]
    while waiting:
        table = waiting.pop()
        if table not in found:
            found.add(table)
            waiting += nodes[table].inputs if table in nodes else ()
    return found


if __name__ == "__main__":
    cli.main(run, description=__doc__)
