"""One run holds a lease at a time; the dead lose it, the living do not."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from pyspark.sql import functions as F

from scorelake import runs
from scorelake.errors import Busy
from scorelake.settings import LakeSettings
from scorelake.stores import lease
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Iterator[Lake]:
    spark.sql("DROP TABLE IF EXISTS ops.locks")  # of another test's lake; its files stay
    runs.begin("mine")
    yield Lake(spark, LakeSettings(root=str(tmp_path / "lake")))
    spark.sql("DROP TABLE IF EXISTS ops.locks")


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """Another process of this machine."""
    child = subprocess.Popen(["sleep", "600"])
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


def hold(lake: Lake, host: str, process: psutil.Process, silent: timedelta = timedelta(0)) -> None:
    """Let another run hold the lease."""
    with lease.taken(lake, "night"):
        pass
    then = runs.wall_clock() - silent
    values = {"run_id": "theirs", "host": host, "pid": process.pid, "started": lease._started(process.pid)}
    columns = {name: F.lit(value) for name, value in {**values, "taken_at": then, "seen_at": then}.items()}
    lake.update(lease.LOCKS, columns, "name = 'night'")


def test_who_holds_it_is_seen_inside_the_block_and_nobody_after(lake: Lake) -> None:
    assert lease.holder(lake, "night") is None
    with lease.taken(lake, "night"):
        holder = lease.holder(lake, "night")
        assert holder is not None
        assert (holder.run_id, holder.host, holder.is_dead(runs.wall_clock())) == ("mine", socket.gethostname(), False)
    assert lease.holder(lake, "night") is None


def test_a_first_start_that_comes_late_leaves_the_row_to_the_other_one(lake: Lake) -> None:
    with lease.taken(lake, "night"):
        [found] = lease._seeded(lake, "night")
        assert found.run_id == "mine"


def test_it_is_given_back_when_the_run_fails(lake: Lake) -> None:
    with pytest.raises(ZeroDivisionError), lease.taken(lake, "night"):
        raise ZeroDivisionError
    assert lease.holder(lake, "night") is None


def test_a_living_holder_keeps_it(lake: Lake, process: psutil.Process) -> None:
    hold(lake, socket.gethostname(), process)
    with pytest.raises(Busy, match="run theirs on"), lease.taken(lake, "night"):
        pass
    holder = lease.holder(lake, "night")
    assert holder is not None
    assert holder.run_id == "theirs"


@pytest.mark.parametrize("moved", [timedelta(hours=-3), timedelta(seconds=1), timedelta(days=1)])
def test_a_living_holder_keeps_it_when_the_clock_is_set(
    lake: Lake, process: psutil.Process, moved: timedelta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel then tells another time at which the machine started."""
    hold(lake, socket.gethostname(), process)
    system = tmp_path / "proc"
    system.mkdir()
    for pid in (process.pid, os.getpid()):
        (system / str(pid)).symlink_to(f"/proc/{pid}")
    told = Path("/proc/stat").read_text()
    before = int(psutil.boot_time())
    (system / "stat").write_text(told.replace(f"btime {before}", f"btime {before + int(moved.total_seconds())}"))
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(system))
    assert psutil.boot_time() != before
    with pytest.raises(Busy, match="run theirs on"), lease.taken(lake, "night"):
        pass


def test_a_sign_of_life_from_the_future_tells_of_a_wrong_clock(lake: Lake, process: psutil.Process) -> None:
    hold(lake, "elsewhere", process, silent=-timedelta(hours=1))
    with pytest.raises(Busy, match="one of the two is wrong"), lease.taken(lake, "night"):
        pass


def test_it_is_taken_from_a_process_that_is_gone(
    lake: Lake, process: psutil.Process, caplog: pytest.LogCaptureFixture
) -> None:
    hold(lake, socket.gethostname(), process)
    process.kill()
    process.wait()
    with caplog.at_level(logging.WARNING), lease.taken(lake, "night"):
        assert "taking over from run theirs" in caplog.text


def test_a_dead_holder_is_buried_before_its_lock_is_taken(lake: Lake, process: psutil.Process) -> None:
    """So that a run that is killed in between leaves the burial to the next one."""
    hold(lake, socket.gethostname(), process)
    process.kill()
    process.wait()
    with pytest.raises(ZeroDivisionError), lease.taken(lake, "night", bury=lambda dead: print(1 / 0)):
        pass
    buried: list[str] = []
    with lease.taken(lake, "night", bury=lambda dead: buried.append(dead.run_id)):
        assert buried == ["theirs"]


def test_another_process_with_the_same_run_id_is_another_holder(lake: Lake, process: psutil.Process) -> None:
    """A scheduler that starts a run twice gives both its id."""
    hold(lake, socket.gethostname(), process)
    runs.begin("theirs")
    with pytest.raises(Busy), lease.taken(lake, "night"):
        pass


def test_on_another_machine_silence_is_death(lake: Lake, process: psutil.Process) -> None:
    hold(lake, "elsewhere", process, silent=lease.DEAD_AFTER - timedelta(minutes=1))
    with pytest.raises(Busy), lease.taken(lake, "night"):
        pass
    hold_again = {"seen_at": F.lit(runs.wall_clock() - lease.DEAD_AFTER - timedelta(minutes=1))}
    lake.update(lease.LOCKS, hold_again, "name = 'night'")
    with lease.taken(lake, "night"):
        pass


@pytest.mark.parametrize("same_id", [False, True])
def test_of_two_at_once_one_wins(lake: Lake, monkeypatch: pytest.MonkeyPatch, same_id: bool) -> None:
    with lease.taken(lake, "night"):
        pass
    if not same_id:
        monkeypatch.setattr(runs, "run_id", lambda: threading.current_thread().name)
    monkeypatch.setattr(lease, "_started", lambda pid: float(threading.get_ident()))  # a process each
    monkeypatch.setattr(lease, "_runs", lambda pid, started: True)
    both_hold, results = threading.Barrier(2, timeout=60), []

    def take() -> None:
        try:
            with lease.taken(lake, "night"):
                results.append("held")
                both_hold.wait()
        except Busy:
            results.append("busy")
            both_hold.wait()

    threads = [threading.Thread(target=take, name=f"run{n}") for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["busy", "held"]
