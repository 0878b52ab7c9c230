"""What a call becomes on its way to a platform."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import pytest

from jobs import _submit
from scorelake import cli
from scorelake.errors import EnvironmentProblem, UsageError
from scorelake.platforms import submit
from scorelake.platforms.package import Package
from tests.deploy.conftest import ROOT

CALL = ("score_batch", "--run-date", "2024-05-01", "--only", "churn,next_spend", "--set", "limits.range_chunk_days=7")


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORELAKE_BUCKET", "team-lake")
    monkeypatch.setenv("SCORELAKE_CATALOG", "prod")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setenv("SCORELAKE_MASTER", "spark://master:7077")
    monkeypatch.setenv("SCORELAKE_HOME", "/shared/scorelake")


def shown(env: str, capsys: pytest.CaptureFixture[str], *more: str) -> list[list[str]]:
    """The commands that --dry-run shows, as a shell reads them."""
    assert _submit.answer([*CALL, "--env", env, "--conf-dir", str(ROOT / "conf"), "--dry-run", *more]) == 0
    return [shlex.split(line) for line in capsys.readouterr().out.splitlines()]


def test_a_cluster_is_given_both_zips_properties_and_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = shown("cluster", capsys)
    assert command[:3] == ["spark-submit", "--master", "spark://master:7077"]
    assert "spark.executorEnv.TZ=UTC" in command
    assert command[command.index("--py-files") + 1] == f"{ROOT}/dist/scorelake.zip,{ROOT}/dist/definitions.zip"
    assert command[command.index(f"{ROOT}/dist/run.py") + 1 :] == [
        *("--export", "SCORELAKE_HOME=/shared/scorelake", "--export", "SCORELAKE_MASTER=spark://master:7077"),
        *(*CALL, "--env", "cluster"),
    ]


def test_a_batch_is_gclouds_flags_file_the_files_properties_and_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = shown("dataproc", capsys)
    assert command[:6] == ["gcloud", "dataproc", "batches", "submit", "pyspark", f"{ROOT}/dist/run.py"]
    options = dict(part.split("=", 1) for part in command[6 : command.index("--")])
    assert options["--flags-file"] == str(ROOT / "conf/deploy/dataproc/batch.yaml")
    assert options["--py-files"] == f"{ROOT}/dist/scorelake.zip,{ROOT}/dist/definitions.zip"
    assert "spark.sql.session.timeZone=UTC" in options["--properties"].split(",")
    assert command[command.index("--") + 1 :] == [
        *("--export", "MLFLOW_TRACKING_URI=https://mlflow.example.com", "--export", "SCORELAKE_BUCKET=team-lake"),
        *(*CALL, "--env", "dataproc"),
    ]


def test_a_bundle_is_deployed_and_its_job_called_with_these_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    deploy, run = shown("databricks", capsys, "--set", "deploy.target=prod")
    assert deploy == ["databricks", "bundle", "deploy", "--target", "prod"]
    assert run[:5] == ["databricks", "bundle", "run", "--target", "prod"]
    (parameters,) = csv.reader([run[run.index("--python-params") + 1]])
    assert parameters[:3] == ["--export", "SCORELAKE_CATALOG=prod", "score_batch"]
    assert "churn,next_spend" in parameters
    assert run[-1] == "call"


def test_what_counts_here_only_is_not_handed_on() -> None:
    call = ["check", "--conf-dir", "my/conf", "--env", "x", "--feature-repo=my/repo", "--dry-run", "--set", "a.b=c"]
    assert submit.forwarded(call) == ["check", "--env", "x", "--set", "a.b=c"]


def test_a_property_with_a_comma_gets_a_delimiter_that_no_property_holds() -> None:
    command = submit.commands(
        cli.parse_call(
            cli.describe(ROOT / "jobs/check.py"), ["--env", "dataproc", "--conf-dir", str(ROOT / "conf")]
        ).settings,
        Package(Path("/dist")),
        ["check"],
        {},
        {"a": "1,2", "b": "~"},
    )[0]
    assert "--properties=^;^a=1,2;b=~" in command


def test_properties_of_the_definitions_come_before_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.conf"
    own.write_text("# a comment\n\nspark.a  one two\nspark.b=3\nspark.c : x=y\n")
    assert submit.spark_properties([own, ROOT / "conf/spark/cluster.conf"]) == {
        "spark.a": "one two",
        "spark.b": "3",
        "spark.c": "x=y",
    }
    with pytest.raises(UsageError, match="expected"):
        submit.spark_properties([tmp_path / "none.conf"])


@pytest.mark.parametrize(("env", "tool"), [("dataproc", "gcloud"), ("databricks", "databricks")])
def test_a_missing_tool_is_named_with_what_to_do(env: str, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EnvironmentProblem, match=f"{tool} not found on PATH: install"):
        _submit.answer([*CALL, "--env", env, "--conf-dir", str(ROOT / "conf")])


def test_the_tools_exit_code_is_handed_on_and_nothing_follows_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "databricks"
    tool.write_text(f'#!/bin/sh\necho "$2 in $PWD" >>{tmp_path}/calls\nexit 7\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert _submit.answer([*CALL, "--env", "databricks", "--conf-dir", str(ROOT / "conf")]) == 7
    assert (tmp_path / "calls").read_text() == f"deploy in {ROOT}/dist\n"


@pytest.mark.parametrize("env", ["cluster", "dataproc", "databricks"])
def test_a_call_for_a_platform_is_checked_here_and_then_submitted(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORELAKE_CONF_DIR", str(ROOT / "conf"))
    assert cli.validate([*CALL, "--env", env]) == cli.SUBMIT
    with pytest.raises(UsageError):
        cli.validate(["score_batch", "--env", env, "--run-date", "yesterday"])


def test_dry_run_of_an_environment_that_is_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORELAKE_CONF_DIR", str(ROOT / "conf"))
    with pytest.raises(UsageError, match="environment local is here"):
        cli.validate([*CALL, "--env", "local", "--dry-run"])
