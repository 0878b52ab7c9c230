"""CPU and memory of each step of a night: of this process and all that descend from it, the JVM and its workers too.

On a cluster the executors are other machines' processes: there it is the driver's share.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_EVERY = 2.0
"""Seconds between two looks; one costs a few milliseconds."""


@dataclass
class Usage:
    """What one step took. `peak_bytes` is the most that the whole tree held while the step ran, not the step alone."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class Meter:
    """Measures steps that may run side by side: what the tree used in between is shared equally among them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Usage] = []
        self._seen = 0.0
        self._is_watching = False
        self._idle = threading.Event()

    @contextmanager
    def measuring(self) -> Iterator[Usage]:
        usage = Usage()
        with self._lock:
            self._look()
            self._running.append(usage)
            if not self._is_watching:
                self._is_watching = True
                self._idle.clear()
                threading.Thread(target=self._watch, name="usage of steps", daemon=True).start()
        try:
            yield usage
        finally:
            with self._lock:
                self._look()
                self._running = [other for other in self._running if other is not usage]
                if not self._running:
                    self._idle.set()

    def _watch(self) -> None:
        while True:
            self._idle.wait(_EVERY)
            with self._lock:
                if not self._running:
                    self._is_watching = False
                    return
                self._idle.clear()
                self._look()

    def _look(self) -> None:
        """Give what was used since the last look to the steps that ran; the lock is held."""
        used, held = of_tree()
        for usage in self._running:
            usage.cpu_seconds += max(0.0, used - self._seen) / len(self._running)
            usage.peak_bytes = max(usage.peak_bytes, held)
        self._seen = used


def of_tree() -> tuple[float, int]:
    """CPU seconds so far of this process, its descendants and those of them that have ended; bytes resident now.

    Pages that forked workers share are counted for each of them.
    """
    import psutil

    me = psutil.Process()
    cpu, held = 0.0, 0
    for process in (me, *me.children(recursive=True)):
        try:
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:  # it has ended meanwhile
            continue
        cpu += times.user + times.system + times.children_user + times.children_system
        held += memory.rss
    return cpu, held
