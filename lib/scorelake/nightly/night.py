"""One pass over the graph: every slice that is missing or stale is built, in order, and nothing else.

What is done is read from the marks in the commits, so a pass that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from scorelake import runs
from scorelake.dates import RunDates
from scorelake.errors import ScorelakeError
from scorelake.nightly import freshness
from scorelake.nightly.freshness import Marks
from scorelake.nightly.graph import Node
from scorelake.runs import Outcome
from scorelake.stores.lake import Lake
from scorelake.stores.ops import StepRun

RunStep = Callable[[Node, RunDates], Outcome]
"""Runs one step for one subject; raises or returns an outcome."""
DueDates = Callable[[Node], Sequence[date]]
"""The dates for which a node has a slice."""

log = logging.getLogger("scorelake.nightly")


def say(line: str) -> None:
    """One line of progress, at once, also where standard output is a file."""
    print(line, flush=True)


@dataclass
class Night:
    """A run in progress. `done` are its finished steps, `blocked` the tables that must not be read by later ones."""

    lake: Lake
    run_step: RunStep
    tell: Callable[[str], None] = say
    done: list[StepRun] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    _marks: dict[str, Marks] = field(default_factory=dict)
    _writers: dict[str, Node] = field(default_factory=dict)

    def execute(self, nodes: Iterable[Node], due_dates: DueDates) -> None:
        """Build what is missing or stale of each node. A failed branch stops what depends on it, nothing else."""
        order = list(nodes)
        for node in order:
            self._writers.setdefault(node.table, node)
        for node in order:
            stopped = sorted(self.blocked & set(node.inputs))
            if stopped:
                self.blocked.add(node.table)
                self.tell(f"{node.step} {node.subject}: skipped, since {', '.join(stopped)} is not complete")
                continue
            due = due_dates(node)
            why = freshness.reasons(node, due, self._marks_around(node))
            for dates in freshness.ranges(why, due):
                self._run(node, dates, why[dates.first])

    def run(self, step: str, subject: str, dates: RunDates, action: Callable[[], Outcome]) -> Outcome:
        """Run one step, tell how it went, and turn its errors into an outcome."""
        name = f"{step} {subject}".strip()
        self.tell(f"{name}  {dates} ...")
        started_at, start = runs.wall_clock(), time.monotonic()
        outcome = _caught(action)
        seconds = time.monotonic() - start
        self.done.append(StepRun(dates.first, dates.last, step, outcome, seconds, started_at))
        rows = ", ".join(f"{count:,} rows in {table}" for table, count in outcome.written.items())
        self.tell(f"{name}  {seconds:.0f} s" + (f", {rows}" if rows else ""))
        for line in replace(outcome, written={}).lines():
            self.tell(f"  {line}")
        return outcome

    @property
    def outcome(self) -> Outcome:
        return runs.combined(step.outcome for step in self.done)

    def _run(self, node: Node, dates: RunDates, reason: str) -> None:
        log.info("%s %s %s: %s", node.step, node.subject, dates, reason)
        outcome = self.run(node.step, node.subject, dates, lambda: self.run_step(node, dates))
        if outcome.exit_code:
            self.blocked.add(node.table)
        self._marks.pop(_key(node), None)

    def _marks_around(self, node: Node) -> dict[str, Marks]:
        """Marks of the node's own table and of its inputs, each read once until it is written again."""
        found: dict[str, Marks] = {}
        for table in (*node.inputs, node.table):
            writer = node if table == node.table else self._writers.get(table)
            if writer is None:
                found[table] = {}
                continue
            if _key(writer) not in self._marks:
                self._marks[_key(writer)] = self.lake.marks(table, writer.mark)
            found[table] = self._marks[_key(writer)]
        return found


def _key(node: Node) -> str:
    return f"{node.table} {node.mark}"


def _caught(action: Callable[[], Outcome]) -> Outcome:
    """The outcome of `action`; an error becomes one by its exit code."""
    try:
        return action()
    except ScorelakeError as error:
        message = (str(error),)
        if error.exit_code == 3:
            return Outcome(missing=message)
        return Outcome(refused=message) if error.exit_code == 4 else Outcome(failed=message)
    except Exception as error:
        log.exception("a step failed")
        return Outcome(failed=(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",))
