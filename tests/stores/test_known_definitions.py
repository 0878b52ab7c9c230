"""What a definition hash stands for is written once, and found again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.settings import LakeSettings
from scorelake.stores import known_definitions
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_meaning_is_written_once_and_found_by_table_and_hash(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql(f"DROP TABLE IF EXISTS {known_definitions.DEFINITIONS}")  # of another test's lake; its files stay
    lake = Lake(spark, LakeSettings(root=str(tmp_path / "lake")))
    assert known_definitions.read(lake, [("silver.x", "h1")]) == {}
    known_definitions.record(lake, {("silver.x", "h1"): "one", ("gold.y", "h1"): "other", ("gold.z", "h2"): ""})
    version = lake.version(known_definitions.DEFINITIONS)
    known_definitions.record(lake, {("silver.x", "h1"): "one"})
    assert lake.version(known_definitions.DEFINITIONS) == version
    known_definitions.record(lake, {("silver.x", "h1"): "one", ("silver.x", "h3"): "three"})
    wanted = [("silver.x", "h1"), ("silver.x", "h3"), ("gold.y", "h1"), ("gold.z", "h2")]
    assert list(known_definitions.read(lake, wanted).values()) == ["one", "three", "other"]
    spark.sql(f"DROP TABLE IF EXISTS {known_definitions.DEFINITIONS}")
