"""Maintenance removes what nobody needs, and never what a live model was made from."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import maintain_tables
from scorelake import runs
from scorelake.definitions import load_definitions
from scorelake.settings import LakeSettings
from scorelake.stores import staging
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column
from tests.shop.night import SHOP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

TABLE = "silver.kept"
DAY = date(2024, 1, 1)
AGE = timedelta(days=90)


@pytest.fixture
def lakes(spark: SparkSession, tmp_path: Path) -> Iterator[tuple[Lake, Lake]]:
    """Two lakes whose table was written 90 days ago, and written again soon after."""
    spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")
    young = Lake(spark, LakeSettings(root=str(tmp_path / "young")))
    young.create(
        TABLE, [Column(name="k", type="int"), Column(name="run_date", type="date")], partitioned_by=["run_date"]
    )
    for k in (1, 2):
        frame = spark.createDataFrame([(k, DAY)], "k int, run_date date")
        young.replace_slices(frame, TABLE, Mark("r", "build_silver", (DAY,)))
    found = []
    for name in ("one", "two"):
        shutil.copytree(tmp_path / "young", tmp_path / name)
        _age(tmp_path / name)
        found.append(Lake(spark, LakeSettings(root=str(tmp_path / name))))
    yield found[0], found[1]
    spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")


def _age(root: Path) -> None:
    """Put every clock of the table back: those in its log and those of its files."""
    then = time.time() - AGE.total_seconds()
    for path in sorted((root / "silver" / "kept").rglob("*")):
        if path.suffix == ".crc":
            path.unlink()
        elif path.suffix == ".json":
            actions = [json.loads(line) for line in path.read_text().splitlines()]
            for fields in (fields for action in actions for fields in action.values()):
                for clock in {"timestamp", "modificationTime", "deletionTimestamp", "createdTime"} & set(fields):
                    fields[clock] = int(then * 1000)
            path.write_text("".join(json.dumps(action) + "\n" for action in actions))
        if path.is_file():
            os.utime(path, (then, then))


def test_a_version_that_a_live_model_needs_outlives_every_vacuum(lakes: tuple[Lake, Lake]) -> None:
    free, needed = lakes
    cases: list[tuple[Lake, list[int]]] = [(free, []), (needed, [1])]
    for lake, versions in cases:
        lake.spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")
        assert lake.owns(TABLE)
        for _ in range(2):
            told = maintain_tables.maintain(lake, TABLE, timedelta(days=7), versions)
        assert ("kept for a model" in told) == bool(versions)
        assert [row["k"] for row in lake.read(TABLE).collect()] == [2]
    assert [row["k"] for row in needed.read(TABLE, version=1).collect()] == [1]
    files = {lake: len(list(Path(lake.location(TABLE)).rglob("*.parquet"))) for lake in lakes}
    assert (files[free], files[needed]) == (1, 2)


def test_the_contract_says_how_long_versions_of_a_table_stay(tmp_path: Path) -> None:
    shutil.copytree(SHOP / "conf", tmp_path / "conf")
    with (tmp_path / "conf/tables/silver/sales.yaml").open("a") as contract:
        contract.write("retention: 90 days\n")
    definitions = load_definitions(tmp_path / "conf")
    asked = ("silver.sales", "quarantine.sales", "silver.events", "ops.runs", "scores.churn")
    found = {table: maintain_tables.retention(definitions, table) for table in asked}
    assert found == dict.fromkeys(asked) | dict.fromkeys(asked[:2], timedelta(days=90))


def test_the_reach_of_a_vacuum_leaves_room_until_the_next_one() -> None:
    now, keep = runs.wall_clock(), timedelta(days=30)
    assert maintain_tables.keep_of(keep, []) == keep
    assert maintain_tables.keep_of(keep, [now - timedelta(days=1)]) == timedelta(days=60)
    assert maintain_tables.keep_of(keep, [now, now - timedelta(days=100)]) == timedelta(days=150)
    assert maintain_tables.keep_of(timedelta(days=400), [now - timedelta(days=100)]) == timedelta(days=400)


def test_a_slice_is_laid_out_by_its_clustering_columns_once(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")
    lake = Lake(spark, LakeSettings(root=str(tmp_path)))
    kinds = {"k": "int", "größe": "int", "run_date": "date"}
    lake.create(TABLE, [Column(name=name, type=kind) for name, kind in kinds.items()], partitioned_by=["run_date"])
    days, told = (DAY, DAY + timedelta(days=1)), list[str]()
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", 4_000)
    try:
        for day in days:
            shuffled = spark.range(4_000).selectExpr("CAST(id % 1000 AS INT) AS k", "CAST(id AS INT) AS `größe`")
            rows = shuffled.repartition(4).selectExpr("*", f"DATE'{day}' AS run_date")
            lake.replace_slices(rows, TABLE, Mark(f"r{day}", "build_silver", (day,)))
            told += [maintain_tables._clustered(lake, TABLE, ["k", "größe"]) for _ in range(2)]
    finally:
        spark.conf.unset("spark.databricks.delta.optimize.maxFileSize")
    # Of the second night the first slice was left alone.
    assert told == [told[0], "laid out already"] * 2
    slice_ = lake.read(TABLE).where(f"run_date = DATE'{DAY}'")
    files = [
        set(rows.select("_metadata.file_path").toArrow().column(0).to_pylist())
        for rows in (slice_, slice_.where("k < 10"))
    ]
    assert len(files[1]) < len(files[0]) / 2
    assert lake.read(TABLE).distinct().count() == 8_000
    assert lake.slices(TABLE) == set(days)
    spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")


def test_what_killed_steps_had_staged_is_removed_once_nobody_can_be_at_it(lakes: tuple[Lake, Lake]) -> None:
    lake, _ = lakes
    rows = lake.spark.range(3)
    with staging.staging(lake) as stage:
        assert stage(rows).count() == 3
        [running] = (Path(lake.settings.root) / "_staging").iterdir()
        killed = running.with_name("killed")
        shutil.copytree(running, killed)
        for path in (*killed.rglob("*"), killed):
            os.utime(path, (time.time() - 3 * 86400,) * 2)
        assert staging.clear(lake, runs.wall_clock() - timedelta(days=2)) == 1
        assert not killed.exists()
        assert stage(rows).count() == 3
    assert not running.exists()
    assert staging.clear(lake, runs.wall_clock()) == 0
