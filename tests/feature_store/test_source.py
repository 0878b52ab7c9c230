"""A LakeSource survives the registry, and says what its table can give."""

from __future__ import annotations

from datetime import timedelta

import pytest
from feast.aggregation import Aggregation
from feast.data_source import DataSource
from feast.value_type import ValueType

from scorelake.errors import ConfigError
from scorelake.feature_store.contracts import VARIABLE
from scorelake.feature_store.saved_table import SavedTable
from scorelake.feature_store.source import LakeSource, feast_type
from tests.feature_store.conftest import WATERWORKS

SPEND = Aggregation(column="price", function="sum", time_window=timedelta(days=7), name="paid_7d")


@pytest.fixture(autouse=True)
def conf_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(WATERWORKS / "conf"))


def source(**changes: object) -> LakeSource:
    given = {"name": "readings", "table": "silver.water_readings", "aggregations": [SPEND], "tags": {"a": "b"}}
    return LakeSource(**{**given, **changes})  # type: ignore[arg-type]


def test_the_registry_gives_back_an_equal_source() -> None:
    windows = [SPEND, Aggregation(column="*", function="count", time_window=timedelta(microseconds=1), name="now")]
    given = source(aggregations=windows, available_at=False, description="d", owner="o")
    found = DataSource.from_proto(given.to_proto())
    assert found == given
    assert isinstance(found, LakeSource)
    assert [a.time_window for a in found.aggregations] == [timedelta(days=7), timedelta(microseconds=1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregations": []},
        {"aggregations": [Aggregation(column="price", function="sum", time_window=timedelta(days=8), name="paid_7d")]},
        {"available_at": False},
        {"table": "silver.water_meters"},
        {"timestamp_field": "available_at"},
        {"description": "other"},
    ],
)
def test_a_changed_source_is_not_equal_so_that_apply_sees_it(changes: dict[str, object]) -> None:
    assert source(**changes) != source()


def test_the_clocks_are_the_contracts() -> None:
    assert (source().timestamp_field, source().created_timestamp_column) == ("read_at", "available_at")
    assert source(available_at=False).created_timestamp_column == ""


def test_a_table_without_an_event_time_uses_its_available_at() -> None:
    tariffs = source(table="gold.water_tariffs", aggregations=[])
    assert (tariffs.timestamp_field, tariffs.created_timestamp_column) == ("available_at", "")


def test_a_source_from_the_registry_knows_its_clocks_without_the_conf_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = source().to_proto()
    monkeypatch.delenv(VARIABLE)
    found = DataSource.from_proto(proto)
    assert (found.timestamp_field, found.created_timestamp_column) == ("read_at", "available_at")


def test_without_a_conf_folder_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match="SCORELAKE_CONF_DIR is not set; export it, or name conf_dir"):
        source().contract()


def test_a_bronze_table_is_refused() -> None:
    assert next(source(table="bronze.water_readings").problems()).startswith("no contract of table bronze.")


def test_feast_infers_outputs_of_windows_and_columns_of_lookups() -> None:
    assert source().outputs() == {"paid_7d": "decimal(20,2)"}
    lookups = source(aggregations=[], field_mapping={"note": "remark"}).outputs()
    assert lookups["remark"] == "string"
    assert "note" not in lookups


def test_decimals_stay_decimals() -> None:
    assert feast_type("decimal(10,2)") == ValueType.DECIMAL
    assert feast_type("array<decimal(10,2)>") == ValueType.DECIMAL_LIST
    assert feast_type("binary") == ValueType.BYTES
    assert feast_type("bigint") == ValueType.INT64


def test_a_saved_table_comes_back_from_the_registry() -> None:
    from feast.saved_dataset import SavedDatasetStorage

    found = SavedDatasetStorage.from_proto(SavedTable("march").to_proto())
    assert isinstance(found, SavedTable)
    assert found.table == "march"
