"""Every published night stands once in the manifest, whoever was killed in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake.settings import LakeSettings
from scorelake.stores import score_runs
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODEL, STEPS = "kept", ("score_batch", "restating")
DDL = "customer int, score double, score_date date, role string, model_version string"
COLUMNS = [Column(name=part.split()[0], type=part.split()[1]) for part in DDL.split(", ")]
D1, D2 = date(2024, 1, 1), date(2024, 1, 2)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(spark, LakeSettings(root=str(tmp_path / "lake")))
    for schema in ("ops", "scores", "quarantine"):
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    for table in (f"scores.{MODEL}", f"quarantine.scores_{MODEL}"):
        lake.create(table, COLUMNS, partitioned_by=["score_date"])
    yield lake
    for schema in ("ops", "scores", "quarantine"):
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def publish(lake: Lake, run_id: str, day: date, rows: int, *, rejected: int = 0, step: str = "score_batch") -> int:
    """A commit as score_batch makes it; its version."""
    role = {"role": "champion", "model_version": "3", "model_digest": "d", "way": "booster", "failure": ""}
    mark = Mark(run_id, step, (day,), "hash", {"features.x": 7}, {"roles": [{**role, "seconds": 0.5}]})
    for table, count in ((f"quarantine.scores_{MODEL}", rejected), (f"scores.{MODEL}", rows)):
        frame = lake.spark.createDataFrame([(n, n / 10, day, "champion", "3") for n in range(count)], DDL)
        if count:
            commit = lake.replace_slices(frame, table, mark, column="score_date")
    return commit.version


def recorded(lake: Lake) -> list[tuple[object, ...]]:
    found = lake.read("ops.score_runs").where(f"model_name = '{MODEL}'").orderBy("table_version")
    return [(row["score_date"], row["rows"], row["rejected"], row["table_version"]) for row in found.collect()]


def test_a_night_is_recorded_once_with_what_was_put_aside(lake: Lake) -> None:
    first = publish(lake, "r1", D1, 5, rejected=2)
    score_runs.record(lake, MODEL, steps=STEPS)
    score_runs.record(lake, MODEL, steps=STEPS)
    second = publish(lake, "r2", D2, 3)
    score_runs.record(lake, MODEL, steps=STEPS)
    assert recorded(lake) == [(D1, 5, 2, first), (D2, 3, 0, second)]


def test_a_night_whose_run_was_killed_before_its_row_gets_it_with_the_next(lake: Lake) -> None:
    killed = publish(lake, "killed", D1, 5)
    following = publish(lake, "r2", D2, 3)
    score_runs.record(lake, MODEL, steps=STEPS)
    again = publish(lake, "r3", D1, 4, step="restating")
    score_runs.record(lake, MODEL, steps=STEPS)
    assert [row[3] for row in recorded(lake)] == [killed, following, again]


def test_a_table_that_was_made_again_is_recorded_from_its_first_night(lake: Lake) -> None:
    for night in (D1, D2):
        publish(lake, f"first {night}", night, 5)
        score_runs.record(lake, MODEL, steps=STEPS)
    lake.spark.sql(f"DROP TABLE scores.{MODEL}")
    shutil.rmtree(lake.location(f"scores.{MODEL}"))
    lake.create(f"scores.{MODEL}", COLUMNS, partitioned_by=["score_date"])
    publish(lake, "after", D1, 4)
    score_runs.record(lake, MODEL, steps=STEPS)
    assert sorted(row[:2] for row in recorded(lake)) == [(D1, 4), (D1, 5), (D2, 5)]


def test_where_the_log_no_longer_tells_the_table_does(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(lake, "r1", D1, 5)
    score_runs.record(lake, MODEL, steps=STEPS)
    commits = Lake.commits
    monkeypatch.setattr(Lake, "commits", lambda self, name: [] if name == "ops.score_runs" else commits(self, name))
    made = lake.commits(f"scores.{MODEL}")
    assert score_runs._recorded_up_to(lake, MODEL, made) == first
    assert score_runs._recorded_up_to(lake, "nobody", made) == -1
