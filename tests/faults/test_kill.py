"""A job that is killed leaves whole slices or none, and its repetition makes the rows that it would have made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake import digests
from scorelake.dates import RunDates
from scorelake.stores import lease, ops
from scorelake.stores.lake import Lake, columns_of
from tests.shop import land
from tests.shop.night import SHOP, settings_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
DATES = RunDates(date(2024, 1, 1), date(2024, 2, 29))


def start(job: str, home: Path) -> subprocess.Popen[bytes]:
    """The job in a process group of its own, as spark-submit.sh starts it; commits of ten days each."""
    arguments = [
        "--env",
        "local",
        "--from",
        str(DATES.first),
        "--to",
        str(DATES.last),
        "--conf-dir",
        str(SHOP / "conf"),
    ]
    overrides = ["--set", f"local.home={home}", "--set", "limits.range_chunk_days=10"]
    submit = "--conf spark.master=local[2] --conf spark.driver.extraJavaOptions=-Duser.timezone=UTC pyspark-shell"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}", "PYSPARK_SUBMIT_ARGS": submit}
    return subprocess.Popen(
        [sys.executable, "-m", f"jobs.{job}", *arguments, *overrides],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def await_first_commit(process: subprocess.Popen[bytes], home: Path, table: str) -> None:
    """Return once a commit beyond the table's creation is there."""
    commit = home / "lake" / table.replace(".", "/") / "_delta_log" / f"{1:020}.json"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None and not commit.exists():
        time.sleep(0.05)
    assert process.poll() is None, "the job ended before it could be killed"


def kill_after_first_commit(process: subprocess.Popen[bytes], home: Path, table: str) -> None:
    """SIGKILL for the whole group."""
    await_first_commit(process, home, table)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def by_slice(spark: SparkSession, home: Path, table: str) -> dict[object, object]:
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    rows = Lake(spark, settings_in(home).lake).read(table)
    found = digests.digest_by_slice(rows, columns_of(rows)).collect()
    return {row["run_date"]: (row["rows"], row["digest"]) for row in found}


@pytest.mark.slow
def test_a_killed_job_leaves_whole_slices_and_is_finished_by_its_repetition(
    spark: SparkSession, tmp_path: Path
) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for home in (killed, undisturbed):
        land.land(home / "landing", DATES)
    for job, table in (("ingest_bronze", "bronze.events"), ("build_silver", "silver.events")):
        assert start(job, undisturbed).wait() == 0
        expected = by_slice(spark, undisturbed, table)
        kill_after_first_commit(start(job, killed), killed, table)
        left = by_slice(spark, killed, table)
        assert left.items() <= expected.items()
        assert start(job, killed).wait() == 0
        assert by_slice(spark, killed, table) == expected


@pytest.mark.slow
def test_a_night_keeps_others_out_and_ends_when_it_is_asked_to(spark: SparkSession, tmp_path: Path) -> None:
    land.land(tmp_path / "landing", DATES)
    night = start("run_nightly", tmp_path)
    await_first_commit(night, tmp_path, "ops.locks")
    assert start("run_nightly", tmp_path).wait() == 3
    await_first_commit(night, tmp_path, "bronze.events")
    night.send_signal(signal.SIGTERM)
    assert night.wait(timeout=60) == 143

    for table in ("ops.runs", "ops.locks"):
        spark.sql(f"DROP TABLE IF EXISTS {table}")
    lake = Lake(spark, settings_in(tmp_path).lake)
    assert lease.holder(lake, "night") is None
    assert any("cancelled" in row["notes"] for row in ops.last_run(lake))
    spark.sql("DROP TABLE IF EXISTS ops.runs")
    spark.sql("DROP TABLE IF EXISTS ops.locks")
