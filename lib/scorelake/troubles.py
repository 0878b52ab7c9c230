"""Errors of machines, told in one line with what to do: a full disk, no memory, a lost worker, no network.

Spark and the JVM bury them under "An error occurred while calling o123.saveAsTable".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_KNOWN = (
    (
        r"No space left on device|Disk quota exceeded|File too large|\[Errno (27|28)\]",
        "a disk is full: make room where the lake (lake.root) and Spark's own files (spark.local.dir) lie, then run it "
        "again; what was half written is not visible and maintain_tables removes it",
    ),
    (
        r"OutOfMemoryError|GC overhead limit|exit code 137|[Mm]emory limit",
        "out of memory: raise spark.driver.memory or spark.executor.memory in conf/spark/<env>.conf, or lower "
        "night.parallel or limits.range_chunk_days, then run it again",
    ),
    (
        r"ExecutorLost|Lost executor|Slave lost|Worker lost|Python worker (exited|failed)",
        "a worker was lost again and again: see its log, mostly memory or a machine that was taken away; run it again",
    ),
    (
        r"UnknownHost|Connection (refused|reset|timed out)|SocketTimeout|NoRouteToHost|Max retries exceeded",
        "a service cannot be reached: the registry, a database or the storage; `doctor` says which; run it again",
    ),
)
_CALLING = "An error occurred while calling"
_JVM_CLASS = re.compile(r"Caused by: ([\w.$]+)|^: ([\w.$]+)", re.MULTILINE)


def told(error: BaseException) -> str:
    """One line for people. Of the JVM's errors only classes are told, since their texts may hold values of rows."""
    text = str(error)
    name = type(error).__name__
    if _CALLING in text:
        classes = [match[1] or match[2] for match in _JVM_CLASS.finditer(text)]
        brief = f"{name}: {classes[-1]}" if classes else name
    else:
        brief = f"{name}: {text.splitlines()[0]}" if text else name
    return f"{brief}; {advice}" if (advice := _advice(error)) else brief


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling; each once, since an error may be its own cause."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _advice(error: BaseException) -> str:
    texts = [f"{type(one).__name__}: {one}" for one in causes(error)]
    return next((advice for pattern, advice in _KNOWN if any(re.search(pattern, text) for text in texts)), "")
