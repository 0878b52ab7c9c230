"""Peak memory of the driver while a slice goes to quarantine as a whole: it must not grow with the bad rows.

3 M rows of 20 columns, every one of them bad, with a heap of 1 GB for the driver and, on one machine, its tasks.

    python -m tests.benchmarks.bad_rows --scale 1
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake import session
from tests.benchmarks import harness, quality
from tests.benchmarks.harness import Options, Report

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 3_000_000
HEAP = "1g"


def bench(spark: SparkSession, options: Options) -> Report:
    """A tenth of the rows, then all of them: resident megabytes of this process at its peak, which holds the driver."""
    folder = Path(tempfile.mkdtemp(prefix="bench-bad-rows-"))
    peaks: dict[str, float] = {}
    kept = []
    try:
        for name, rows in (("tenth", int(ROWS * options.scale / 10)), ("all", int(ROWS * options.scale))):
            work = quality.Work(spark, quality.written_bronze(spark, folder / name, rows), folder / name)
            verdict = work.gated((quality.NEVER,))
            kept.append((verdict.rows, verdict.quarantined) == (rows, rows))
            peaks[f"python_mb_{name}"] = _peak_megabytes(os.getpid())
        return Report("bad_rows", all(kept), {}, {}, int(ROWS * options.scale), 1, peaks)
    finally:
        shutil.rmtree(folder)


def _peak_megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join((str(harness.ROOT / "lib"), str(harness.ROOT)))
    started = session.start("bench", master="local[2]", conf={"spark.driver.memory": HEAP})
    report = bench(started, Options(scale=float(sys.argv[2]) if sys.argv[1:2] == ["--scale"] else 1.0))
    print(report.line())
    sys.exit(0 if report.answers_equal else 1)
