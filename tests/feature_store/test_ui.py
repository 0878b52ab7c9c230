"""Feast's own pages show the repo: its objects survive the registry and Feast's server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from feast import FeatureStore

    from scorelake.settings import Settings


@pytest.mark.slow
def test_feast_ui_shows_the_views_of_the_repo(store: FeatureStore, settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(settings.feature_repo), "ui"]
    with (tmp_path / "log").open("wb") as written:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=written, stderr=subprocess.STDOUT
        )
    try:
        assert store.project in {one["id"] for one in _asked(port, "projects-list.json", server)["projects"]}
        shown = _asked(port, f"api/v1/feature_views?project={store.project}", server)["featureViews"]
    finally:
        server.terminate()
        server.wait(30)
    names = {view["spec"]["name"] for view in shown}
    assert {view.name for view in store.list_feature_views()} <= names


def _asked(port: int, path: str, server: subprocess.Popen[bytes]) -> dict:
    for _ in range(300):
        assert server.poll() is None, "feast ui has ended"
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return json.load(answer)
        time.sleep(0.2)
    raise AssertionError(f"feast ui does not answer {path}")
