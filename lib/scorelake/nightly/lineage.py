"""Where a slice came from, up to what was landed, and what was made from it: read from the marks in the commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from scorelake.nightly import freshness
from scorelake.stores.marks import Commit

if TYPE_CHECKING:
    from scorelake.dates import RunDates
    from scorelake.nightly.graph import Node

Commits = Callable[[str], Sequence[Commit]]
"""Our commits of a table, newest first."""


@dataclass(frozen=True)
class Origin:
    """A slice, the commit that wrote it last, and the slices of the same date that it was made from.

    `history` are the tables of which it read every slice up to its date, at the version given.
    """

    node: Node
    day: date
    commit: Commit
    same_date: tuple[Origin, ...]
    history: Mapping[str, int]


@dataclass(frozen=True)
class Made:
    """Slices of a table that were made from a slice; `is_current` unless it was written again since."""

    node: Node
    dates: RunDates
    is_current: bool


def origin(
    table: str, day: date, nodes: Mapping[str, Node], commits: Commits, *, until: int | None = None
) -> Origin | None:
    """How slice `day` of a table came about, as of a version of the table; None when it was never written."""
    node = nodes[table]
    commit = _writer(node, day, commits(table), until)
    if commit is None:
        return None
    inputs = commit.mark.inputs
    above = [origin(name, day, nodes, commits, until=inputs.get(name)) for name in node.same_date if name in nodes]
    history = {name: version for name, version in sorted(inputs.items()) if name in node.history}
    return Origin(node, day, commit, tuple(one for one in above if one is not None), history)


def made_from(table: str, day: date, nodes: Iterable[Node], commits: Commits) -> Iterator[Made]:
    """Every slice that was made from slice `day` of a table, table by table, and from those in turn."""
    affected: dict[str, set[date]] = {table: {day}}
    for node in nodes:
        dates = _dates_made(node, affected, commits)
        if not dates:
            continue
        affected.setdefault(node.table, set()).update(dates)
        for is_current in (True, False):
            some = [one for one, current in dates.items() if current == is_current]
            for part in freshness.ranges(some, list(dates)):
                yield Made(node, part, is_current)


def _dates_made(node: Node, affected: Mapping[str, set[date]], commits: Commits) -> dict[date, bool]:
    """The slices of a node that read an affected one, and whether they read its newest version."""
    found: dict[date, bool] = {}
    newest = _newest(node, commits(node.table))
    for name in (*node.same_date, *node.history):
        if name not in affected:
            continue
        written = {day: commit.version for commit in reversed(commits(name)) for day in commit.mark.dates}
        for day, commit in newest.items():
            read = {day} & affected[name] if name in node.same_date else {one for one in affected[name] if one <= day}
            if read and name in commit.mark.inputs:
                is_current = max(written.get(one, -1) for one in read) <= commit.mark.inputs[name]
                found[day] = found.get(day, True) and is_current
    return found


def _newest(node: Node, commits: Sequence[Commit]) -> dict[date, Commit]:
    newest: dict[date, Commit] = {}
    for commit in commits:
        if commit.mark.step == node.mark:
            for day in commit.mark.dates:
                newest.setdefault(day, commit)
    return newest


def _writer(node: Node, day: date, commits: Sequence[Commit], until: int | None) -> Commit | None:
    """The commit that wrote a slice last, not after version `until`."""
    for commit in commits:
        is_early_enough = until is None or commit.version <= until
        if commit.mark.step == node.mark and day in commit.mark.dates and is_early_enough:
            return commit
    return None
