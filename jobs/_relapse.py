"""The champion's matured nights, looked at for a fall that brings its predecessor back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _returning
from scorelake.errors import MissingInput
from scorelake.metrics import Estimate
from scorelake.nightly.graph import PERFORMANCE
from scorelake.scoring import relapse
from scorelake.scoring.decay import Night
from scorelake.scoring.figures import CHAMPION, EVERYBODY
from scorelake.stores import ops, promotions

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame, Row

    from scorelake.models import Model, Rollback
    from scorelake.stores.lake import Lake
    from scorelake.stores.model_registry import ModelRegistry


def judged(lake: Lake, registry: ModelRegistry, spec: Model, limits: Rollback, day: date) -> str | None:
    """What was done about it, or why nothing could be; None when there was no reason to.

    Looks at what `monitoring.performance` holds after the evaluation of `day`. Only the newest evaluation speaks of
    the champion of now: one that is made again for an earlier day moves nobody.
    """
    from pyspark.sql import functions as F

    champion = promotions.champion(lake, registry, spec.name)
    rows = lake.read(PERFORMANCE).where((F.col("model_name") == spec.name) & (F.col("segment") == EVERYBODY))
    rows = rows.where((F.col("metric") == spec.headline) & F.col("kind").isin("metric", "gain"))
    if champion is None or not rows.where(F.col("run_date") > F.lit(day)).isEmpty():
        return None
    try:
        returning: str | None = registry.former(spec.name)[1]
    except MissingInput:
        returning = None
    own = rows.where((F.col("kind") == "metric") & (F.col("role") == CHAMPION) & (F.col("model_version") == champion))
    paired = rows.where((F.col("kind") == "gain") & (F.col("model_version") == returning))
    subject = f"{spec.name}/{champion}"
    said = relapse.judge(
        subject,
        [_night(row, subject) for row in _newest(own)],
        limits,
        run_date=day,
        min_rows=spec.performance.min_rows,
        predecessor={row["score_date"]: _estimate(row) for row in _newest(paired)},
    )
    ops.record_decisions(lake, [said])
    if said.verdict != relapse.ROLLBACK:
        return None
    if returning is None:
        return f"{spec.name}: version {champion} has fallen, but nobody was champion before it: {said.reason}"
    return f"{spec.name}: {_returning.back(lake, registry, spec.name, day, reason=said.reason, by='evaluate_scores')}"


def _newest(rows: DataFrame) -> list[Row]:
    """One row a scored night, of its newest evaluation; at most one a night and role reaches the driver."""
    found = {row["score_date"]: row for row in rows.orderBy("run_date").collect()}
    return list(found.values())


def _night(row: Row, subject: str) -> Night:
    return Night(subject, row["run_date"], row["score_date"], row["metric"], _estimate(row), row["reference"])


def _estimate(row: Row) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"], row["rows"])
