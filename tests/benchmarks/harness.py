"""CPU seconds of a whole process tree around one action, side against side in interleaved rounds.

A side is an action in a warm session: Spark's JVM, its Python workers and this process all count. The last line that a
benchmark prints is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from scorelake.nightly.usage import of_tree

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    scale: float = 1.0
    rounds: int = 3


@dataclass
class Report:
    """What a benchmark found; `cpu_seconds` are medians by side."""

    bench: str
    answers_equal: bool
    cpu_seconds: Mapping[str, float]
    ratios: Mapping[str, float]
    rows: int
    rounds: int
    extra: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        def rounded(numbers: Mapping[str, float]) -> dict[str, float]:
            return {name: round(number, 3) for name, number in numbers.items()}

        found = {
            "bench": self.bench,
            "answers_equal": self.answers_equal,
            "ratios": rounded(self.ratios),
            "cpu_seconds": rounded(self.cpu_seconds),
            "rows": self.rows,
            "rounds": self.rounds,
        }
        return json.dumps(found | rounded(self.extra))


def cpu_seconds() -> float:
    """User and system time of this process, all that descend from it and all of these that have ended."""
    return of_tree()[0]


def memory_bytes() -> int:
    """Memory of this process and all that descend from it; a page that several share counts once."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):  # it has ended meanwhile
            total += process.memory_full_info().pss
    return total


def measure(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 2,
    wake: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Median CPU seconds of each side over `rounds` interleaved rounds, after `warm_up` rounds that do not count.

    `wake` is called before each side and not measured: Spark ends Python workers that had nothing to do for a minute,
    and the side after a slow one would pay for their start.
    """
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        for name, action in sides.items():
            wake()
            before, began = cpu_seconds(), time.monotonic()
            action()
            used, took = cpu_seconds() - before, time.monotonic() - began
            print(
                f"{'warm-up' if number < 0 else f'round {number + 1}'}  {name}: {used:.2f} CPU s, {took:.2f} s",
                flush=True,
            )
            if number >= 0:
                seen[name].append(used)
    return {name: statistics.median(some) for name, some in seen.items() if some}


def ratio(cpu: Mapping[str, float], one: str, other: str) -> float:
    """How many times the CPU of `other` goes into `one`; 0 when nothing was measured."""
    return cpu[one] / cpu[other] if cpu.get(other) else 0.0


def act(frame: DataFrame) -> None:
    """Compute every row and column of a frame, and keep nothing."""
    frame.write.format("noop").mode("overwrite").save()


def wake(spark: SparkSession) -> None:
    """Start the Python workers of a local session where they have gone, with the engine imported, and clear the heap
    of what the side before has left on it.
    """
    jvm: Any = spark.sparkContext._jvm
    jvm.System.gc()
    spark.range(0, 2, 1, 2).mapInArrow(_import_engine, "id bigint").collect()  # no row


def _import_engine(batches: Iterable[object]) -> Iterator[object]:
    from scorelake.features import bucket  # noqa: F401

    for _ in batches:
        time.sleep(0.2)  # so that the tasks run side by side, in a worker each
    yield from ()


def spark_session(name: str, *, memory: str = "6g") -> SparkSession:
    """A local session as a laptop has it, with the package on the workers' path; `memory` is the JVM's."""
    from scorelake import session

    os.environ["PYTHONPATH"] = os.pathsep.join((str(ROOT / "lib"), str(ROOT)))
    spark = session.start(name, master="local[2]", conf={"spark.driver.memory": memory})
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def main(
    bench: Callable[[SparkSession, Options], Report], arguments: Sequence[str] | None = None, *, memory: str = "6g"
) -> None:
    """Run a benchmark from the command line; exit code 1 when the sides' answers differ."""
    parser = argparse.ArgumentParser(description=bench.__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of rows")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds after two to warm up; 0: answers only")
    options = Options(**vars(parser.parse_args(arguments)))
    before = cpu_seconds()
    spark = spark_session("bench", memory=memory)
    spark.range(1).count()
    print(f"start-up: {cpu_seconds() - before:.2f} CPU s")
    report = bench(spark, options)
    print(report.line())
    sys.exit(0 if report.answers_equal else 1)
