"""The waterworks: a small lake with two clocks, composite keys, corrections and a deletion, behind a real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.feature_store import definitions
from scorelake.feature_store.contracts import contract_of
from scorelake.settings import Settings, load_settings
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

if TYPE_CHECKING:
    from feast import FeatureStore
    from pyspark.sql import SparkSession

WATERWORKS = Path(__file__).parent / "waterworks"
DROP = date(2024, 3, 1)


def at(text: str) -> datetime:
    """An instant of March 2024: '05 12:00' or '05 12:00:00.000001'."""
    day, _, clock = text.partition(" ")
    return datetime.fromisoformat(f"2024-03-{day}T{clock or '00:00'}").replace(tzinfo=UTC)


# available_at stands last
READINGS: list[tuple[Any, ...]] = [
    (1, "a", "b|c", at("04 08:00"), 10, Decimal("1.10"), 1.0, 1, "first", at("05")),
    (2, "a", "b|c", at("05 08:00"), 20, Decimal("2.20"), 2.0, 1, None, at("06")),
    (3, "a", "b|c", at("06 08:00"), None, None, 4.0, 2, "tied, wins", at("07")),
    (4, "a", "b|c", at("06 08:00"), 5, Decimal("0.05"), float("nan"), 1, "tied, loses", at("07")),
    (5, "a|b", "c", at("06 09:00"), 2**53 + 1, Decimal("99999999.99"), 8.0, 1, "other meter", at("07")),
    (2, "a", "b|c", at("05 08:00"), 2_000, Decimal("2.20"), 2.0, 1, None, at("09")),  # corrects 20 litres
    (6, "x", None, at("06 08:00"), 7, Decimal("7.00"), 0.0, 1, "no meter", at("07")),
]
METERS: list[tuple[Any, ...]] = [
    ("a", "b|c", at("01"), "turbine", 7, Decimal("10.00"), date(2020, 2, 29), True, ["x", "y"], "I", at("02")),
    ("a", "b|c", at("05"), "piston", None, Decimal("0.01"), None, None, [], "U", at("06")),
    ("a|b", "c", at("01"), "turbine", 9, None, date(2021, 1, 1), False, None, "I", at("02")),
    ("a|b", "c", at("08"), "turbine", 9, None, date(2021, 1, 1), False, None, "D", at("09")),
]
TARIFFS: list[tuple[Any, ...]] = [(1, Decimal("0.125"), at("02")), (1, Decimal("0.250"), at("07"))]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("waterworks")
    overrides = [f"local.home={home}"]
    return load_settings(WATERWORKS / "conf", "local", overrides, feature_repo=WATERWORKS / "feature_repo")


@pytest.fixture(scope="session")
def repo(settings: Settings) -> definitions.FeatureRepo:
    return definitions.load(settings.feature_repo, settings.conf_dir)


@pytest.fixture(scope="session")
def lake(spark: SparkSession, settings: Settings) -> Iterator[Lake]:
    lake = Lake(spark, settings.lake)
    tables = {"silver.water_readings": READINGS, "silver.water_meters": METERS, "gold.water_tariffs": TARIFFS}
    for name, rows in tables.items():
        put(lake, settings, name, rows)
    yield lake
    for name in tables:
        spark.sql(f"DROP TABLE IF EXISTS {name}")


def put(lake: Lake, settings: Settings, name: str, rows: list[tuple[Any, ...]]) -> None:
    """Make `rows` the whole table `name`, as its contract says; the last value of a row is its available_at."""
    contract = contract_of(name, settings.conf_dir)
    columns = [*contract.columns, Column(name="available_at", type="timestamp")]
    schema = ", ".join(column.ddl for column in columns)
    frame = lake.spark.createDataFrame(rows, schema).selectExpr(
        "*", *(["operation = 'D' AS is_deleted"] if "meters" in name else []), f"DATE'{DROP}' AS run_date"
    )
    more = [Column(name="is_deleted", type="boolean")] if "meters" in name else []
    lake.create(name, [*columns, *more, Column(name="run_date", type="date")], partitioned_by=["run_date"])
    lake.replace_slices(frame, name, Mark("run", "build_silver", (DROP,)))


@pytest.fixture(scope="session")
def store(lake: Lake, settings: Settings) -> FeatureStore:
    """Feast's own store, applied; its offline answers come from `lake`."""
    definitions.apply(settings)
    return definitions.open_store(settings)
