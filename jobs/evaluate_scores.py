"""Judge published scores by the labels that became known on each run date.

Reads   scores.<model>, label tables (gold.*)
Writes  monitoring.performance, the slices of the given run dates; a re-run replaces them

    ./spark-submit.sh evaluate_scores --env local --run-date 2018-01-28

Labels of slice D were not known before D. Scores whose labels are still to come are counted as immature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scorelake import cli, runs
from scorelake import dates as calendar
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.nightly import graph, hashes
from scorelake.nightly.graph import PERFORMANCE
from scorelake.runs import Outcome
from scorelake.scoring import evaluate
from scorelake.settings import Settings
from scorelake.stores.lake import Lake, Mark, columns_of
from scorelake.tables import Gold

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions

STEP = "evaluate_scores"


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    return runs.combined(_evaluate(lake, definitions, name, dates) for name in cli.chosen(definitions.models, only))


def _evaluate(lake: Lake, definitions: Definitions, name: str, dates: RunDates) -> Outcome:
    from pyspark.sql import functions as F

    spec, scores_table = definitions.models[name], f"scores.{name}"
    contract = definitions.labels[spec.label]
    scores = lake.read(scores_table).where("role <> 'restated'")
    labels = lake.read_slices(spec.label, dates)
    inputs = lake.versions([scores_table, spec.label])

    judged = evaluate.with_labels(scores, labels, keys=contract.keys)
    measured = evaluate.performance(judged, task=spec.task, classes=_classes(lake, scores_table), seed=spec.seed)
    rows = measured.withColumn("model_name", F.lit(name)).withColumn("run_id", F.lit(runs.run_id()))

    lake.create(PERFORMANCE, columns_of(rows), partitioned_by=["run_date"], comment="How good scores turned out to be.")
    mark = Mark(runs.run_id(), graph.mark_of(STEP, name), tuple(dates), hashes.model(definitions, name), inputs)
    commit = lake.replace_slices(rows, PERFORMANCE, mark, also=f"model_name = '{name}'")
    return Outcome({PERFORMANCE: commit.rows}, notes=tuple(_immature(scores, contract, name, dates)))


def _classes(lake: Lake, scores_table: str) -> list[str]:
    """Class names as the newest scores have them; empty when the model has none."""
    marks = lake.marks(scores_table, "score_batch")
    newest = marks[max(marks)][1].notes if marks else {}
    classes = newest.get("classes", [])
    return [str(name) for name in classes] if isinstance(classes, list) else []


def _immature(scores: DataFrame, contract: Gold, name: str, dates: RunDates) -> Iterable[str]:
    """How many score rows cannot be judged before labels to come, and when the first of those labels is due."""
    from pyspark.sql import functions as F

    assert contract.label is not None
    wait = contract.label.horizon + contract.label.delay
    last_mature = (calendar.as_of(dates.last) - wait - calendar.ONE_DAY).date()
    waiting = scores.where(F.col("score_date") > F.lit(last_mature))
    found = waiting.agg(F.count(F.lit(1)).alias("rows"), F.min("score_date").alias("first")).first()
    if found is not None and found["rows"]:
        due = calendar.as_of(found["first"]) + wait
        yield f"{name}: {found['rows']:,} score rows are immature on {dates.last}; first labels are known at {due}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
