"""A job that is killed leaves whole slices or none, and its repetition makes the rows that it would have made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import explain, plan, status
from scorelake import digests
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph
from scorelake.settings import load_settings
from scorelake.stores import lease, ops
from scorelake.stores.lake import Lake, columns_of
from tests.shop import land
from tests.shop.night import SHOP, settings_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.stores.marks import Commit

ROOT = Path(__file__).parents[2]
DATES = RunDates(date(2024, 1, 1), date(2024, 2, 29))
NIGHTS = RunDates(DATES.first, date(2024, 1, 20))


def call(job: str, home: Path, dates: RunDates) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a job as spark-submit.sh starts it; commits of ten days each."""
    range_of_dates = ["--from", str(dates.first), "--to", str(dates.last)]
    overrides = ["--set", f"local.home={home}", "--set", "limits.range_chunk_days=10"]
    arguments = ["--env", "local", *range_of_dates, "--conf-dir", str(SHOP / "conf"), *overrides]
    submit = "--conf spark.master=local[2] --conf spark.driver.extraJavaOptions=-Duser.timezone=UTC pyspark-shell"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}", "PYSPARK_SUBMIT_ARGS": submit}
    return [sys.executable, "-m", f"jobs.{job}", *arguments], environment


def start(job: str, home: Path, dates: RunDates = DATES) -> subprocess.Popen[bytes]:
    """The job in a process group of its own."""
    command, environment = call(job, home, dates)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def await_first_commit(process: subprocess.Popen[bytes], home: Path, table: str) -> None:
    """Return once a commit beyond the table's creation is there."""
    commit = home / "lake" / table.replace(".", "/") / "_delta_log" / f"{1:020}.json"
    deadline = time.monotonic() + 600
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
def test_a_night_killed_in_the_middle_is_told_by_status_and_finished_by_the_next(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Started twice, killed, asked about, started again, and asked to end: one lake, as a bad night would have it."""
    land.land(tmp_path / "landing", NIGHTS)
    night = start("run_nightly", tmp_path, NIGHTS)
    await_first_commit(night, tmp_path, "ops.locks")
    assert start("run_nightly", tmp_path, NIGHTS).wait() == 3  # a scheduler that starts it twice
    kill_after_first_commit(night, tmp_path, "silver.events")

    settings = settings_in(tmp_path)
    lake = fresh_lake(spark, tmp_path)
    holder = lease.holder(lake, "night")
    assert holder is not None
    left = commits_of(lake, holder.run_id)
    told = "\n".join(status.run(spark, settings).notes)
    assert f"run {holder.run_id} of {holder.taken_at} UTC has died; the next night takes over" in told
    assert "it had done ingest_bronze bronze.events 2024-01-01..2024-01-10" in told
    assert not lake.exists(ops.STEPS)

    capsys.readouterr()
    plan.run(spark, settings, NIGHTS, json=True)
    planned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    definitions = load_definitions(SHOP / "conf")
    to_build = {(item["table"], day) for item in planned for day in due_of(definitions, item)}
    every = {(name, day) for name in definitions.tables for day in graph.due_dates(definitions, name, NIGHTS)}
    assert (to_build & every, left & to_build) == (every - left, set())

    conf = shutil.copytree(SHOP / "conf", tmp_path / "conf")
    query = conf / "tables/silver/events.sql"
    query.write_text(query.read_text().replace("event.device", "UPPER(event.device) AS device"))
    changed = load_settings(conf, "local", [f"local.home={tmp_path}"], SHOP / "feature_repo")
    plan.run(spark, changed, NIGHTS, frozenset(["silver.events"]), json=True)
    [item, *_] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert item["cause"].startswith("definition changed: ")
    assert [line.split() for line in item["diff"].splitlines() if line[0] in "-+"] == [
        ["-", "event.device"],
        ["+", "UPPER(event.device)", "AS", "device"],
    ]

    second = start("run_nightly", tmp_path, NIGHTS)
    await_commit_of_another(second, lake, holder.run_id)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=60) == 143

    lake = fresh_lake(spark, tmp_path)
    assert lease.holder(lake, "night") is None
    assert left <= commits_of(lake, holder.run_id, newest=True)  # what the first had done was not done again
    log = lake.read(ops.STEPS).collect()
    of_killed = [row for row in log if row["run_id"] == holder.run_id]
    assert {(row["subject"], row["verdict"]) for row in of_killed} >= {("bronze.events", "done"), ("", "failed")}
    assert sum(sum(row["rows"].values()) for row in of_killed) == rows_of(lake, holder.run_id)
    assert any("cancelled" in row["notes"] for row in ops.last_run(lake))
    explain.run(spark, settings, table="silver.events", date=NIGHTS.first)
    assert f"run {holder.run_id}" in capsys.readouterr().out
    fresh_lake(spark, tmp_path)


def fresh_lake(spark: SparkSession, home: Path) -> Lake:
    """The lake as other processes have left it, unknown to this session's catalog; its files stay."""
    for layer in ("bronze", "silver", "gold", "quarantine", "ops"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")
    return Lake(spark, settings_in(home).lake)


def commits(lake: Lake) -> dict[str, list[Commit]]:
    """The commits of bronze, silver and gold, newest first."""
    tables = graph.table_nodes(load_definitions(SHOP / "conf"))
    return {node.table: [one for one in lake.commits(node.table) if one.mark.step == node.step] for node in tables}


def commits_of(lake: Lake, run_id: str, *, newest: bool = False) -> set[tuple[str, date]]:
    """The slices that a run committed; with `newest` those that nobody has written since."""
    found = set()
    for table, written in commits(lake).items():
        seen: set[date] = set()
        for one in written:
            mine = set(one.mark.dates) - (seen if newest else set())
            seen |= set(one.mark.dates)
            found |= {(table, day) for day in mine if one.mark.run_id == run_id}
    return found


def rows_of(lake: Lake, run_id: str) -> int:
    return sum(one.rows for written in commits(lake).values() for one in written if one.mark.run_id == run_id)


def await_commit_of_another(process: subprocess.Popen[bytes], lake: Lake, run_id: str) -> None:
    """Return once another run has committed a slice."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        if any(one.mark.run_id != run_id for written in commits(lake).values() for one in written):
            return
        time.sleep(0.5)
    raise AssertionError(f"no commit by another run; the job's exit code: {process.poll()}")


def due_of(definitions: Definitions, item: Mapping[str, str]) -> list[date]:
    """The slices that a planned range stands for."""
    dates = RunDates(date.fromisoformat(item["from"]), date.fromisoformat(item["to"]))
    return graph.due_dates(definitions, item["table"], dates) if item["table"] in definitions.tables else list(dates)
