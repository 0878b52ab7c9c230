"""Steps side by side in one Spark application, each of which can be cancelled on its own."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from scorelake import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Key = TypeVar("Key")

GRACE = 20.0
"""Seconds that a cancelled step is given to end; one that hangs outside of Spark is then left behind."""
_LOOK = 0.5


@dataclass
class Handle:
    """One running step: its Spark jobs carry `tag`; `stop` ends its pauses; `cancelled` says why it must end."""

    tag: str = field(default_factory=lambda: f"scorelake-{uuid.uuid4().hex}")
    stop: threading.Event = field(default_factory=threading.Event)
    cancelled: str = ""
    started: float = field(default_factory=time.monotonic)
    cancelled_at: float = 0.0


class Workers(Generic[Key]):
    """Runs actions in threads; `timeout` is in seconds. An action reports its own errors, it does not raise."""

    def __init__(self, spark: SparkSession, timeout: float) -> None:
        self._spark = spark
        self._timeout = timeout
        self._ended: queue.Queue[Key] = queue.Queue()
        self.running: dict[Key, Handle] = {}

    def start(self, key: Key, action: Callable[[Handle], None]) -> None:
        handle = Handle()
        self.running[key] = handle

        def work() -> None:
            try:
                session.tag(self._spark, handle.tag)
                action(handle)
            finally:
                self._ended.put(key)

        # A daemon, so that one that hangs cannot keep the process from ending.
        threading.Thread(target=work, name=str(key)[:80], daemon=True).start()

    def wait(self) -> Iterator[tuple[Key, Handle, bool]]:
        """What ended since, after a moment; with it whether it had to be left behind, still running."""
        self._cancel_overdue()
        try:
            keys = [self._ended.get(timeout=_LOOK)]
        except queue.Empty:
            keys = []
        while not self._ended.empty():
            keys.append(self._ended.get())
        for key in keys:
            if key in self.running:  # otherwise it was left behind before
                yield key, self.running.pop(key), False
        for key, handle in list(self.running.items()):
            if handle.cancelled and time.monotonic() > handle.cancelled_at + GRACE:
                yield key, self.running.pop(key), True

    def cancel(self, why: str) -> Iterator[tuple[Key, Handle, bool]]:
        """Cancel everything; as `wait`, until nothing runs any more."""
        for handle in self.running.values():
            self._cancel(handle, why)
        while self.running:
            yield from self.wait()

    def _cancel_overdue(self) -> None:
        for handle in self.running.values():
            if time.monotonic() > handle.started + self._timeout:
                self._cancel(handle, f"cancelled after {self._timeout:.0f} s, the setting night.step_timeout")

    def _cancel(self, handle: Handle, why: str) -> None:
        if not handle.cancelled:
            handle.cancelled, handle.cancelled_at = why, time.monotonic()
            handle.stop.set()
            session.cancel_tagged(self._spark, handle.tag)
