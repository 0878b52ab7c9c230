"""What a run did that was killed before it could write its log: read from the marks in the commits it left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from scorelake.dates import RunDates
from scorelake.runs import Outcome
from scorelake.stores.ops import StepRun

if TYPE_CHECKING:
    from scorelake.nightly.graph import Node
    from scorelake.stores.lease import Holder
    from scorelake.stores.marks import Commit

REBUILT = "read from its commit, since the run was killed"


def steps_of(dead: Holder, nodes: Iterable[Node], commits: Callable[[str], Sequence[Commit]]) -> list[StepRun]:
    """A step for each commit of the dead run, in order, and a failed one at the end that says what happened.

    How long a step took is not known any more: `seconds` is 0. A step that was cut off has left no commit, and so
    nothing: the next night does it again.
    """
    found = sorted(
        (
            _step(node, commit)
            for node in nodes
            for commit in commits(node.table)
            if commit.mark.run_id == dead.run_id and commit.mark.step == node.mark and commit.mark.dates
            # A scheduler's second attempt has the id of the first, which may have written its own log.
            if commit.at >= dead.taken_at
        ),
        key=lambda step: step.started_at,
    )
    return [*found, _end(dead, found)]


def _step(node: Node, commit: Commit) -> StepRun:
    dates = RunDates(min(commit.mark.dates), max(commit.mark.dates))
    outcome = Outcome({node.table: commit.rows}, notes=(REBUILT,))
    return StepRun(node.step, node.subject, dates, outcome, commit.at, 0.0)


def _end(dead: Holder, found: Sequence[StepRun]) -> StepRun:
    days = [day for step in found for day in (step.dates.first, step.dates.last)] or [dead.taken_at.date()]
    failed = f"killed on {dead.host} (process {dead.pid}) after {len(found)} commits; the next run does what is missing"
    ended_at = max((step.started_at for step in found), default=dead.taken_at)
    return StepRun("run", "", RunDates(min(days), max(days)), Outcome(failed=(failed,)), ended_at, 0.0)
