"""The demo's last screen: what went in, what was turned away, what came out, and where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jobs import _registry, _screen
from scorelake.nightly import graph
from scorelake.nightly.graph import DRIFT_METRICS
from scorelake.stores.model_registry import CHAMPION

if TYPE_CHECKING:
    from rich.table import Table

    from scorelake.definitions import Definitions
    from scorelake.settings import Settings
    from scorelake.stores.lake import Lake
    from scorelake.stores.ops import StepRun

_NUMBERS = ("test", "constant", "one feature", "scored", "p10", "median", "p90")


def show(lake: Lake, settings: Settings, definitions: Definitions, steps: Sequence[StepRun]) -> None:
    """Print the screen. Everything shown is a count or an aggregate."""
    console = _screen.console()
    console.rule("Scorelake demo")
    console.print(_rows(lake, definitions))
    console.print(_rejected(lake, definitions))
    console.print(_models(lake, settings, definitions))
    console.print(_drift(lake))
    console.print(_seconds(steps))
    home = settings.local.home
    console.print(f"tables        {settings.lake.root}   (Delta; read them with DuckDB, delta-rs or Spark)")
    console.print(f"drift report  {settings.reports}/drift/")
    console.print(f"MLflow        .venv/bin/mlflow ui --backend-store-uri sqlite:///{home}/mlflow.db")


def _rows(lake: Lake, definitions: Definitions) -> Table:
    table = _screen.table("layer", "rows", "tables", title="Rows per layer", right=("rows",))
    layers: dict[str, list[str]] = {}
    for name in graph.tables_written(definitions):
        if lake.exists(name):
            layers.setdefault(name.partition(".")[0], []).append(name)
    for layer, names in layers.items():
        counts = {name: lake.read(name).count() for name in names}
        shown = ", ".join(f"{name.partition('.')[2]} {count:,}" for name, count in counts.items())
        table.add_row(layer, f"{sum(counts.values()):,}", shown)
    return table


def _rejected(lake: Lake, definitions: Definitions) -> Table:
    from pyspark.sql import functions as F

    table = _screen.table("table", "rows", "rule", title="Rejected rows, and why", right=("rows",))
    for name in definitions.silver:
        quarantine = f"quarantine.{name.partition('.')[2]}"
        reasons = lake.read(quarantine).select(F.explode("reasons").alias("reason")).groupBy("reason").count()
        for row in reasons.orderBy(F.desc("count"), "reason").collect():
            table.add_row(name, f"{row['count']:,}", row["reason"])
    return table


def _models(lake: Lake, settings: Settings, definitions: Definitions) -> Table:
    """One row a champion: its metric on the test part beside its baselines, and how its scores are spread."""
    table = _screen.table("model", *_NUMBERS, title="Models", right=_NUMBERS)
    registry = _registry.connect(settings)
    for name, spec in definitions.models.items():
        version = registry.version_of(name, CHAMPION)
        if version is None:
            table.add_row(f"{name}: no champion")
            continue
        found = registry.metrics(name, version)
        metric = spec.headline
        spread = lake.read(f"scores.{name}").selectExpr(
            "count(*) AS rows", "percentile_approx(score, array(0.1, 0.5, 0.9)) AS spread"
        )
        [row] = spread.collect()
        table.add_row(
            f"{name} v{version} ({metric})",
            *_numbers(found.get(key) for key in (f"test.{metric}", *_baselines(found, metric))),
            f"{row['rows']:,}",
            *_numbers(row["spread"] or ()),
        )
    return table


def _baselines(metrics: dict[str, float], metric: str) -> tuple[str, str]:
    """Names under which the constant and the best single feature stand among a version's metrics."""
    return f"constant.test.{metric}", f"one_feature.test.{metric}"


def _numbers(values: Iterable[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.4f}" for value in values]


def _drift(lake: Lake) -> Table:
    """One row a model: how many nights stood at each status, and what has moved most on the last one."""
    table = _screen.table("model", "nights", "moved most on the last night (PSI)", title="Drift against training")
    if not lake.exists(DRIFT_METRICS):
        return table
    stored = lake.read(DRIFT_METRICS).where("segment = 'all' AND against = 'training'")
    rows = stored.select("subject", "version", "run_date", "feature", "psi", "status").collect()  # features x nights
    for name in sorted({row["subject"] for row in rows}):
        mine = [row for row in rows if row["subject"] == name]
        nights = Counter(row["status"] for row in mine if row["feature"] == "*")
        last = max(row["run_date"] for row in mine)
        single = [row for row in mine if row["run_date"] == last and row["feature"] != "*" and row["psi"] is not None]
        moved = sorted(single, key=lambda row: -row["psi"])[:3]
        table.add_row(
            f"{name} v{mine[0]['version']}",
            ", ".join(f"{count} {status}" for status, count in nights.items()),
            ", ".join(f"{row['feature']} {row['psi']:.2f}" for row in moved),
        )
    return table


def _seconds(steps: Sequence[StepRun]) -> Table:
    table = _screen.table("step", "seconds", title="Seconds per step of this run", right=("seconds",))
    totals: dict[str, float] = {}
    for step in steps:
        totals[step.step] = totals.get(step.step, 0.0) + step.seconds
    for name, seconds in totals.items():
        table.add_row(name, f"{seconds:.0f}")
    table.add_row("all", f"{sum(totals.values()):.0f}")
    return table
