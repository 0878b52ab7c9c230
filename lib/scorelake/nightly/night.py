"""One pass over the graph: every slice that is missing or stale is built, in order, and nothing else.

What is done is read from the marks in the commits, so a pass that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from scorelake import runs
from scorelake.dates import RunDates, as_of
from scorelake.nightly import freshness
from scorelake.nightly.attempts import attempt, with_late_drops
from scorelake.nightly.freshness import Marks
from scorelake.nightly.graph import Node
from scorelake.nightly.usage import Meter
from scorelake.nightly.workers import Handle, Workers
from scorelake.runs import Outcome
from scorelake.settings import NightSettings
from scorelake.stores.lake import Lake
from scorelake.stores.ops import StepRun

if TYPE_CHECKING:
    from scorelake.nightly.events import Lineage

RunStep = Callable[[Node, RunDates], Outcome]
"""Runs one step for one subject; raises or returns an outcome."""
DueDates = Callable[[Node], Sequence[date]]
"""The dates for which a node has a slice."""


log = logging.getLogger("scorelake.nightly")


@dataclass
class Night:
    """A run in progress. `done` are its steps that ended, `blocked` the slices that later steps must not read."""

    lake: Lake
    run_step: RunStep
    policy: NightSettings = field(default_factory=NightSettings)
    lineage: Lineage | None = None
    tell: Callable[[str], None] = log.info
    done: list[StepRun] = field(default_factory=list)
    blocked: dict[str, set[date]] = field(default_factory=dict)
    _halted: str = ""
    _marks: dict[str, Marks] = field(default_factory=dict)
    _writers: dict[str, Node] = field(default_factory=dict)
    _meter: Meter = field(default_factory=Meter)

    @property
    def outcome(self) -> Outcome:
        return runs.combined(step.outcome for step in self.done)

    def execute(self, nodes: Iterable[Node], due_dates: DueDates) -> None:
        """Build what is missing or stale of each node, independent ones side by side.

        A date that failed stops what depends on it, nothing else. KeyboardInterrupt and SystemExit cancel the steps
        that run, put them on record, and go on upwards.
        """
        workers: Workers[Node] = Workers(self.lake.spark, self.policy.step_timeout.total_seconds())
        sorter = self._in_order(nodes)
        ready: list[Node] = []
        try:
            while sorter.is_active():
                ready += sorter.get_ready()
                while ready and len(workers.running) < self.policy.parallel:
                    node = ready.pop(0)
                    due = due_dates(node)
                    workers.start(node, lambda handle, node=node, due=due: self._build(node, due, handle))  # type: ignore[misc]
                for node, handle, is_left_behind in workers.wait():
                    self._after(node, handle, is_left_behind, due_dates(node))
                    sorter.done(node)
        except BaseException:
            for node, handle, is_left_behind in workers.cancel("cancelled"):
                self._after(node, handle, is_left_behind, due_dates(node))
            raise

    def run(
        self,
        step: str,
        subject: str,
        dates: RunDates,
        action: Callable[[], Outcome],
        *,
        reason: str = "",
        handle: Handle | None = None,
    ) -> Outcome:
        """Run one step, tell how it went, and turn its errors into an outcome."""
        handle = handle or Handle()
        name = f"{step} {subject}".strip()
        self.tell(f"{name}  {dates} ..." + (f"  ({reason})" if reason else ""))
        started_at, start = runs.wall_clock(), time.monotonic()
        with self._meter.measuring() as usage:
            outcome, attempts = attempt(action, self.policy, handle.stop)
        if handle.cancelled:
            outcome = Outcome(failed=(handle.cancelled,))
        seconds = time.monotonic() - start
        rows = ", ".join(f"{count:,} rows in {table}" for table, count in outcome.written.items())
        self.tell(f"{name}  {dates}  {seconds:.0f} s" + (f", {rows}" if rows else ""))
        for line in replace(outcome, written={}).lines():
            self.tell(f"  {line}")
        self.done.append(
            StepRun(
                step,
                subject,
                dates,
                outcome,
                started_at,
                seconds,
                attempts=attempts,
                reason=reason,
                cpu_seconds=usage.cpu_seconds,
                peak_bytes=usage.peak_bytes,
            )
        )
        return outcome

    # -------------------------------------------------------------- one node

    def _in_order(self, nodes: Iterable[Node]) -> TopologicalSorter[Node]:
        order = list(nodes)
        makers: dict[str, list[Node]] = {}
        for node in order:
            makers.setdefault(node.table, []).append(node)
            self._writers.setdefault(node.table, node)
        sorter = TopologicalSorter({node: [m for t in node.inputs for m in makers.get(t, ())] for node in order})
        sorter.prepare()
        return sorter

    def _build(self, node: Node, due: Sequence[date], handle: Handle) -> None:
        try:
            self._build_slices(node, due, handle)
        except Exception as error:  # of reading the marks; those of steps have become outcomes
            log.exception("%s %s cannot be planned", node.step, node.subject)
            self._fail(node, due, f"{type(error).__name__}: {error}")

    def _build_slices(self, node: Node, due: Sequence[date], handle: Handle) -> None:
        free = self._without_blocked(node, due)
        if not free:
            return
        why = freshness.reasons(node, free, self._marks_around(node))
        outcomes = [self._run(node, dates, why[dates.first], handle) for dates in freshness.ranges(why, due)]
        if any(outcome.exit_code for outcome in outcomes):
            self._block(node, freshness.reasons(node, why, self._marks_around(node)))

    def _run(self, node: Node, dates: RunDates, reason: str, handle: Handle) -> Outcome:
        def action() -> Outcome:
            return self.run_step(node, dates)

        def patiently() -> Outcome:
            return with_late_drops(action, self.policy, handle.stop, as_of(dates.last) + self.policy.wait_until)

        is_drop = node.step == "ingest_bronze"
        waits = is_drop and self.policy.when_late == "wait"
        step = self.lineage.started(node, dates) if self.lineage is not None else ""
        outcome = self.run(node.step, node.subject, dates, patiently if waits else action, reason=reason, handle=handle)
        if self.lineage is not None:
            self.lineage.ended(step, node, dates, outcome)
        if outcome.missing and is_drop and self.policy.when_late == "fail":
            self._halted = f"the night stopped, since {outcome.missing[0]}"
        self._marks.pop(_key(node), None)
        return outcome

    def _after(self, node: Node, handle: Handle, is_left_behind: bool, due: Sequence[date]) -> None:
        """Put a step on record that did not end by itself; it may still write its slices, whole or not at all."""
        if is_left_behind:
            self._fail(node, due, f"{handle.cancelled}; it did not end")

    def _fail(self, node: Node, due: Sequence[date], why: str) -> None:
        if due:
            outcome = Outcome(failed=(f"{node.step} {node.subject}: {why}",))
            dates = RunDates(min(due), max(due))
            self.done.append(StepRun(node.step, node.subject, dates, outcome, runs.wall_clock(), 0.0))
            self._block(node, due)

    # -------------------------------------------------------------- what must not be read

    def _without_blocked(self, node: Node, due: Sequence[date]) -> list[date]:
        """The dates whose inputs are all as they should be; the others are told, recorded, and blocked in turn."""
        if self._halted:
            culprits = dict.fromkeys(due, self._halted)
        else:
            culprits = {day: text for day in due if (text := self._blocked_for(node, day))}
        for dates in freshness.ranges(culprits, due):
            text = culprits[dates.first]
            self.tell(f"{node.step} {node.subject}  {dates}: skipped, {text}")
            skipped = StepRun(
                node.step, node.subject, dates, Outcome(), runs.wall_clock(), 0.0, attempts=0, reason=text
            )
            self.done.append(skipped)
        self._block(node, culprits)
        return [day for day in due if day not in culprits]

    def _blocked_for(self, node: Node, day: date) -> str:
        stopped = [table for table in node.same_date if day in self.blocked.get(table, ())]
        stopped += [table for table in node.history if min(self.blocked.get(table, {date.max})) <= day]
        return f"since {', '.join(sorted(stopped))} is not complete" if stopped else ""

    def _block(self, node: Node, days: Iterable[date]) -> None:
        for day in days:
            self.blocked.setdefault(node.table, set()).add(day)

    # -------------------------------------------------------------- marks

    def _marks_around(self, node: Node) -> dict[str, Marks]:
        """Marks of the node's own table and of its inputs, each read once until it is written again."""
        found: dict[str, Marks] = {}
        for table in (*node.inputs, node.table):
            writer = node if table == node.table else self._writers.get(table)
            if writer is None:
                found[table] = {}
                continue
            key = _key(writer)
            if key not in self._marks:
                self._marks[key] = self.lake.marks(table, writer.mark)
            found[table] = self._marks[key]
        return found


def _key(node: Node) -> str:
    return f"{node.table} {node.mark}"
