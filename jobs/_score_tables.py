"""From the staged answers of a scoring pass to the tables of the night."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from scorelake.decisions import Decision
from scorelake.scoring import arms, nulls
from scorelake.scoring import publish as rows_to_publish
from scorelake.scoring.answers import Report
from scorelake.stores import score_runs, score_view
from scorelake.stores.lake import columns_of
from scorelake.tables import SLICE_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.models import Scoring, ScoringLimits
    from scorelake.scoring.publish import Published
    from scorelake.stores.lake import Lake
    from scorelake.stores.marks import Mark

NULLS = "nulls"
RESTATING = "score_batch restated"
GATE = "scoring"
_BESIDE = ("prediction", "score_", "reason_", "bucket", "decision", "review")
"""How the columns are named that a model file may or may not ask for."""


def reports(staged: DataFrame) -> list[Report]:
    """What the tasks said at their end: a few rows a task."""
    rows = staged.where("about IS NOT NULL").select("about", SLICE_COLUMN, "report").collect()
    return [Report(row["about"], row[SLICE_COLUMN], bytes(row["report"])) for row in rows]


def judged(
    model: str, limits: ScoringLimits, told: Sequence[Report], dates: Sequence[date]
) -> tuple[list[Decision], dict[date, str]]:
    """A decision a night if there are limits, and the refused nights with what is wrong."""
    if not limits.are_set:
        return [], {}
    decisions, refused = [], {}
    for day in dates:
        rates = nulls.rates(report.content for report in told if (report.about, report.night) == (NULLS, day))
        limited = {name: limit for name in rates if (limit := limits.of(name)) is not None}
        beyond = [f"{name} {rates[name]:.1%}" for name, limit in limited.items() if rates[name] > limit]
        worst = max(limited, key=lambda name: rates[name] - limited[name], default=None)
        reason = f"null beyond scoring.limits: {', '.join(beyond)}" if beyond else "no feature misses too much"
        value, threshold = (rates[worst], limited[worst]) if worst is not None else (None, None)
        verdict = "fail" if beyond else "pass"
        decisions.append(Decision(GATE, model, day, "null_rate", value, threshold, verdict, reason))
        if beyond:
            refused[day] = f"{model} on {day}: {reason}; nothing was published"
    return decisions, refused


def publish(lake: Lake, staged: DataFrame, scoring: Scoring, about: Published, mark: Mark) -> dict[str, int]:
    """Rejects first, so that published scores always have the rest of their population on record."""
    scored = rows_to_publish.judged(_nights(staged, mark.dates), about.keys)
    scores = rows_to_publish.published(scored.where("reason IS NULL"), scoring, about)
    rejects = rows_to_publish.rejected(scored.where("reason IS NOT NULL"), about)

    leading, table, quarantine = about.roles[0], f"scores.{about.model_name}", f"quarantine.scores_{about.model_name}"
    which = "role <> 'restated'"
    if leading.name == arms.RESTATED:
        which = f"role = 'restated' AND model_version = '{leading.version}'"
    lake.create(
        quarantine, columns_of(rejects), partitioned_by=["score_date"], comment="Rows without a score, and why."
    )
    lake.create(table, columns_of(scores), partitioned_by=["score_date"], comment=f"Scores of {about.model_name}.")
    scores = _as_wide_as_published(lake, table, scores)
    rejected = _put_away(lake, quarantine, rejects, mark, which)
    is_ranked = isinstance(scoring.buckets, int)  # all of a night and role pass through one task then
    commit = lake.replace_slices(scores, table, mark, column="score_date", also=which, is_gathered=is_ranked)
    score_runs.record(lake, about.model_name, steps=("score_batch", RESTATING))
    score_view.refresh(lake, about.model_name)
    return {table: commit.rows, quarantine: rejected}


def _put_away(lake: Lake, quarantine: str, rejects: DataFrame, mark: Mark, which: str) -> int:
    """Rows in quarantine for these nights. Where there are none, and never were, nothing is committed: a commit
    costs as much as half a million scores.
    """
    if rejects.isEmpty() and lake.slices(quarantine).isdisjoint(mark.dates):
        return 0
    return lake.replace_slices(rejects, quarantine, mark, column="score_date", also=which).rows


def _as_wide_as_published(lake: Lake, table: str, scores: DataFrame) -> DataFrame:
    """What stands beside a score comes and goes with versions and the model file: the table gains new columns, and
    rows that have nothing to say in one are null there."""
    from pyspark.sql import functions as F

    lake.widen(table, columns_of(scores))
    missing = [field for field in lake.read(table).schema if field.name not in scores.columns]
    beside = [field for field in missing if field.name.startswith(_BESIDE)]
    return scores.select("*", *(F.lit(None).cast(field.dataType).alias(field.name) for field in beside))


def _nights(staged: DataFrame, dates: Sequence[date]) -> DataFrame:
    """The answers of these nights, without what the tasks reported."""
    from pyspark.sql import functions as F

    answers = staged.where("about IS NULL").withColumnRenamed(SLICE_COLUMN, "score_date")
    return answers.where(F.col("score_date").isin(list(dates)))
