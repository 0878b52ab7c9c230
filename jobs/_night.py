"""The one night at a time: its lock, and the log of a run that was killed while it held it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scorelake import runs
from scorelake.nightly import graph, killed
from scorelake.nightly.meanings import text
from scorelake.stores import known_definitions, lease, notifier, ops

if TYPE_CHECKING:
    from scorelake.dates import RunDates
    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.nightly.graph import Node
    from scorelake.runs import Outcome
    from scorelake.settings import NotifySettings
    from scorelake.stores.lake import Lake
    from scorelake.stores.lease import Holder
    from scorelake.stores.ops import StepRun


log = logging.getLogger("scorelake.nightly")


@contextmanager
def alone(lake: Lake, definitions: Definitions, repo: FeatureRepo) -> Iterator[None]:
    """Hold the night's lock inside the block; what a dead holder did is put on record before its lock is taken.

    Before and not after, so that a run killed in between leaves it to the next one.
    """

    def bury(dead: Holder) -> None:
        ops.record_killed(lake, dead.run_id, dead.taken_at, killed_steps(lake, definitions, repo, dead))

    with lease.taken(lake, "night", bury=bury):
        known_definitions.record(lake, meanings(graph.nightly_nodes(definitions, repo)))
        yield


def notify(settings: NotifySettings, dates: RunDates, outcome: Outcome) -> None:
    """Tell everyone configured how the night went; that it could not be told is a warning, not a failure."""
    message = {
        "run_id": runs.run_id(),
        "from": str(dates.first),
        "to": str(dates.last),
        "exit_code": outcome.exit_code,
        "rows": sum(outcome.written.values()),
        "failed": outcome.failed,
        "refused": outcome.refused,
        "missing": outcome.missing,
    }
    for problem in notifier.send(settings, message):
        log.warning("the night's outcome did not reach %s", problem)


def meanings(nodes: Iterable[Node]) -> dict[tuple[str, str], str]:
    """What the definitions mean today, by table and hash."""
    return {(node.table, node.definition_hash): text(node.meaning) for node in nodes if node.meaning}


def killed_steps(lake: Lake, definitions: Definitions, repo: FeatureRepo, dead: Holder) -> Sequence[StepRun]:
    """What a dead holder of the lock did, from the commits that it left."""
    nodes = [*graph.nightly_nodes(definitions, repo), *graph.training_nodes(definitions, repo)]
    return killed.steps_of(dead, nodes, lake.commits)
