"""Which labels an evaluation takes, and what it says of the instant that it speaks of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobs import evaluate_scores
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column
from tests.shop.night import settings_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.scoring.summary import Row

MODEL, LABEL = "next_spend", "gold.next_spend_30d"
FIRST, SECOND = date(2024, 10, 1), date(2024, 10, 2)
DUE = {FIRST: date(2024, 11, 3), SECOND: date(2024, 11, 4)}
BUYERS = 20
SCHEMAS = ("gold", "scores", "monitoring", "ops")
KEYS = (Column(name="country", type="string"), Column(name="customer_code", type="string"))
LABELS = (
    *KEYS,
    Column(name="event_timestamp", type="timestamp"),
    Column(name="label", type="double"),
    Column(name="run_date", type="date"),
)
SCORES = (
    *KEYS,
    Column(name="score_date", type="date"),
    Column(name="role", type="string"),
    Column(name="model_version", type="string"),
    Column(name="served", type="boolean"),
    Column(name="score", type="double"),
    Column(name="bucket", type="int"),
)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Two nights of champion and shadow; the labels of each night are a slice of their own, a day apart."""
    before = dict(os.environ)
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    runs.begin()
    lake = Lake(spark, settings_in(tmp_path_factory.mktemp("matured")).lake)
    scores = [
        ("DE", f"{n}", night, role, version, role == "champion", n + error, 1 + n // 10)
        for night in (FIRST, SECOND)
        for role, version, error in (("champion", "1", 3.0), ("shadow", "2", 1.0))
        for n in range(BUYERS)
    ]
    labels = [
        ("DE", f"{n}", datetime.combine(night + timedelta(days=1), datetime.min.time()), float(n), due)
        for night, due in DUE.items()
        for n in range(BUYERS)
        if (night, n) != (FIRST, 0)  # has no label, and never will
    ]
    for name, columns, rows, slice_column in (
        (f"scores.{MODEL}", SCORES, scores, "score_date"),
        (LABEL, LABELS, labels, "run_date"),
    ):
        frame = spark.createDataFrame(rows, ", ".join(column.ddl for column in columns))
        lake.create(name, columns, partitioned_by=[slice_column])
        days = tuple(DUE) if slice_column == "score_date" else tuple(DUE.values())
        lake.replace_slices(frame, name, Mark("made up", "test", days), column=slice_column)
    yield lake
    os.environ.clear()
    os.environ.update(before)
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def measured(lake: Lake, day: date, tmp: Any) -> list[Row]:
    definitions = load_definitions(settings_in(tmp).conf_dir)
    spec = definitions.models[MODEL]
    subject = evaluate_scores.Subject(MODEL, spec, definitions.labels[spec.label], RunDates.single(day))
    return evaluate_scores._measured(lake, definitions, subject, lake.read(f"scores.{MODEL}"))


def test_labels_of_later_slices_never_enter_and_those_of_earlier_ones_stand(lake: Lake, tmp_path: Any) -> None:
    for night, due in DUE.items():
        rows = [row for row in measured(lake, due, tmp_path) if row["kind"] != "proxy"]
        assert {(row["run_date"], row["score_date"]) for row in rows} == {(due, night)}
        labelled = BUYERS - (night == FIRST)
        told = {(row["role"], row["kind"], row["metric"]): row for row in rows if row["segment"] == "all"}
        assert told["served", "metric", "rmse"]["value"] == pytest.approx(3.0)
        assert told["shadow", "metric", "rmse"]["value"] == pytest.approx(1.0)
        assert told["shadow", "gain", "rmse"]["value"] == pytest.approx(2.0)
        assert {row["rows"] for row in told.values()} == {labelled}
        assert sum(row["rows"] for row in rows if row["kind"] == "bucket" and row["role"] == "served") == labelled


def test_before_any_label_slice_nothing_is_judged(lake: Lake, tmp_path: Any) -> None:
    early = DUE[FIRST] - timedelta(days=1)
    assert {row["kind"] for row in measured(lake, early, tmp_path)} <= {"proxy"}
    tonight = measured(lake, FIRST, tmp_path)
    assert {(row["kind"], row["metric"], row["rows"]) for row in tonight} == {("proxy", "proxy_mean_score", BUYERS)}


def test_each_evaluation_carries_the_instant_it_was_made_as_of(lake: Lake, tmp_path: Any) -> None:
    frame = evaluate_scores._frame(lake, MODEL, measured(lake, DUE[FIRST], tmp_path))
    found = {(row["run_date"], row["as_of"]) for row in frame.collect()}
    assert found == {(DUE[FIRST], datetime(2024, 11, 4))}
