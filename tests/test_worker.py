"""A worker at rest costs the next task no reading of Spark's own archive."""

from __future__ import annotations

import sys
import zipimport
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from scorelake import worker

if TYPE_CHECKING:
    import pytest


def test_rest_drops_the_finders_of_sparks_archive_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, dropped = tmp_path / "team.zip", tmp_path / "pyspark.zip"
    for path in (kept, dropped):
        with ZipFile(path, "w") as archive:
            archive.writestr(f"{path.stem}_part/__init__.py", "")
        monkeypatch.setitem(sys.path_importer_cache, str(path), zipimport.zipimporter(str(path)))

    worker.rest()

    assert str(kept) in sys.path_importer_cache
    assert str(dropped) not in sys.path_importer_cache
