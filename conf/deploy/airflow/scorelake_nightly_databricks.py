"""The night on Databricks, as an Airflow 3 DAG. It needs no credentials to be imported; they are the connection's.

It starts the job that the bundle has deployed (target prod), whose own schedule is then to be paused. A run's data
interval is the run date: the night of 2 May (UTC) is the run whose interval starts on 2 May, and
`airflow backfill create --dag-id scorelake_nightly_databricks --from-date A --to-date B` runs the nights from A to B.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

RUN_DATE = "(params.run_date or (data_interval_start | ds))"

with DAG(
    dag_id="scorelake_nightly_databricks",
    description="Bronze to scores of one run date; safe to repeat, does only what is missing",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={"run_date": Param(None, type=["null", "string"], format="date", description="For a run by hand")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10), "execution_timeout": timedelta(hours=8)},
    tags=["scorelake"],
):
    DatabricksRunNowOperator(
        task_id="night",
        job_name="scorelake nightly",
        # The job takes the day on which a night starts, as its own schedule gives it.
        job_parameters={"started_on": f"{{{{ macros.ds_add({RUN_DATE}, 1) }}}}"},
        # An attempt's own id: submitted twice by one attempt, it is one run; a retry is another.
        idempotency_token="{{ ti.id }}",
        deferrable=True,
    )
