"""The log says what DESCRIBE HISTORY says."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.settings import LakeSettings
from scorelake.stores import delta_log
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = [Column(name="k", type="bigint"), Column(name="run_date", type="date")]
D1, D2 = date(2024, 1, 1), date(2024, 1, 2)


def test_every_kind_of_commit_is_told_as_spark_tells_it(spark: SparkSession, tmp_path: Path) -> None:
    lake, name = Lake(spark, LakeSettings(root=str(tmp_path / "a lake"))), "silver.logged"
    lake.create(name, COLUMNS, partitioned_by=["run_date"])
    rows = spark.createDataFrame([(1, D1), (2, D2)], "k bigint, run_date date")
    lake.replace_slices(rows, name, Mark("r1", "s", (D1, D2), notes={"files": {"a {} \n": 1}}))
    lake.replace_slices(rows.where("k = 1").coalesce(1), name, Mark("r2", "s", (D1,)))
    rows.limit(0).write.format("delta").mode("append").saveAsTable(name)  # somebody else's
    spark.sql(f"DELETE FROM {name} WHERE k = 1")
    spark.sql(f"OPTIMIZE {name}")

    history = spark.sql(f"DESCRIBE HISTORY {name}").collect()
    found = delta_log.commit_infos(lake.location(name))
    assert [(version, info.get("userMetadata"), info["operation"]) for version, info in found] == [
        (row["version"], row["userMetadata"], row["operation"]) for row in history
    ]
    assert [info.get("operationMetrics") for _, info in found] == [row["operationMetrics"] or {} for row in history]
    assert lake.version(name) == history[0]["version"]


def test_a_table_that_nobody_wrote_has_no_commits(tmp_path: Path) -> None:
    assert delta_log.commit_infos(str(tmp_path / "nothing")) == []
    assert delta_log.versions(str(tmp_path / "nothing")) == {}
