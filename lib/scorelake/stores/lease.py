"""One night at a time: a row of `ops.locks` that is taken by compare-and-set, kept alive, and given back.

The row changes hands by an UPDATE that names the holder it was read with; of two that try, Delta lets one win, and the
other is told that it changed no row.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from scorelake import runs
from scorelake.errors import Busy
from scorelake.stores.lake import Lake
from scorelake.tables import Column

log = logging.getLogger("scorelake.lease")

LOCKS = "ops.locks"
COLUMNS = (
    Column(name="name", type="string"),
    Column(name="run_id", type="string", comment="who holds it; empty when nobody does"),
    Column(name="host", type="string"),
    Column(name="pid", type="int"),
    Column(name="started", type="double", comment="when that process started, seconds since its machine did"),
    Column(name="taken_at", type="timestamp"),
    Column(name="seen_at", type="timestamp", comment="last sign of life"),
)
BEAT = timedelta(minutes=2)
DEAD_AFTER = timedelta(minutes=10)
"""Without a sign of life for so long a holder on another machine counts as dead."""
_SAME_START = 2.0
"""Seconds; the machine's own start is known to the second, give or take one."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease; times are naive UTC."""

    run_id: str
    host: str
    pid: int
    started: float
    taken_at: datetime
    seen_at: datetime

    @property
    def condition(self) -> str:
        """Holds for the lock's row as long as this very process has it: two attempts may share a run id."""
        return f"run_id = '{self.run_id}' AND host = '{self.host}' AND pid = {self.pid} AND started = {self.started!r}D"

    def is_dead(self, now: datetime) -> bool:
        """On this machine whether its process is gone, on another one whether it was silent for too long."""
        if self.host == socket.gethostname():
            return not _runs(self.pid, self.started)
        return now - self.seen_at > DEAD_AFTER


def holder(lake: Lake, name: str) -> Holder | None:
    """Who holds the lease now."""
    return next((found for found in _rows(lake, name) if found.run_id), None) if lake.exists(LOCKS) else None


@contextmanager
def taken(lake: Lake, name: str, *, bury: Callable[[Holder], None] | None = None) -> Iterator[None]:
    """Hold the lease inside the block. Busy when another process holds it.

    A dead one's is taken over with a warning; `bury` is called before, and so perhaps by more than one.
    """
    lake.create(LOCKS, COLUMNS, partitioned_by=["name"], comment="Who runs what just now.")
    [before] = _rows(lake, name) or _seeded(lake, name)
    if before.run_id:
        if not before.is_dead(runs.wall_clock()):
            raise _busy(name, before)
        log.warning("taking over from run %s on %s, which has died", before.run_id, before.host)
        if bury is not None:
            bury(before)
    mine = _this_process()
    if not _update(lake, name, asdict(mine), before.condition if before.run_id else "run_id = ''"):
        raise _busy(name, holder(lake, name))
    done = threading.Event()
    threading.Thread(target=_keep_alive, args=(lake, name, mine, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()
        _update(lake, name, {"run_id": ""}, mine.condition)


def _this_process() -> Holder:
    now = runs.wall_clock()
    return Holder(runs.run_id(), socket.gethostname(), os.getpid(), _started(os.getpid()), now, now)


def _keep_alive(lake: Lake, name: str, mine: Holder, done: threading.Event) -> None:
    while not done.wait(BEAT.total_seconds()):
        try:
            _update(lake, name, {"seen_at": runs.wall_clock()}, mine.condition)
        except Exception as error:  # one missed sign of life is none too many
            log.warning("no sign of life given: %s", error)


def _rows(lake: Lake, name: str) -> list[Holder]:
    """The lease's row; without a run id nobody holds it. None before it was first taken."""
    rows = lake.read(LOCKS).where(f"name = '{name}'").limit(1).collect()
    return [Holder(*(row[column.name] for column in COLUMNS[1:])) for row in rows]


def _seeded(lake: Lake, name: str) -> list[Holder]:
    """The row that nobody holds; of two that make it at once, one finds that of the other."""
    ddl = ", ".join(column.ddl for column in COLUMNS)
    row = lake.spark.createDataFrame([(name, "", None, None, None, None, None)], ddl)
    lake.insert_unless(row, LOCKS, "t.name = s.name")
    return _rows(lake, name)


def _update(lake: Lake, name: str, values: dict[str, object], condition: str) -> bool:
    """Whether the row was still as `condition` says, and has the values now."""
    return lake.update(LOCKS, values, f"name = '{name}' AND {condition}") > 0


def _busy(name: str, other: Holder | None) -> Busy:
    if other is None:
        return Busy(f"another {name} was faster; try again later")
    ahead = other.seen_at - runs.wall_clock()
    clocks = f"; its last sign of life is {ahead} ahead of this clock: one of the two is wrong" if ahead > BEAT else ""
    return Busy(
        f"another {name} is running: run {other.run_id} on {other.host}, process {other.pid}, "
        f"since {other.taken_at} UTC; wait for it to end, or end it{clocks}"
    )


def _started(pid: int) -> float:
    """Not by the clock, which may be set while a night runs: the living would seem to be other processes."""
    import psutil

    return float(psutil.Process(pid).create_time() - psutil.boot_time())


def _runs(pid: int, started: float) -> bool:
    """Whether the process that started then is alive; its number may have gone to another one."""
    import psutil

    try:
        return abs(_started(pid) - started) < _SAME_START
    except psutil.NoSuchProcess:
        return False
