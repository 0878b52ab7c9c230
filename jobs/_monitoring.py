"""The monitoring tables as report_drift keeps them: what was known of earlier nights, and how a night is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from scorelake import runs
from scorelake.drift import stored, tables
from scorelake.drift.counts import Counts
from scorelake.drift.profile import OVERALL, Profile
from scorelake.drift.rows import TRAINING, WHOLE
from scorelake.drift.tables import AlertRow, BinRow, CountRow, MetricRow, ProfileRow, ReferenceRow
from scorelake.drift.view import Matured
from scorelake.nightly.graph import DRIFT_METRICS, PERFORMANCE
from scorelake.stores.lake import columns_of
from scorelake.stores.marks import Mark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.stores.lake import Lake

COUNTS = "monitoring.drift_counts"
REFERENCE = "monitoring.drift_reference"
PROFILES = "monitoring.drift_profiles"
NIGHTLY: Mapping[str, type[tables.Row]] = {
    COUNTS: CountRow,
    "monitoring.drift_bins": BinRow,
    "monitoring.drift_alerts": AlertRow,
    DRIFT_METRICS: MetricRow,  # last: its commit marks the night as done
}

NIGHTS = 90
"""How far back the series of a report reach."""
SEGMENT_NIGHTS = 14
"""How far back the nights of a segment reach that k of n looks at: there may be many segments."""


def history(lake: Lake, subject: str, version: str, *, before: date) -> list[MetricRow]:
    """Metric rows of the nights before; bounded by features x nights and segments x features x fewer nights."""
    from pyspark.sql import functions as F

    if not lake.exists(DRIFT_METRICS):
        return []
    is_ours = (F.col("subject") == subject) & (F.col("version") == version) & (F.col("run_date") < F.lit(before))
    first, first_of_segments = (F.lit(before - timedelta(days=days)) for days in (NIGHTS, SEGMENT_NIGHTS))
    is_recent = (F.col("run_date") >= first) & (
        (F.col("segment") == OVERALL) | (F.col("run_date") >= first_of_segments)
    )
    return [MetricRow(**row.asDict()) for row in lake.read(DRIFT_METRICS).where(is_ours & is_recent).collect()]


def whole_nights(lake: Lake) -> list[MetricRow]:
    """The row of each subject and night that sums it up, as compared with training; for the index page."""
    from pyspark.sql import functions as F

    if not lake.exists(DRIFT_METRICS):
        return []
    rows = lake.read(DRIFT_METRICS).where((F.col("feature") == WHOLE) & (F.col("against") == TRAINING))
    return [MetricRow(**row.asDict()) for row in rows.collect()]


def matured(lake: Lake, model: str, metric: str, *, up_to: date) -> list[Matured]:
    """The headline of what the model served, a row a night that labels have judged by then, oldest first."""
    from pyspark.sql import functions as F

    if not lake.exists(PERFORMANCE):
        return []
    is_headline = (F.col("kind") == "metric") & (F.col("role") == "served") & (F.col("segment") == OVERALL)
    is_ours = (F.col("model_name") == model) & (F.col("metric") == metric) & F.col("value").isNotNull()
    is_known = F.col("run_date").between(F.lit(up_to - timedelta(days=NIGHTS)), F.lit(up_to))
    rows = lake.read(PERFORMANCE).where(is_headline & is_ours & is_known).orderBy("score_date", "run_date")
    told = rows.select("score_date", "metric", "value", "low", "high", F.col("reference").alias("trained"), "rows")
    return [Matured(**row.asDict()) for row in told.collect()]


def page(subject: str, version: str, day: date) -> str:
    """Where a night's report stands below the folder of drift reports: models by night, tables by profile too."""
    return f"{subject}/{version}/{day}.html" if "." in subject else f"{subject}/{day}.html"


def counts_of_nights(lake: Lake, subject: str, version: str, profile: Profile, nights: Sequence[date]) -> Counts:
    """The stored counts of these nights together: one row a cell reaches the driver, however many nights there are.

    A column that could not be counted on some of them has the rows of the others.
    """
    from pyspark.sql import functions as F

    if not nights or not lake.exists(COUNTS):
        return stored.counts_of(profile, [])
    cell = ["profile_hash", "segment", "feature", "cell"]
    is_ours = (F.col("subject") == subject) & (F.col("version") == version)
    summed = [F.sum(name).alias(name) for name in ("rows", "sum_w", "sum_w2")]
    found = lake.read_slices(COUNTS, nights).where(is_ours).groupBy(*cell).agg(*summed).collect()
    facts: dict[str, Any] = {
        "subject": subject,
        "version": version,
        "run_date": nights[0],
        "problem": None,
        "run_id": "",
    }
    return stored.counts_of(profile, (CountRow(**row.asDict(), **facts) for row in found))


def counts_of_run(lake: Lake, subject: str, version: str, profile: Profile, day: date, run_id: str) -> Counts | None:
    """The counts that the run which published the night's scores has left; None when there are none."""
    from pyspark.sql import functions as F

    if not lake.exists(COUNTS):
        return None
    is_its = (F.col("subject") == subject) & (F.col("version") == version) & (F.col("run_id") == run_id)
    rows = [CountRow(**row.asDict()) for row in lake.read_slices(COUNTS, [day]).where(is_its).collect()]
    return stored.counts_of(profile, rows) if rows else None


def write(lake: Lake, mark: Mark, rows: Mapping[str, Sequence[tables.Row]], *, also: str) -> dict[str, int]:
    """Replace the slices of the mark's dates, one commit a table; `also` says whose rows of them."""
    written = {}
    for table, kind in NIGHTLY.items():
        frame = frame_of(lake, kind, rows[table])
        lake.create(table, columns_of(frame), partitioned_by=["run_date"], comment=_comment(kind))
        written[table] = lake.replace_slices(frame, table, mark, also=also).rows
    return written


def write_reference(lake: Lake, profile: Profile, *, subject: str, version: str) -> None:
    """The frozen cells, once a version, so that BI needs no access to the registry."""
    frame = frame_of(lake, ReferenceRow, stored.reference_rows(profile, subject=subject, version=version))
    lake.create(REFERENCE, columns_of(frame), partitioned_by=["subject"], comment=_comment(ReferenceRow))
    condition = f"subject = '{subject}' AND version = '{version}'"
    if lake.read(REFERENCE).where(condition).isEmpty():
        lake.replace_where(frame, REFERENCE, Mark(runs.run_id(), "report_drift", ()), condition)


def frozen(lake: Lake, table: str) -> list[ProfileRow]:
    """The profiles frozen of a table, the one of the latest rows first."""
    if not lake.exists(PROFILES):
        return []
    rows = lake.read(PROFILES).where(f"subject = '{table}'").collect()
    found = [ProfileRow(**row.asDict()) for row in rows]
    return sorted(found, key=lambda row: (row.last_date, row.version), reverse=True)


def freeze(lake: Lake, row: ProfileRow) -> None:
    frame = frame_of(lake, ProfileRow, [row])
    lake.create(PROFILES, columns_of(frame), partitioned_by=["subject"], comment=_comment(ProfileRow))
    condition = f"subject = '{row.subject}' AND version = '{row.version}'"
    lake.replace_where(frame, PROFILES, Mark(runs.run_id(), "report_drift", ()), condition)


def frame_of(lake: Lake, kind: type[tables.Row], rows: Iterable[tables.Row]) -> DataFrame:
    values: list[tuple[Any, ...]] = [tables.values(row) for row in rows]
    return lake.spark.createDataFrame(values, tables.ddl(kind))


def _comment(kind: type[tables.Row]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
