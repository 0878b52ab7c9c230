"""What gold and features see of a lake's tables: an empty snapshot leaves nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import _as_of
from scorelake.dates import as_of
from scorelake.definitions import load_definitions
from scorelake.settings import LakeSettings
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BRONZE = """
description: Members, the whole table every day.
source: {kind: csv, path: "{run_date}.csv", delivery: snapshot, starts: 2024-01-01, delivers: daily}
columns: [member STRING]
"""
SILVER = "description: Members.\ncolumns: [member STRING]\nkeys: [member]\nallow_empty: true\n"
DAYS = {date(2024, 1, 1): ["a", "b"], date(2024, 1, 2): [], date(2024, 1, 3): ["b"]}
COLUMNS = [
    Column(name=n, type=t) for n, t in (("run_date", "date"), ("available_at", "timestamp"), ("member", "string"))
]


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Iterator[Lake]:
    spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")
    lake = Lake(spark, LakeSettings(root=str(tmp_path / "lake")))
    lake.create("silver.members", COLUMNS, partitioned_by=["run_date"])
    for day, members in DAYS.items():
        rows = spark.createDataFrame(
            [(day, as_of(day), member) for member in members], ", ".join(column.ddl for column in COLUMNS)
        )
        lake.replace_slices(rows, "silver.members", Mark("r", "build_silver", (day,)))
    yield lake
    spark.sql("DROP SCHEMA IF EXISTS silver CASCADE")


def test_an_empty_snapshot_leaves_nobody(lake: Lake, tmp_path: Path) -> None:
    for layer, text in (("bronze", BRONZE), ("silver", SILVER)):
        folder = tmp_path / "conf" / "tables" / layer
        folder.mkdir(parents=True)
        (folder / "members.yaml").write_text(text)
    (tmp_path / "conf/tables/silver/members.sql").write_text("SELECT member FROM bronze.members")
    definitions = load_definitions(tmp_path / "conf")
    with _as_of.reader(lake, definitions, ["silver.members"], instants=1) as at:
        seen = {day: sorted(row["member"] for row in at("silver.members", as_of(day)).collect()) for day in DAYS}
    assert seen == DAYS
