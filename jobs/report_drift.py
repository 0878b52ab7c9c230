"""Compare each night's features and scores with the reference frozen at training.

Reads   features.<service>, scores.<model>, the reference profile of the scoring version
Writes  monitoring.drift_*, the slices of the given run dates; a re-run replaces them
        ops.decisions, a verdict a model and night
        <reports>/drift/<model>/<date>.html, a page a night

    ./spark-submit.sh report_drift --env local --run-date 2017-12-31
    ./spark-submit.sh report_drift --env local --from 2017-12-25 --to 2017-12-31 --only lapse_xgboost

An alert needs k of the last n nights. Too few rows are never OK but INSUFFICIENT.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import _registry
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.drift import report, stored, tables
from scorelake.drift.counting import count
from scorelake.drift.evaluate import Verdicts, evaluate
from scorelake.drift.profile import Profile
from scorelake.drift.rows import TRAINING, Night
from scorelake.drift.tables import AlertRow, BinRow, CountRow, MetricRow, ReferenceRow
from scorelake.errors import MissingInput
from scorelake.nightly import graph, hashes
from scorelake.nightly.graph import DRIFT_METRICS
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops, reports
from scorelake.stores.lake import Lake, Mark, columns_of
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.models import Model
    from scorelake.stores.model_registry import ModelRegistry

STEP = "report_drift"
REFERENCE = "monitoring.drift_reference"
NIGHTLY = {
    "monitoring.drift_counts": CountRow,
    "monitoring.drift_bins": BinRow,
    "monitoring.drift_alerts": AlertRow,
    DRIFT_METRICS: MetricRow,  # last: its commit marks the night as done
}


NIGHTS = 90
"""How far back the series of a report reach."""


@dataclass(frozen=True)
class Watched:
    """A model version and all that its nights are compared with."""

    name: str
    version: str
    spec: Model
    profile: Profile
    importance: dict[str, float]


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    registry = _registry.connect(settings)

    outcomes = []
    for name in cli.chosen(definitions.models, only):
        for watched, nights in _versions(lake, registry, definitions, name, dates):
            outcomes.append(_report(lake, settings, definitions, watched, nights))
    return runs.combined(outcomes)


def _versions(
    lake: Lake, registry: ModelRegistry, definitions: Definitions, name: str, dates: RunDates
) -> Iterable[tuple[Watched, list[date]]]:
    """Which version scored which dates, with its reference."""
    marks = lake.marks(f"scores.{name}", "score_batch")
    missing = [str(day) for day in dates if day not in marks]
    if missing:
        raise MissingInput(f"scores.{name} has no slice {', '.join(missing)}; run score_batch for it first")
    scored_by = {day: str(marks[day][1].notes["model_version"]) for day in dates}
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        for version in sorted(set(scored_by.values())):
            model = registry.pin(name, version, Path(folder))
            profile = Profile.from_json(model.file(_registry.PROFILE).decode(), source=f"{name} version {version}")
            importance = json.loads(model.file(_registry.IMPORTANCE))
            watched = Watched(name, version, definitions.models[name], profile, importance)
            yield watched, [day for day in dates if scored_by[day] == version]


def _report(lake: Lake, settings: Settings, definitions: Definitions, watched: Watched, nights: list[date]) -> Outcome:
    keys = list(definitions.labels[watched.spec.label].keys)
    inputs = lake.versions([f"features.{watched.spec.feature_service}", f"scores.{watched.name}"])
    history = _history(lake, watched, before=nights[0])
    counted: list[CountRow] = []
    verdicts: list[Verdicts] = []
    for day in nights:
        night = Night(subject=watched.name, version=watched.version, run_date=day, run_id=runs.run_id())
        counts = count(_slice(lake, watched, keys, day), watched.profile)
        limits = watched.spec.drift
        verdict = evaluate(watched.profile, counts, night, limits, importance=watched.importance, history=history)
        page = report.render(verdict, limits, history=history)
        reports.write(settings.reports, f"drift/{watched.name}/{day}.html", page)
        counted += stored.count_rows(counts, night)
        verdicts.append(verdict)
        history = [*history, *verdict.metrics]

    ops.record_decisions(lake, [_decision(verdict) for verdict in verdicts])
    _write_reference(lake, watched)
    mark = Mark(
        runs.run_id(), graph.mark_of(STEP, watched.name), tuple(nights), hashes.drift(definitions, watched.name), inputs
    )
    rows: dict[str, Sequence[tables.Row]] = {
        "monitoring.drift_counts": counted,
        "monitoring.drift_bins": [row for verdict in verdicts for row in verdict.bins],
        "monitoring.drift_alerts": [row for verdict in verdicts for row in verdict.alerts],
        DRIFT_METRICS: [row for verdict in verdicts for row in verdict.metrics],
    }
    written = {table: _write(lake, table, kind, rows[table], watched, mark) for table, kind in NIGHTLY.items()}
    return Outcome(written, notes=tuple(_line(verdict) for verdict in verdicts))


def _slice(lake: Lake, watched: Watched, keys: list[str], day: date) -> DataFrame:
    """The night's features with the score that the champion gave for them."""
    from pyspark.sql import functions as F

    features = lake.read_slices(f"features.{watched.spec.feature_service}", [day])
    scores = lake.read_slices(f"scores.{watched.name}", [day], column="score_date").where("served")
    return features.join(scores.select(*map(quoted, keys), F.col("score")), on=keys, how="left")


def _history(lake: Lake, watched: Watched, *, before: date) -> list[MetricRow]:
    """Metric rows of the nights before; bounded by features x segments x nights."""
    from pyspark.sql import functions as F

    if not lake.exists(DRIFT_METRICS):
        return []
    is_ours = (
        (F.col("subject") == watched.name) & (F.col("version") == watched.version) & (F.col("against") == TRAINING)
    )
    is_recent = (F.col("run_date") < F.lit(before)) & (F.col("run_date") >= F.lit(before - timedelta(days=NIGHTS)))
    return [MetricRow(**row.asDict()) for row in lake.read(DRIFT_METRICS).where(is_ours & is_recent).collect()]


def _write(
    lake: Lake, table: str, kind: type[tables.Row], rows: Sequence[tables.Row], watched: Watched, mark: Mark
) -> int:
    frame = _frame(lake, kind, rows)
    lake.create(table, columns_of(frame), partitioned_by=["run_date"], comment=(kind.__doc__ or "").splitlines()[0])
    return lake.replace_slices(frame, table, mark, also=f"subject = '{watched.name}'").rows


def _write_reference(lake: Lake, watched: Watched) -> None:
    """The frozen cells, once a version, so that BI needs no access to the registry."""
    rows = stored.reference_rows(watched.profile, subject=watched.name, version=watched.version)
    frame = _frame(lake, ReferenceRow, rows)
    lake.create(REFERENCE, columns_of(frame), partitioned_by=["subject"], comment="Frozen cells of every version.")
    condition = f"subject = '{watched.name}' AND version = '{watched.version}'"
    if lake.read(REFERENCE).where(condition).isEmpty():
        lake.replace_where(frame, REFERENCE, Mark(runs.run_id(), STEP, ()), condition)


def _frame(lake: Lake, kind: type[tables.Row], rows: Iterable[tables.Row]) -> DataFrame:
    values: list[tuple[Any, ...]] = [tables.values(row) for row in rows]
    return lake.spark.createDataFrame(values, tables.ddl(kind))


def _decision(verdict: Verdicts) -> Decision:
    whole = verdict.metrics[-1]
    return Decision(
        "drift",
        f"{whole.subject}/{whole.version}",
        whole.run_date,
        "status",
        whole.value,
        whole.threshold,
        str(verdict.firing or verdict.status),
        whole.reason,
    )


def _line(verdict: Verdicts) -> str:
    night = verdict.night
    firing = f", firing {verdict.firing}" if verdict.firing else ""
    return f"{night.subject} version {night.version} on {night.run_date}: {verdict.status}{firing}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
