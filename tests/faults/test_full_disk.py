"""A job on a disk that fills up says so and ends; with room again, its repetition makes the slices."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from scorelake.dates import RunDates
from tests.faults.test_kill import ROOT, call
from tests.shop import land

DATES = RunDates(date(2024, 1, 1), date(2024, 3, 31))


def mounted(place: Path, megabytes: int) -> bool:
    """A file system of that size at `place`; needs root and a kernel that lets us."""
    place.mkdir()
    options = f"size={megabytes}m"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line_and_nobody_waits(tmp_path: Path) -> None:
    small = tmp_path / "small"
    if not mounted(small, 1):
        pytest.skip("this user may not mount")
    try:
        land.land(tmp_path / "landing", DATES)
        command, environment = call("ingest_bronze", small, DATES)
        command += ["--set", f"landing.root={tmp_path}/landing", "--set", "limits.range_chunk_days=400"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 1
        assert "a disk is full: make room where the lake" in done.stderr.splitlines()[-1]
        subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
        again = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert again.returncode == 0, again.stderr[-2000:]
    finally:
        subprocess.run(["umount", "-l", small], check=False)
