"""The committed JSON schemas are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorelake import schemas

FOLDER = Path(__file__).parents[1] / "conf" / "schemas"


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_the_committed_schema_is_the_codes(kind: str) -> None:
    committed = (FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert committed == schemas.render(kind), "run: python -m scorelake.schemas conf/schemas"


def test_what_the_files_place_decides_is_not_asked_for() -> None:
    assert "name" not in schemas.schema("silver")["properties"]
    assert "env" not in schemas.schema("environment")["properties"]
    assert "columns" in schemas.schema("silver")["required"]
