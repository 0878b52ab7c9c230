"""However a night ends, those named in the settings hear of it."""

from __future__ import annotations

import json
import logging
from datetime import date
from pathlib import Path

import pytest

from jobs import _night
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.runs import Outcome
from scorelake.settings import NotifySettings

NIGHT = RunDates.single(date(2024, 1, 1))


def test_the_outcome_is_told_as_one_object(tmp_path: Path) -> None:
    runs.begin("r1")
    told = tmp_path / "told"
    outcome = Outcome({"silver.a": 2, "gold.b": 3}, refused=("silver.c of 2024-01-01 is refused",))
    _night.notify(NotifySettings(command=("sh", "-c", f"cat > {told}")), NIGHT, outcome)
    assert json.loads(told.read_text()) == {
        "run_id": "r1",
        "from": "2024-01-01",
        "to": "2024-01-01",
        "exit_code": 4,
        "rows": 5,
        "failed": [],
        "refused": ["silver.c of 2024-01-01 is refused"],
        "missing": [],
    }


def test_a_night_does_not_fail_because_nobody_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _night.notify(NotifySettings(command=("false",)), NIGHT, Outcome())
    assert "the night's outcome did not reach command: it ended with exit code 1" in caplog.text
