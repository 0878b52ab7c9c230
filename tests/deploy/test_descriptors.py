"""Descriptors of platforms, as far as a machine without an account can judge them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from scorelake.platforms.submit import spark_properties
from scorelake.settings import Settings, load_settings
from tests.deploy.conftest import ROOT, understood

DEPLOY = ROOT / "conf/deploy"
ENVIRONMENTS = {
    "cluster": {"SCORELAKE_MASTER": "spark://m:7077", "SCORELAKE_HOME": "/shared"},
    "dataproc": {"SCORELAKE_BUCKET": "b", "MLFLOW_TRACKING_URI": "https://m"},
    "databricks": {"SCORELAKE_CATALOG": "prod"},
}


def loaded(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


def settings(env: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in ENVIRONMENTS[env].items():
        monkeypatch.setenv(name, value)
    return load_settings(ROOT / "conf", env)


# ------------------------------------------------------------------ environments


def test_dataproc_keeps_everything_that_stays_in_its_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings("dataproc", monkeypatch)
    kept = (found.lake.root, found.landing.root, found.mlflow.artifact_root, found.feast.registry, found.reports)
    assert all(place is not None and place.startswith("gs://b/") for place in kept)


def test_databricks_has_three_part_names_for_tables_and_models(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings("databricks", monkeypatch)
    assert (found.lake.catalog, found.lake.root) == ("prod", "")
    assert (found.mlflow.registry_uri, found.mlflow.registry_schema) == ("databricks-uc", "prod.models")
    assert found.landing.root.startswith("/Volumes/prod/")


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_platforms_jvm_and_workers_are_on_utc(env: str) -> None:
    properties = spark_properties([ROOT / f"conf/spark/{env}.conf"])
    for process in ("driver", "executor"):
        assert "-Duser.timezone=UTC" in properties[f"spark.{process}.extraJavaOptions"]
    assert properties["spark.sql.session.timeZone"] == "UTC"
    assert env == "databricks" or properties["spark.executorEnv.TZ"] == "UTC"  # there the bundle's spark_env_vars


# ------------------------------------------------------------------ Dataproc


def test_flags_of_a_batch_are_gclouds_flags() -> None:
    flags = loaded("dataproc/batch.yaml")
    assert all(flag.startswith("--") for flag in flags)
    assert flags["--version"] == "3.0"
    assert not {"--py-files", "--properties", "--flags-file"} & flags.keys()  # the submission's own


def test_workflow_template_hands_its_run_date_to_a_call_that_the_job_understands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template = loaded("dataproc/workflow-template.yaml")
    (job,) = template["jobs"]
    (parameter,) = template["parameters"]
    arguments = job["pysparkJob"]["args"]
    assert parameter["fields"] == [f"jobs['{job['stepId']}'].pysparkJob.args[{arguments.index(parameter['name'])}]"]
    assert understood(arguments, monkeypatch).settings.deploy.platform == "dataproc"


def test_workflow_template_has_the_properties_of_batches_with_the_clusters_own_delta() -> None:
    template = loaded("dataproc/workflow-template.yaml")
    expected = spark_properties([ROOT / "conf/spark/dataproc.conf"])
    del expected["spark.jars.packages"]
    assert template["jobs"][0]["pysparkJob"]["properties"] == expected
    assert "DELTA" in template["placement"]["managedCluster"]["config"]["softwareConfig"]["optionalComponents"]


# ------------------------------------------------------------------ Databricks


@pytest.fixture(scope="module")
def bundle() -> Any:
    return loaded("databricks/databricks.yml")


def test_bundle_has_a_paused_target_for_developers_and_one_for_production(bundle: Any) -> None:
    assert {name: target["mode"] for name, target in bundle["targets"].items()} == {
        "dev": "development",
        "prod": "production",
    }
    assert bundle["variables"]["schedule_status"]["default"] == "PAUSED"
    assert bundle["targets"]["prod"]["variables"]["schedule_status"] == "UNPAUSED"


def test_every_task_of_the_bundle_is_a_call_that_the_job_understands(
    bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCORELAKE_CATALOG", raising=False)
    for job in bundle["resources"]["jobs"].values():
        for task in job["tasks"]:
            arguments = [part.replace("${var.catalog}", "prod") for part in task["spark_python_task"]["parameters"]]
            assert understood(arguments, monkeypatch).settings.deploy.platform == "databricks"


def test_every_task_of_the_bundle_has_the_wheel_on_serverless_or_on_its_cluster(bundle: Any) -> None:
    for job in bundle["resources"]["jobs"].values():
        environments = {item["environment_key"]: item["spec"] for item in job.get("environments", ())}
        clusters = {item["job_cluster_key"] for item in job.get("job_clusters", ())}
        for task in job["tasks"]:
            if "environment_key" in task:
                assert environments[task["environment_key"]]["dependencies"] == ["./*.whl"]
            else:
                assert task["job_cluster_key"] in clusters
                assert task["libraries"] == [{"whl": "./*.whl"}]


def test_clusters_of_the_bundle_have_the_properties_of_databricks_conf(bundle: Any) -> None:
    expected = spark_properties([ROOT / "conf/spark/databricks.conf"])
    for cluster in bundle["resources"]["jobs"]["training"]["job_clusters"]:
        assert cluster["new_cluster"]["spark_conf"] == expected
        assert cluster["new_cluster"]["spark_env_vars"]["TZ"] == "UTC"


# ------------------------------------------------------------------ Airflow


def calls_of(path: Path) -> dict[str, dict[str, ast.expr]]:
    """Arguments of every call in the file by the name of what is called."""
    tree = ast.parse(path.read_text())
    return {
        node.func.id: {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


@pytest.mark.parametrize(
    ("name", "operator", "token", "value"),
    [
        ("dataproc", "DataprocCreateBatchOperator", "batch_id", "scorelake-{{ ti.id }}"),
        ("databricks", "DatabricksRunNowOperator", "idempotency_token", "{{ ti.id }}"),
    ],
)
def test_dag_defers_with_a_token_of_the_attempt_and_runs_one_interval_at_a_time(
    name: str, operator: str, token: str, value: str
) -> None:
    calls = calls_of(DEPLOY / f"airflow/scorelake_nightly_{name}.py")
    assert ast.literal_eval(calls[operator]["deferrable"]) is True
    assert ast.literal_eval(calls[operator][token]) == value
    assert ast.literal_eval(calls["DAG"]["max_active_runs"]) == 1
    assert ast.literal_eval(calls["DAG"]["catchup"]) is False
    assert "schedule" in calls["DAG"]
    assert "data_interval_start" in (DEPLOY / f"airflow/scorelake_nightly_{name}.py").read_text()


def test_batch_of_the_dag_has_the_properties_of_dataproc_conf() -> None:
    batch = calls_of(DEPLOY / "airflow/scorelake_nightly_dataproc.py")["DataprocCreateBatchOperator"]["batch"]
    dictionaries = [node for node in ast.walk(batch) if isinstance(node, ast.Dict)]
    literal = [ast.literal_eval(node) for node in dictionaries if "JoinedStr" not in ast.dump(node)]
    assert spark_properties([ROOT / "conf/spark/dataproc.conf"]) in literal
