"""A night as OpenLineage events: by file and by HTTP, and no night that fails because nobody listens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorelake import runs
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import ConfigError
from scorelake.nightly import events
from scorelake.nightly.graph import Node
from scorelake.runs import Outcome
from scorelake.settings import load_settings
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column
from tests.shop.night import SHOP

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.settings import Settings

DAY = date(2024, 1, 1)
NODE = Node("build_silver", "silver.sales", "silver.sales", ("bronze.sales",), (), "h")
COLUMNS = [Column(name="run_date", type="date"), Column(name="größe", type="string")]


def settings(home: Path, *more: str) -> Settings:
    return load_settings(SHOP / "conf", "local", [f"local.home={home}", *more], SHOP / "feature_repo")


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Iterator[Lake]:
    """Two versions of a table that was made from version 7 of another."""
    for layer in ("bronze", "silver"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")
    lake = Lake(spark, settings(tmp_path).lake)
    for table in ("bronze.sales", "silver.sales"):
        lake.create(table, COLUMNS, partitioned_by=["run_date"])
        rows = spark.createDataFrame([(DAY, "M"), (DAY, "S")], "run_date DATE, `größe` STRING")
        inputs = {"bronze.sales": 7} if table == "silver.sales" else {}
        lake.replace_slices(rows, table, Mark("r", "build_silver", (DAY,), "h", inputs))
    yield lake
    for layer in ("bronze", "silver"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")


def told(lake: Lake, asked: Settings, outcome: Outcome) -> None:
    lineage = events.lineage(asked, "run_nightly", lake, load_definitions(SHOP / "conf"), None)  # type: ignore[arg-type]
    assert lineage is not None
    step = lineage.started(NODE, RunDates.single(DAY))
    lineage.ended(step, NODE, RunDates.single(DAY), outcome)


def test_a_step_tells_what_it_read_and_wrote_at_which_versions(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "lineage" / "events.jsonl"
    told(lake, settings(tmp_path, f"lineage.file={file}"), Outcome({"silver.sales": 2}))
    start, end = map(json.loads, file.read_text().splitlines())
    assert [event["eventType"] for event in (start, end)] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"]
    assert end["job"] == {"namespace": "scorelake", "name": "build_silver.silver.sales", "facets": {}}
    parent = end["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (events.run_uuid(runs.run_id()), "run_nightly")
    nominal = end["run"]["facets"]["nominalTime"]
    assert (nominal["nominalStartTime"], nominal["nominalEndTime"]) == ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")
    [read], [written] = end["inputs"], end["outputs"]
    assert (read["namespace"], read["name"]) == ("file", f"{tmp_path}/lake/bronze/sales")
    assert read["facets"]["version"]["datasetVersion"] == "7"
    assert written["name"] == f"{tmp_path}/lake/silver/sales"
    assert written["facets"]["version"]["datasetVersion"] == str(lake.version("silver.sales"))
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert [(f["name"], f["type"]) for f in written["facets"]["schema"]["fields"]][:2] == [
        ("run_date", "date"),
        ("größe", "string"),
    ]
    sizes = written["facets"]["columnLineage"]["fields"]["größe"]["inputFields"]
    assert [(one["name"], one["field"]) for one in sizes] == [(f"{tmp_path}/lake/bronze/sales", "größe")]


def test_a_step_that_ends_badly_says_why_and_claims_no_output(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    told(lake, settings(tmp_path, f"lineage.file={file}"), Outcome(refused=("silver.sales 2024-01-01: too few rows",)))
    _, end = map(json.loads, file.read_text().splitlines())
    assert (end["eventType"], end["outputs"]) == ("FAIL", [])
    assert end["run"]["facets"]["errorMessage"]["message"] == "silver.sales 2024-01-01: too few rows"


@contextmanager
def service(code: int) -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """A listener's address, and what was posted: path, authorization, event."""
    posted: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    server.server_close()


def test_a_service_gets_the_events_with_its_key(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    with service(201) as (address, posted):
        told(lake, settings(tmp_path, f"lineage.http={address}", "lineage.api_key=env:KEY"), Outcome({}))
    assert [(path, key, event["eventType"]) for path, key, event in posted] == [
        ("/api/v1/lineage", "Bearer s3cret", "START"),
        ("/api/v1/lineage", "Bearer s3cret", "COMPLETE"),
    ]


def test_a_service_that_refuses_costs_a_warning_and_is_asked_no_more(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with service(400) as (address, posted):
        told(lake, settings(tmp_path, f"lineage.http={address}"), Outcome({}))
    assert len(posted) == 1
    assert [record.message for record in caplog.records if "lineage" in record.message] == [
        "no more lineage events in this run: the transport failed (HTTPError)"
    ]


def test_nothing_is_told_where_nobody_is_named(lake: Lake, tmp_path: Path) -> None:
    assert events.lineage(settings(tmp_path), "run_nightly", lake, load_definitions(SHOP / "conf"), None) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("lineage.file=a", "lineage.http=http://b"), "either file or http"),
        (("lineage.http=ftp://b",), "http or https"),
        (("lineage.api_key=env:KEY",), "only an HTTP service"),
    ],
)
def test_wrong_places_are_refused(tmp_path: Path, given: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(tmp_path, *given)
