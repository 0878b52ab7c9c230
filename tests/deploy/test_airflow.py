"""The DAGs in a real Airflow of their own: imported without credentials, their templates filled in by Airflow itself.

Which arguments of an operator are templates, only the operator knows: one that is none is sent as it is written.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.deploy.conftest import ROOT, understood

DAGS = ROOT / "conf/deploy/airflow"
PROGRAM = """
import json, sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time import macros

bag = DagBag(dag_folder=sys.argv[1])
said = {"errors": {path: text for path, text in bag.import_errors.items()}, "dags": {}}
night = datetime(2024, 5, 2, tzinfo=timezone.utc)
given = {"scorelake_package": "gs://b/dist", "scorelake_project": "p", "scorelake_region": "europe-west1",
         "scorelake_bucket": "b", "mlflow_tracking_uri": "https://m", "scorelake_image": "i"}
for dag in bag.dags.values():
    [task] = dag.tasks
    interval = dag.timetable.infer_manual_data_interval(run_after=night + timedelta(days=1))
    filled = {}
    for by_hand in (None, "2023-01-31"):
        copy = task.prepare_for_execution()
        copy.render_template_fields({
            "ti": SimpleNamespace(id="0197c2f4-8f1e-7cc8-9b53-0c9a3a6f1e55"), "params": {"run_date": by_hand},
            "data_interval_start": night, "var": {"value": SimpleNamespace(**given)}, "macros": macros,
        })
        filled[by_hand or "scheduled"] = {
            name: value for name, value in vars(copy).items()
            if name in ("batch", "batch_id", "request_id", "region", "project_id", "json", "job_parameters", "job_name",
                        "idempotency_token")
        }
    said["dags"][dag.dag_id] = {
        "filled": filled, "is_deferred": task.deferrable, "retries": task.retries, "catchup": dag.catchup,
        "side_by_side": dag.max_active_runs, "interval": [str(interval.start), str(interval.end)],
    }
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of the DAGs; its packages are those of the lock file that is shipped beside them."""
    home = tmp_path_factory.mktemp("airflow")
    python = home / "env/bin/python"
    subprocess.run([sys.executable, "-m", "venv", home / "env"], check=True)
    lock = DAGS / "requirements.lock"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", lock],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"Airflow could not be installed: {installed.stderr.strip().splitlines()[-1]}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AIRFLOW"))}
    environment = kept | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [python, "-c", PROGRAM, DAGS],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_dags_are_imported_without_credentials(dags: dict[str, Any]) -> None:
    assert dags["errors"] == {}
    assert set(dags["dags"]) == {"scorelake_nightly_dataproc", "scorelake_nightly_databricks"}
    for dag in dags["dags"].values():
        assert (dag["is_deferred"], dag["catchup"], dag["side_by_side"], dag["retries"]) == (True, False, 1, 2)
        assert [instant[:16] for instant in dag["interval"]] == ["2024-05-02 00:00", "2024-05-03 00:00"]


@pytest.mark.slow
def test_no_template_is_sent_as_it_is_written(dags: dict[str, Any]) -> None:
    assert "{{" not in json.dumps(dags["dags"])


@pytest.mark.slow
@pytest.mark.parametrize(("run", "run_date"), [("scheduled", "2024-05-02"), ("2023-01-31", "2023-01-31")])
def test_dataproc_is_given_a_call_that_the_job_understands(
    dags: dict[str, Any], run: str, run_date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = dags["dags"]["scorelake_nightly_dataproc"]["filled"][run]
    assert filled["batch_id"] == "scorelake-0197c2f4-8f1e-7cc8-9b53-0c9a3a6f1e55"
    arguments = filled["batch"]["pyspark_batch"]["args"]
    parsed = understood(arguments, monkeypatch)
    assert parsed.dates is not None
    assert [str(day) for day in parsed.dates] == [run_date]
    assert parsed.settings.env == "dataproc"


@pytest.mark.slow
@pytest.mark.parametrize(("run", "started_on"), [("scheduled", "2024-05-03"), ("2023-01-31", "2023-02-01")])
def test_databricks_is_given_the_day_on_which_the_night_starts(dags: dict[str, Any], run: str, started_on: str) -> None:
    filled = dags["dags"]["scorelake_nightly_databricks"]["filled"][run]
    assert filled["job_parameters"] == {"started_on": started_on}
    assert filled["idempotency_token"] == "0197c2f4-8f1e-7cc8-9b53-0c9a3a6f1e55"
