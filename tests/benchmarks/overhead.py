"""What the platform itself costs in a run: CPU outside of the steps' own work, of the whole run, in the same run.

The shop's tables from bronze to gold: its first days, which find a cold JVM and a lake without tables, then its history
as one range, one more night by itself, and that night again. Lock, order, marks and log are the platform's; what a step
does between its start and its end is its own. The session's start is told apart.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import _night, run_nightly
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from tests.benchmarks import harness
from tests.benchmarks.harness import Options, Report
from tests.shop import land
from tests.shop.night import settings_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS, FIRST = 180, 10
LAYERS = ("bronze", "silver", "gold", "quarantine", "ops")


@dataclass(frozen=True)
class Run:
    """CPU seconds of a run and of its steps; rows written."""

    whole: float
    steps: float
    rows: int
    failed: tuple[str, ...]

    @property
    def share(self) -> float:
        return (self.whole - self.steps) / self.whole


def bench(spark: SparkSession, options: Options) -> Report:
    """The platform's share of half a year of the shop in one run, of one night, and of a night with nothing to do."""
    days = max(30, round(DAYS * options.scale))
    first = RunDates(land.YEAR.first, land.YEAR.first + timedelta(days=FIRST - 1))
    history = RunDates(first.last + timedelta(days=1), land.YEAR.first + timedelta(days=days - 2))
    tonight = RunDates.single(history.last + timedelta(days=1))
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder))
        land.land(Path(settings.landing.root), RunDates(first.first, tonight.last))
        found = {
            name: _run(spark, settings, dates)
            for name, dates in {"first": first, "history": history, "night": tonight, "idle": tonight}.items()
        }
    for layer in LAYERS:
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")
    cpu = {name: run.whole for name, run in found.items()} | {f"{name} steps": run.steps for name, run in found.items()}
    shares = {"overhead_share": found["history"].share, "overhead_share_of_one_night": found["night"].share}
    shares |= {"overhead_share_of_the_first_days": found["first"].share}
    equal = not any(run.failed for run in found.values()) and found["idle"].rows == 0 < found["night"].rows
    return Report("overhead", equal, cpu, shares, sum(run.rows for run in found.values()), 1)


def _run(spark: SparkSession, settings: Settings, dates: RunDates) -> Run:
    """What run_nightly does, for tables."""
    before = harness.cpu_seconds()
    runs.begin()
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    with _night.alone(lake, definitions, repo):
        night = run_nightly.start(lake, settings)
        night.execute(graph.table_nodes(definitions), lambda node: run_nightly.due_dates(definitions, node, dates))
        ops.record_steps(lake, night.done)
    whole = harness.cpu_seconds() - before
    print("\n".join(f"{step.step} {step.subject} {step.cpu_seconds or 0:.2f} CPU s" for step in night.done), flush=True)
    steps = sum(step.cpu_seconds or 0.0 for step in night.done)
    return Run(whole, steps, sum(night.outcome.written.values()), night.outcome.failed)


if __name__ == "__main__":
    harness.main(bench)
