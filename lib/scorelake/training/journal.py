"""What a search has found so far, in a file that a killed training leaves behind.

A search asks the same questions in the same order when its seed and all answers are the same. So one that starts again
takes the answers from here and goes on where it was, and ends as if nothing had happened.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Journal:
    """Values by question, one JSON line each; `path` is a local file, which need not exist yet."""

    path: Path

    def read(self) -> dict[str, float | None]:
        """What is known. A last line cut off by a kill is not."""
        if not self.path.is_file():
            return {}
        found: dict[str, float | None] = {}
        for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]:
            question, value = json.loads(line)
            found[question] = value
        return found

    def forget(self) -> None:
        """The training has ended: what it learns anew, it learns anew."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def add(self, question: str, value: float | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = self.path.read_bytes() if self.path.is_file() else b""
        with self.path.open("ab") as file:
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
            file.write(json.dumps([question, value]).encode() + b"\n")
