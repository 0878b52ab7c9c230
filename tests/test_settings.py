"""base.yaml, then the environment, then --set; and places that follow from local.home."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorelake.errors import ConfigError, UsageError
from scorelake.settings import load_settings, resolve_secret


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text("limits: {range_chunk_days: 30}\n")
    (tmp_path / "local.yaml").write_text("local: {home: ../home}\n")
    (tmp_path / "cloud.yaml").write_text("lake: {catalog: main}\n")
    return tmp_path


def test_everything_of_a_laptop_lies_below_its_home(conf: Path) -> None:
    settings = load_settings(conf, "local")
    home = conf.parent / "home"
    assert settings.lake.root == f"{home}/lake"
    assert settings.landing.root == f"{home}/landing"
    assert settings.mlflow.tracking_uri == f"sqlite:///{home}/mlflow.db"
    assert settings.reports == f"{home}/reports"
    assert settings.limits.range_chunk_days == 30


def test_a_relative_path_is_relative_to_the_conf_folder(conf: Path) -> None:
    settings = load_settings(conf, "local", ["landing.root=in", "lake.root=gs://bucket/lake"])
    assert settings.landing.root == f"{conf}/in"
    assert settings.lake.root == "gs://bucket/lake"
    assert settings.feature_repo == conf.parent / "feature_repo"
    assert load_settings(conf, "local", feature_repo=Path("/repo")).feature_repo == Path("/repo")


def test_set_overrides_both_files_with_yaml_values(conf: Path) -> None:
    settings = load_settings(conf, "local", ["limits.range_chunk_days=7", "allow_missing=[bronze.x]"])
    assert settings.limits.range_chunk_days == 7
    assert settings.allow_missing == ("bronze.x",)


def test_another_lake_is_read_by_the_name_of_its_environment(conf: Path) -> None:
    """Of that environment nothing but the lake's address has to be known here."""
    (conf / "prod.yaml").write_text("lake: {root: 'gs://prod/lake'}\nlanding: {root: '${env:NOBODY_SETS_IT}'}\n")
    lake = load_settings(conf, "local", ["lake.read_from=prod"]).lake
    assert (lake.root, lake.read_root, lake.read_catalog) == (f"{conf.parent}/home/lake", "gs://prod/lake", None)
    assert load_settings(conf, "local", ["lake.read_from=cloud"]).lake.read_catalog == "main"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere", "environment nowhere has no file nowhere.yaml; environments here: cloud, empty, local"),
        ("empty", r"environment empty has neither lake\.root nor lake\.catalog"),
        ("local", "this lake reads from itself"),
    ],
)
def test_a_lake_that_cannot_be_read_is_refused(conf: Path, name: str, problem: str) -> None:
    (conf / "empty.yaml").write_text("{}\n")
    with pytest.raises(ConfigError, match=problem):
        load_settings(conf, "local", [f"lake.read_from={name}"])


@pytest.mark.parametrize("override", ["limits.range_chunk_days=x", "limits.rnge=1", "nonsense=1"])
def test_a_wrong_override_is_refused(conf: Path, override: str) -> None:
    with pytest.raises(ConfigError):
        load_settings(conf, "local", [override])


def test_an_override_without_a_value_is_refused(conf: Path) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        load_settings(conf, "local", ["lake.root"])


def test_an_unknown_environment_lists_the_known_ones(conf: Path) -> None:
    with pytest.raises(UsageError, match="environments there: cloud, local"):
        load_settings(conf, "prod")


def test_a_folder_without_base_yaml_is_no_conf_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no conf folder"):
        load_settings(tmp_path, "local")


def test_without_a_home_every_place_must_be_set(conf: Path) -> None:
    with pytest.raises(ConfigError, match=r"landing\.root, mlflow\.tracking_uri, feast\.registry, reports"):
        load_settings(conf, "cloud")


def test_a_catalog_needs_no_root(conf: Path) -> None:
    (conf / "local.yaml").write_text("local: {home: /h}\nlake: {catalog: main}\n")
    assert load_settings(conf, "local").lake.root == ""


def test_variables_are_replaced_and_defaults_used(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PLACE", "/here")
    monkeypatch.delenv("NOT_SET", raising=False)
    (conf / "local.yaml").write_text("local: {home: '${env:SOME_PLACE}/x'}\nreports: '${env:NOT_SET:-/there}'\n")
    settings = load_settings(conf, "local")
    assert (settings.local.home, settings.reports) == ("/here/x", "/there")


def test_a_variable_without_value_names_the_setting_and_line(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    (conf / "local.yaml").write_text("local: {home: /h}\nreports: '${env:NOT_SET}'\n")
    with pytest.raises(ConfigError, match=r"local.yaml:2: reports: environment variable NOT_SET is not set"):
        load_settings(conf, "local")


def test_secrets_are_references_and_never_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    (tmp_path / "token").write_text("from file\n")
    assert resolve_secret("env:DB_PASSWORD") == "s3cret"
    assert resolve_secret(f"file:{tmp_path}/token") == "from file"
    with pytest.raises(ConfigError) as caught:
        resolve_secret("hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("reference", ["env:NO_SUCH_VARIABLE", "file:/no/such/file", "databricks:scope/key"])
def test_a_secret_that_cannot_be_read_says_so(reference: str) -> None:
    with pytest.raises(ConfigError, match="secret"):
        resolve_secret(reference)
