from __future__ import annotations

from pathlib import Path

import pytest

from scorelake import cli
from scorelake.platforms import package
from scorelake.platforms.package import Package
from scorelake.platforms.run import _parsed
from tests.shop.night import SHOP

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The shop, packaged."""
    return package.build(ROOT, SHOP / "conf", SHOP / "feature_repo", tmp_path_factory.mktemp("the package") / "dist")


def understood(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> cli.Call:
    """What the launcher and the job make of a descriptor's arguments, its placeholders filled in."""
    filled = [part.replace("{{job.parameters.started_on}}", "2024-05-02") for part in arguments]
    filled = ["2024-05-01" if part == "RUN_DATE" else part for part in filled]
    call = _parsed(filled)
    for pair in call.export:
        monkeypatch.setenv(*pair.split("=", 1))
    days = ["--run-date", "2024-05-01"] if call.day_before else []
    return cli.parse_call(
        cli.describe(ROOT / f"jobs/{call.job}.py"), [*call.arguments, *days, "--conf-dir", str(ROOT / "conf")]
    )
