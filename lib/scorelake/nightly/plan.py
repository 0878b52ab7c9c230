"""What a night would do, decided from the marks in the commits: no data is read and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from scorelake.dates import RunDates
from scorelake.nightly import completeness, freshness
from scorelake.stores.marks import Mark

if TYPE_CHECKING:
    from scorelake.definitions import Definitions
    from scorelake.nightly.freshness import Marks
    from scorelake.nightly.graph import Node
    from scorelake.stores.marks import Commit

RUN, BLOCKED = "run", "blocked"
_TONIGHT = 2**62
"""The version of a slice that is yet to be written: later than any other."""


@dataclass(frozen=True)
class Planned:
    """A range of slices of one table: they would be built, or cannot be, and why. `rows` is an estimate."""

    step: str
    subject: str
    table: str
    dates: RunDates
    action: str
    cause: str
    rows: int | None
    changed: tuple[str, str] | None = None
    """The definition hashes before and now, where a changed definition is the cause."""


def plan(
    definitions: Definitions,
    nodes: Iterable[Node],
    due_dates: Callable[[Node], Sequence[date]],
    commits: Callable[[str], Sequence[Commit]],
) -> list[Planned]:
    """Every slice that is not current, in the order in which a night would come to it.

    `nodes` stand after those that they read. A slice is stale too when one that it reads will be rebuilt; it is
    blocked where a slice that it needs neither exists nor would be built.
    """
    known: dict[str, Marks] = {}
    found: list[Planned] = []
    for node in nodes:
        written = [commit for commit in commits(node.table) if commit.mark.step == node.mark]
        own = _marks(written)
        around = {**{table: known.get(table, {}) for table in node.inputs}, node.table: own}
        due = due_dates(node)
        why = freshness.reasons(node, due, around)
        blocked = _holes(definitions, node, list(why), known)
        to_run = {day: text for day, text in why.items() if day not in blocked}
        found += _planned(node, RUN, to_run, due, own, _rows_a_slice(written))
        found += _planned(node, BLOCKED, blocked, due, own, None)
        tonight = {day: (_TONIGHT, Mark("", node.step, (day,))) for day in to_run}
        known[node.table] = {**known.get(node.table, {}), **own, **tonight}
    return found


def _holes(definitions: Definitions, node: Node, days: list[date], known: Mapping[str, Marks]) -> dict[date, str]:
    """What each slice needs that neither exists nor would be built; a label may always be yet to come."""
    history = {table: known[table] for table in node.history if table in known and table in definitions.tables}
    found = completeness.holes(definitions, node, days, history)
    for table in node.same_date:
        if table in known and table not in definitions.labels:
            found |= {day: f"{table} has no slice {day}" for day in days if day not in known[table]}
    return found


def _marks(commits: Sequence[Commit]) -> Marks:
    newest: dict[date, tuple[int, Mark]] = {}
    for commit in commits:
        for day in commit.mark.dates:
            newest.setdefault(day, (commit.version, commit.mark))
    return newest


def _rows_a_slice(commits: Sequence[Commit]) -> float | None:
    """As many as the slices of the newest commit had on average."""
    newest = next((commit for commit in commits if commit.mark.dates), None)
    return None if newest is None else newest.rows / len(newest.mark.dates)


def _planned(
    node: Node, action: str, why: Mapping[date, str], due: Sequence[date], own: Marks, rows_a_slice: float | None
) -> list[Planned]:
    ranges = []
    for dates in freshness.ranges(why, due):
        slices = sum(day in dates for day in why)
        rows = None if rows_a_slice is None else round(rows_a_slice * slices)
        cause = why[dates.first]
        is_changed = cause.startswith(freshness.DEFINITION_CHANGED) and action == RUN
        changed = (own[dates.first][1].definition_hash, node.definition_hash) if is_changed else None
        ranges.append(Planned(node.step, node.subject, node.table, dates, action, cause, rows, changed))
    return ranges
