"""One line of log is one JSON object where a machine reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LIB = Path(__file__).parents[1] / "lib"
PROGRAM = """
import logging, warnings
from scorelake import logs
logs.configure({kind!r})
logging.getLogger("scorelake.x").info("a %s\\nof two lines", "text")
logging.getLogger("mlflow").info("unasked")
warnings.warn("old", DeprecationWarning)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("scorelake.x").exception("broken")
"""


def logged(kind: str) -> str:
    environment = {"PYTHONPATH": str(LIB), "SCORELAKE_RUN_ID": "r1", "PATH": "/usr/bin"}
    program = PROGRAM.format(kind=kind)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stderr


def test_json_lines_carry_the_run_and_the_whole_message() -> None:
    one, two = [json.loads(line) for line in logged("json").splitlines()]
    assert (one["run_id"], one["level"], one["logger"]) == ("r1", "INFO", "scorelake.x")
    assert one["message"] == "a text\nof two lines"
    assert "ZeroDivisionError" in two["error"]


def test_text_is_for_people_and_libraries_stay_quiet() -> None:
    text = logged("text")
    assert "INFO    a text" in text
    assert "unasked" not in text
    assert "old" not in text
