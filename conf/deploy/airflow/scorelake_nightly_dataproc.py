"""The night on Dataproc, as an Airflow 3 DAG. It needs no credentials to be imported; they are the connection's.

A run's data interval is the run date: the night of 2 May (UTC) is the run whose interval starts on 2 May, and
`airflow backfill create --dag-id scorelake_nightly_dataproc --from-date A --to-date B` runs the nights from A to B.
The package (dist/) lies at the Airflow variable `scorelake_package`, a gs:// folder.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.google.cloud.operators.dataproc import DataprocCreateBatchOperator
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

PACKAGE = "{{ var.value.scorelake_package }}"
RUN_DATE = "{{ params.run_date or (data_interval_start | ds) }}"

with DAG(
    dag_id="scorelake_nightly_dataproc",
    description="Bronze to scores of one run date; safe to repeat, does only what is missing",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={"run_date": Param(None, type=["null", "string"], format="date", description="For a run by hand")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10), "execution_timeout": timedelta(hours=8)},
    tags=["scorelake"],
):
    DataprocCreateBatchOperator(
        task_id="night",
        project_id="{{ var.value.scorelake_project }}",
        region="{{ var.value.scorelake_region }}",
        # An attempt's own id: submitted twice by one attempt, it is one batch, to which the second attaches.
        # No request_id: the operator fills in no template there, so that all nights would have one id.
        batch_id="scorelake-{{ ti.id }}",
        batch={
            "pyspark_batch": {
                "main_python_file_uri": f"{PACKAGE}/run.py",
                "python_file_uris": [f"{PACKAGE}/scorelake.zip", f"{PACKAGE}/definitions.zip"],
                "args": [
                    "--export",
                    "SCORELAKE_BUCKET={{ var.value.scorelake_bucket }}",
                    "--export",
                    "MLFLOW_TRACKING_URI={{ var.value.mlflow_tracking_uri }}",
                    "run_nightly",
                    "--env",
                    "dataproc",
                    "--run-date",
                    RUN_DATE,
                ],
            },
            "runtime_config": {
                "version": "3.0",
                "container_image": "{{ var.value.scorelake_image }}",
                "properties": {
                    "spark.jars.packages": "io.delta:delta-spark_4.1_2.13:4.2.0",
                    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
                    "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
                    "spark.executorEnv.TZ": "UTC",
                    "spark.executorEnv.OMP_WAIT_POLICY": "PASSIVE",
                    "spark.sql.session.timeZone": "UTC",
                    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
                    "spark.sql.codegen.hugeMethodLimit": "8000",
                },
            },
        },
        deferrable=True,
    )
