"""Which slices must be built, and why: missing, made from another definition, or from inputs that changed since.

Decided from the marks in the commits alone; no data is read (semantics, section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from scorelake.dates import ONE_DAY, RunDates

if TYPE_CHECKING:
    from scorelake.nightly.graph import Node
    from scorelake.stores.marks import Mark

Marks = Mapping[date, tuple[int, "Mark"]]
"""For each slice of a table the version and the mark of the commit that wrote it last."""

DEFINITION_CHANGED = "definition changed: "
"""How that reason begins."""
_TOLD = 3


def reasons(node: Node, dates: Iterable[date], marks: Mapping[str, Marks]) -> dict[date, str]:
    """Why each of `dates` must be built; a date that is current does not appear. `marks` holds node and inputs."""
    own = marks[node.table]
    newest_up_to = {table: _running_newest(marks[table], dates) for table in node.history}
    found: dict[date, str] = {}
    for day in sorted(dates):
        if day not in own:
            found[day] = "missing"
            continue
        _, mark = own[day]
        if mark.definition_hash != node.definition_hash:
            found[day] = f"{DEFINITION_CHANGED}{mark.definition_hash[:12]} -> {node.definition_hash[:12]}"
            continue
        changed = [
            table
            for table in node.same_date
            if day in marks[table] and marks[table][day][0] > mark.inputs.get(table, -1)
        ]
        changed += [
            f"{table} {_later(marks[table], day, mark.inputs.get(table, -1))}"
            for table in node.history
            if newest_up_to[table][day] > mark.inputs.get(table, -1)
        ]
        if changed:
            found[day] = f"input changed: {', '.join(changed)}"
    return found


def _later(marks: Marks, until: date, version: int) -> str:
    """The slices up to a date that were written after a version."""
    later = [str(day) for day in sorted(marks) if day <= until and marks[day][0] > version]
    return ", ".join(later[:_TOLD]) + (f" and {len(later) - _TOLD} more" if len(later) > _TOLD else "")


def _running_newest(marks: Marks, dates: Iterable[date]) -> dict[date, int]:
    """For each date the newest version among all slices up to it; -1 where there is none."""
    running: dict[date, int] = {}
    newest = -1
    written = sorted(marks)
    position = 0
    for day in sorted(dates):
        while position < len(written) and written[position] <= day:
            newest = max(newest, marks[written[position]][0])
            position += 1
        running[day] = newest
    return running


def ranges(dates: Iterable[date], due: Sequence[date] | None = None) -> list[RunDates]:
    """The dates as few contiguous ranges; dates between two of them that are not `due` do not split a range."""
    wanted = sorted(set(dates))
    not_due = set() if due is None else _days_between(due) - set(due)
    found: list[RunDates] = []
    for day in wanted:
        if found and _follows(found[-1].last, day, not_due):
            found[-1] = RunDates(found[-1].first, day)
        else:
            found.append(RunDates.single(day))
    return found


def _follows(last: date, day: date, not_due: set[date]) -> bool:
    return all(last + ONE_DAY * n in not_due for n in range(1, (day - last).days))


def _days_between(days: Sequence[date]) -> set[date]:
    return set(RunDates(min(days), max(days))) if days else set()
