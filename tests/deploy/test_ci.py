"""CI files for users: they parse, and each of our own commands in them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import ROOT

FILES = sorted((ROOT / "conf/deploy/ci").glob("*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ci_file_is_yaml_that_checks_tests_packages_imports_dags_and_audits(path: Path) -> None:
    text = path.read_text()
    assert isinstance(yaml.safe_load(text), dict)
    words = re.findall(r"\./spark-submit\.sh (\w+)", text)
    assert words == ["check", "package"]
    assert all((ROOT / f"jobs/{word}.py").is_file() for word in words)
    assert "./.ci/run" in text
    assert (ROOT / ".ci/run").is_file()
    assert "conf/deploy/airflow/*.py" in text
    assert "pip-audit --requirement requirements.lock" in text
    assert "sbom.json" in text
