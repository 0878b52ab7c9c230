from __future__ import annotations

from pathlib import Path

import pytest

from scorelake.platforms import package
from scorelake.platforms.package import Package
from tests.shop.night import SHOP

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The shop, packaged."""
    return package.build(ROOT, SHOP / "conf", SHOP / "feature_repo", tmp_path_factory.mktemp("the package") / "dist")
