"""Log lines: for people in a terminal, one JSON object a line for a log service."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Literal

from scorelake import runs

Kind = Literal["text", "json"]

_LIBRARIES = ("mlflow", "alembic", "feast", "great_expectations", "py4j")


def configure(kind: Kind) -> None:
    """Send what the process logs to stderr. SCORELAKE_LOG_LEVEL sets our own level, INFO by default."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(_Json() if kind == "json" else text)
    logging.basicConfig(handlers=[handler])
    logging.getLogger("scorelake").setLevel(os.environ.get("SCORELAKE_LOG_LEVEL", "INFO"))
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # What libraries say about their own next release would bury what a night has to say.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "run_id": runs.run_id(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)
