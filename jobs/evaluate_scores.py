"""Judge published scores by the labels that became known on each run date.

Reads   scores.<model>, label tables (gold.*), features.<service> for segments, the model registry
Writes  monitoring.performance, the slices of the given run dates; a re-run replaces them
        ops.decisions, whether the model has decayed since training, and where it is heading
        ops.promotions and alias `champion`, when `promotion.rollback` says that the former champion returns

    ./spark-submit.sh evaluate_scores --env local --run-date 2018-01-28

Labels of slice D were not known before D. Scores whose labels are still to come are counted as immature, and say
meanwhile what the model itself expects (kind `proxy`). Exit code 4 on decay when `performance.on_decay: fail`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import _registry, _relapse
from scorelake import cli, runs, sql
from scorelake import dates as calendar
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import ConfigError
from scorelake.metrics import Estimate
from scorelake.nightly import graph, hashes
from scorelake.nightly.graph import PERFORMANCE
from scorelake.runs import Outcome
from scorelake.scoring import decay, evaluate, figures, summary
from scorelake.scoring.figures import CHAMPION, EVERYBODY, MEASURED, SERVED
from scorelake.scoring.summary import Row
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake, slices
from scorelake.stores.marks import Mark
from scorelake.tables import Column, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.models import Model
    from scorelake.stores.model_registry import ModelRegistry
    from scorelake.tables import Gold

STEP = "evaluate_scores"
COLUMNS = (
    Column(name="model_name", type="string"),
    *MEASURED,
    Column(name="as_of", type="timestamp", comment="the instant at which the labels were looked at"),
    Column(name="run_id", type="string"),
)


@dataclass(frozen=True)
class Subject:
    """A model, its contract of labels, and the dates that it is judged on."""

    name: str
    spec: Model
    label: Gold
    dates: RunDates

    @property
    def wait(self) -> timedelta:
        """From a score's as-of instant to its label."""
        assert self.label.label is not None
        return self.label.label.horizon + self.label.label.delay


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake, registry = Lake(spark, settings.lake), _registry.connect(settings)
    names = cli.chosen(definitions.models, only)
    return runs.combined(_evaluate(lake, registry, definitions, name, dates) for name in names)


def _evaluate(lake: Lake, registry: ModelRegistry, definitions: Definitions, name: str, dates: RunDates) -> Outcome:
    spec, scores_table = definitions.models[name], f"scores.{name}"
    subject = Subject(name, spec, definitions.labels[spec.label], dates)
    scores = lake.read(scores_table)
    inputs = lake.versions([scores_table, spec.label])

    rows = _measured(lake, definitions, subject, scores)
    trained = _trained(registry, name, {row["model_version"] for row in rows if row["role"] == CHAMPION})
    rows = summary.with_ranks(summary.with_references(rows, trained), _importance(registry, name, rows))
    nights = _nights(scores)
    rows += [*summary.immature(dates, nights, wait=subject.wait), *summary.coverage(rows, nights)]
    headlines = summary.headlines(rows, model=name, metric=spec.headline)
    earlier, looked_back = _earlier(lake, subject), spec.performance.trend_nights
    trends = list(summary.trends(rows, earlier, dates, metric=spec.headline, nights=looked_back))
    decisions = [decay.judge(night, spec.performance) for night in decay.latest(headlines)]
    decisions += [decay.direction(name, row["run_date"], spec.headline, _estimate(row)) for row in trends]
    rows += trends

    ops.record_decisions(lake, decisions)
    lake.create(PERFORMANCE, COLUMNS, partitioned_by=["run_date"], comment="How good scores turned out to be.")
    digest = hashes.performance(definitions, name)
    mark = Mark(runs.run_id(), graph.mark_of(STEP, name), tuple(dates), digest, inputs)
    commit = lake.replace_slices(_frame(lake, name, rows), PERFORMANCE, mark, also=f"model_name = '{name}'")

    lost = [f"{name}: {decision.reason}" for decision in decisions if decision.verdict == decay.DECAY]
    fails = spec.performance.on_decay == "fail"
    moved = (
        _relapse.judged(lake, registry, spec, spec.promotion.rollback, dates.last) if spec.promotion.rollback else None
    )
    notes = [*([moved] if moved else []), *_immature_notes(subject, rows), *([] if fails else lost)]
    return Outcome({PERFORMANCE: commit.rows}, notes=tuple(notes), refused=tuple(lost if fails else ()))


def _measured(lake: Lake, definitions: Definitions, subject: Subject, scores: DataFrame) -> list[Row]:
    """What the matured scores and tonight's say. A row a night, role, segment and metric reaches the driver."""
    from pyspark.sql import functions as F

    spec, limits, keys = subject.spec, subject.spec.performance, list(subject.label.keys)
    labels = lake.read_slices(spec.label, subject.dates)
    judged = evaluate.with_labels(scores, labels, keys=keys)
    if limits.segments:
        judged = _with_segments(lake, subject, judged, keys)
    how: dict[str, Any] = {
        "task": spec.task,
        "classes": _classes(lake, subject.name),
        "seed": spec.seed,
        "how": spec.metrics,
    }
    segments = evaluate.common_values(judged, limits.segments)
    frames = [
        evaluate.performance(judged, segments=segments, **how),
        evaluate.gains(judged, keys=keys, **how),
    ]
    if limits.business:
        _require_sound(definitions, subject.name, judged.columns)
        frames.append(figures.business(judged, limits.business))
    tonight = (
        scores.where(slices(subject.dates, "score_date")).where("served").withColumn("run_date", F.col("score_date"))
    )
    frames.append(figures.proxies(tonight, task=spec.task))
    if any(column.endswith("_contribution") for column in tonight.columns):
        frames.append(figures.contributions(tonight))
    return [row.asDict() for frame in frames for row in frame.collect()]


def _with_segments(lake: Lake, subject: Subject, judged: DataFrame, keys: list[str]) -> DataFrame:
    """The judged scores with the segment columns as the features of their own night had them."""
    features = lake.read(f"features.{subject.spec.feature_service}").withColumnRenamed("run_date", "score_date")
    missing = sorted(set(subject.spec.performance.segments) - set(features.columns))
    if missing:
        raise ConfigError(f"model {subject.name}: performance.segments: no feature {', '.join(missing)}")
    columns = [name for name in subject.spec.performance.segments if name not in judged.columns]
    wanted = features.select("score_date", *map(quoted, dict.fromkeys([*keys, *columns])))
    return judged.join(wanted, on=[*keys, "score_date"], how="left")


def _require_sound(definitions: Definitions, name: str, columns: list[str]) -> None:
    document = definitions.documents[f"model {name}"]
    known = {"judged": {column.lower() for column in columns}}
    for figure, text in definitions.models[name].performance.business.items():
        found = sql.check(f"SELECT {text} AS value FROM judged", known, file=str(document.path))
        if found:
            message = f"performance.business.{figure}: {found[0].message}"
            raise ConfigError([document.finding(("performance", "business", figure), message)])


def _classes(lake: Lake, name: str) -> list[str]:
    """Class names as the newest scores have them; empty when the model has none."""
    marks = lake.marks(f"scores.{name}", "score_batch")
    newest = marks[max(marks)][1].notes if marks else {}
    classes = newest.get("classes", [])
    return [str(text) for text in classes] if isinstance(classes, list) else []


def _nights(scores: DataFrame) -> dict[date, int]:
    """Rows that each night served; one number a night."""
    return {row["score_date"]: row["count"] for row in scores.where("served").groupBy("score_date").count().collect()}


def _trained(registry: ModelRegistry, name: str, versions: set[str]) -> dict[str, dict[str, float]]:
    """Metrics of the test part of each version, by name, as they were when it was trained."""
    return {
        version: {metric.removeprefix("test."): value for metric, value in registry.metrics(name, version).items()}
        for version in versions
    }


def _earlier(lake: Lake, subject: Subject) -> dict[date, float | None]:
    """The served headline of the nights that were judged before, by score date; one number a night."""
    from pyspark.sql import functions as F

    if not lake.exists(PERFORMANCE):
        return {}
    is_headline = (F.col("kind") == "metric") & (F.col("role") == SERVED) & (F.col("segment") == EVERYBODY)
    is_ours = (F.col("model_name") == subject.name) & (F.col("metric") == subject.spec.headline)
    is_earlier = F.col("run_date") < F.lit(subject.dates.first)
    rows = lake.read(PERFORMANCE).where(is_headline & is_ours & is_earlier).select("score_date", "value")
    return {row["score_date"]: row["value"] for row in rows.collect()}


def _importance(registry: ModelRegistry, name: str, rows: list[Row]) -> dict[str, dict[str, float]]:
    """Importance at training of each version whose contributions are at hand."""
    told = {row["model_version"] for row in rows if row["kind"] == "contribution"}
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        return {
            version: json.loads(registry.pin(name, version, Path(folder)).file(_registry.IMPORTANCE))
            for version in {one for text in told for one in text.split(",")}
        }


def _estimate(row: Row) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"], row["rows"])


def _frame(lake: Lake, name: str, rows: list[Row]) -> DataFrame:
    given = {"model_name": name, "run_id": runs.run_id()}
    values = [
        tuple({**row, **given, "as_of": calendar.as_of(row["run_date"])}.get(column.name) for column in COLUMNS)
        for row in rows
    ]
    return lake.spark.createDataFrame(values, ", ".join(column.ddl for column in COLUMNS))


def _immature_notes(subject: Subject, rows: list[Row]) -> Iterable[str]:
    """How many score rows cannot be judged before labels to come, and when the first of those labels is due."""
    for row in rows:
        if row["kind"] == "immature" and row["run_date"] == subject.dates.last and row["rows"]:
            due = calendar.as_of(row["score_date"]) + subject.wait
            told = f"{row['rows']:,} score rows are immature on {row['run_date']}"
            yield f"{subject.name}: {told}; first labels are known at {due}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
