"""Say how things stand: every table's newest slice, the last run's steps that did not end well, who runs just now.

Reads   the marks in the commits of all tables; ops.runs, ops.locks
Writes  nothing

    ./spark-submit.sh status --env local
    ./spark-submit.sh status --env prod --stale-after 26h

With --stale-after the job ends with exit code 3 when a score table was not written for so long: what a monitor asks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs import _night, _screen
from scorelake import runs
from scorelake.cli import ALL, Names, chosen, main
from scorelake.dates import parse_age
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.stores import lease, ops
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Row, SparkSession

    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.nightly.graph import Node
    from scorelake.settings import Settings
    from scorelake.stores.marks import Commit

OPTIONS = {"--stale-after": {"metavar": "AGE", "help": "such as 26h or 90m; exit code 3 when scores are older"}}
DATES = False
_COSTLIEST = 3


def run(spark: SparkSession, settings: Settings, only: Names = ALL, *, stale_after: str | None = None) -> Outcome:
    limit = parse_age(stale_after) if stale_after else None
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    nodes = graph.nightly_nodes(definitions, repo)
    wanted = set(chosen(dict.fromkeys(node.subject for node in nodes), only))
    newest = {node: _newest(lake, node) for node in nodes if node.subject in wanted}

    shown = _screen.table("table", "newest slice", "written (UTC)", "by")
    for node, commit in newest.items():
        if commit is None:
            shown.add_row(node.table, "none", "", node.step)
        else:
            shown.add_row(node.table, str(max(commit.mark.dates)), f"{commit.at:%Y-%m-%d %H:%M}", node.step)
    _screen.console().print(shown)
    scores = {node.table: commit for node, commit in newest.items() if node.step == "score_batch"}
    return Outcome(
        notes=(*_running(lake, definitions, repo), *_ended_badly(lake)), missing=tuple(_stale(scores, limit))
    )


def _newest(lake: Lake, node: Node) -> Commit | None:
    """The commit that holds the latest slice."""
    mine = [commit for commit in lake.commits(node.table) if commit.mark.step == node.mark and commit.mark.dates]
    return max(mine, key=lambda commit: (max(commit.mark.dates), commit.version), default=None)


def _running(lake: Lake, definitions: Definitions, repo: FeatureRepo) -> list[str]:
    """Who runs just now; of a dead run also what it had done, since nobody has written its log yet."""
    holder = lease.holder(lake, "night")
    if holder is None:
        return ["no night is running"]
    if not holder.is_dead(runs.wall_clock()):
        return [f"run {holder.run_id} has been running on {holder.host} since {holder.taken_at} UTC"]
    *done, end = _night.killed_steps(lake, definitions, repo, holder)
    told = [f"run {holder.run_id} of {holder.taken_at} UTC has died; the next night takes over", *end.outcome.failed]
    return [*told, *(f"it had done {step.step} {step.subject} {step.dates}" for step in done)]


def _ended_badly(lake: Lake) -> list[str]:
    """The steps of the last run that are not done; a line each."""
    steps = ops.last_run(lake)
    told = [
        f"{row['step']} {row['subject']} {row['first_date']}..{row['run_date']}: {row['verdict']}"
        + (f", {row['notes'][-1]}" if row["notes"] else f", {row['reason']}" if row["reason"] else "")
        for row in steps
        if row["verdict"] != "done"
    ]
    if not steps:
        return ["no run has ended yet"]
    summary = f"run {steps[0]['run_id']}: {len(steps) - len(told)} of {len(steps)} steps done"
    return [summary, *told, *_costly(steps)]


def _costly(steps: Sequence[Row]) -> list[str]:
    """What the run took, and the steps that took most of it; nothing of a run that was not measured."""
    known = [row for row in steps if row.asDict().get("cpu_seconds")]  # an older log has no such column
    measured = sorted(known, key=lambda row: -row["cpu_seconds"])
    if not measured:
        return []
    total = sum(row["cpu_seconds"] for row in measured)
    peak = max(row["peak_bytes"] for row in measured)
    named = ", ".join(
        f"{row['step']} {row['subject']}".strip() + f" {row['cpu_seconds']:.0f} s" for row in measured[:_COSTLIEST]
    )
    return [f"its steps took {total:.0f} s of CPU and at most {peak / 2**30:.1f} GiB; most of it: {named}"]


def _stale(scores: dict[str, Commit | None], limit: timedelta | None) -> list[str]:
    if limit is None:
        return []
    oldest: datetime = runs.wall_clock() - limit
    return [
        f"{table} was " + (f"last written {commit.at} UTC, more than {limit} ago" if commit else "never written")
        for table, commit in scores.items()
        if commit is None or commit.at < oldest
    ]


if __name__ == "__main__":
    main(run, description=__doc__)
