"""JSON schemas of every kind of definition file, so that editors complete and check them.

    python -m scorelake.schemas conf/schemas

writes them; a test holds the committed ones against the code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scorelake.models import Model
from scorelake.settings import Settings
from scorelake.tables import Bronze, Gold, Silver

KINDS: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "environment": (Settings, ("env", "conf_dir")),
    "bronze": (Bronze, ("name",)),
    "silver": (Silver, ("name",)),
    "gold": (Gold, ("name",)),
    "model": (Model, ("name",)),
}
"""Model of each kind, and the fields that follow from the file's place instead of standing in it."""


def schema(kind: str) -> dict[str, Any]:
    """The JSON schema of one kind of file."""
    model, given = KINDS[kind]
    found = model.model_json_schema(by_alias=True)
    for name in given:
        found["properties"].pop(name)
    found["required"] = [name for name in found.get("required", []) if name not in given]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def render(kind: str) -> str:
    return json.dumps(schema(kind), indent=2, sort_keys=True) + "\n"


def write(folder: Path) -> list[Path]:
    """Write `<kind>.schema.json` for every kind."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS:
        paths.append(folder / f"{kind}.schema.json")
        paths[-1].write_text(render(kind), encoding="utf-8")
    return paths


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)
