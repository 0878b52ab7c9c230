"""What steps take: measured on real work of this process and of a child."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from scorelake.nightly.usage import Meter

BURN = "import time\nwhile time.process_time() < 0.4: pass"


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_step_has_the_cpu_of_its_process_and_of_children_that_have_ended() -> None:
    with Meter().measuring() as usage:
        burn(0.2)
        subprocess.run([sys.executable, "-Sc", BURN], check=True)
    assert 0.55 < usage.cpu_seconds < 2.5
    assert usage.peak_bytes > 10_000_000


def test_what_was_used_between_steps_is_no_steps() -> None:
    meter = Meter()
    with meter.measuring() as first:
        pass
    burn(0.5)
    with meter.measuring() as second:
        pass
    assert first.cpu_seconds < 0.3
    assert second.cpu_seconds < 0.3


def test_steps_side_by_side_share_what_was_used() -> None:
    meter = Meter()
    both = threading.Barrier(2)
    found = []

    def step() -> None:
        with meter.measuring() as usage:
            both.wait()
            burn(0.3)
            both.wait()
        found.append(usage.cpu_seconds)

    threads = [threading.Thread(target=step) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert abs(found[0] - found[1]) < 0.25
    assert 0.5 < sum(found) < 1.5
