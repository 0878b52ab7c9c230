"""Feast's own calls, answered by the engine: a real FeatureStore, file registry, Delta tables."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest

from scorelake import session
from scorelake.errors import ConfigError, EnvironmentProblem, UsageError
from scorelake.feature_store.saved_table import SavedTable
from tests.feature_store.conftest import at

if TYPE_CHECKING:
    from feast import FeatureStore
    from pyspark.sql import SparkSession

TTL_ENDS = datetime(2024, 4, 4, tzinfo=UTC)  # 30 days after the last change of meter b|c
MICROSECOND = timedelta(microseconds=1)
CASES: dict[str, tuple[str | None, str | None, datetime | None]] = {
    "before anything": ("a", "b|c", at("01")),
    "late change not known": ("a", "b|c", at("05 12:00")),
    "late change known": ("a", "b|c", at("06")),
    "all readings": ("a", "b|c", at("07")),
    "all readings again": ("a", "b|c", at("07")),
    "before the correction": ("a", "b|c", at("08 23:59:59.999999")),
    "corrected": ("a", "b|c", at("09")),
    "oldest in the window": ("a", "b|c", at("11 08:00")),
    "oldest just out": ("a", "b|c", at("11 08:00:00.000001")),
    "at its ttl": ("a", "b|c", TTL_ENDS),
    "past its ttl": ("a", "b|c", TTL_ENDS + MICROSECOND),
    "keys that run together": ("a|b", "c", at("07")),
    "deletion not known": ("a|b", "c", at("08 12:00")),
    "deleted": ("a|b", "c", at("09")),
    "unknown meter": ("a", "c", at("07")),
    "null meter": ("x", None, at("07")),
    "null instant": ("a", "b|c", None),
}
STATE = ("meter_kind", "capacity", "deposit", "installed", "is_smart", "labels")
USE = (
    "litres_7d", "readings_7d", "paid_7d", "price_mean", "last_note", "first_note_7d", "notes", "flow_max_7d",
    "flow_min", "flow_stddev", "flow_variance", "last_reading_age", "mean_litres_90s",
)  # fmt: skip


@pytest.fixture(scope="module")
def answer(spark: SparkSession, store: FeatureStore) -> pa.Table:
    """All features of all cases in one call."""
    rows = [(case, *entity) for case, entity in CASES.items()]
    spine = spark.createDataFrame(rows, "case STRING, site STRING, meter STRING, event_timestamp TIMESTAMP")
    refs = [f"meter_state:{name}" for name in STATE] + [f"meter_use:{name}" for name in USE]
    refs += ["tariff:cents", "site_use:site_litres_28d", "use_ratios:share_of_site", "use_ratios:per_reading"]
    return store.get_historical_features(spine, refs).to_arrow()


@pytest.fixture(scope="module")
def cases(answer: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["case"]: row for row in answer.to_pylist()}


def test_every_spine_row_comes_once_with_its_columns_first(answer: pa.Table) -> None:
    assert sorted(answer["case"].to_pylist()) == sorted(CASES)
    assert answer.column_names[:4] == ["case", "site", "meter", "event_timestamp"]


def test_features_follow_in_the_order_they_were_asked_for(answer: pa.Table) -> None:
    assert tuple(answer.column_names[4 : 4 + len(STATE) + len(USE)]) == STATE + USE


def test_types_are_those_of_the_table_beside_nulls(answer: pa.Table) -> None:
    types = {field.name: field.type for field in answer.schema}
    assert types["capacity"] == pa.int32()
    assert types["deposit"] == pa.decimal128(10, 2)
    assert types["installed"] == pa.date32()
    assert types["is_smart"] == pa.bool_()
    assert pa.types.is_list(types["labels"])
    assert types["litres_7d"] == pa.int64()
    assert types["paid_7d"] == pa.decimal128(20, 2)
    assert types["cents"] == pa.decimal128(6, 3)


def test_inferred_types_are_those_that_the_engine_answers_with(answer: pa.Table, repo: Any) -> None:
    arrow = {"int": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "string": pa.string()}
    arrow |= {"decimal(20,2)": pa.decimal128(20, 2), "decimal(14,6)": pa.decimal128(14, 6)}
    outputs = repo.views["meter_use"].batch_source.outputs(repo.conf_dir)
    assert {name: arrow[outputs[name]] for name in USE} == {name: answer.schema.field(name).type for name in USE}


def test_composite_keys_are_compared_column_by_column(cases: dict[str, Any]) -> None:
    assert cases["keys that run together"]["litres_7d"] == 2**53 + 1
    assert cases["unknown meter"]["meter_kind"] is None
    assert cases["unknown meter"]["litres_7d"] is None
    assert cases["unknown meter"]["readings_7d"] == 0


def test_a_row_is_unseen_until_it_is_available(cases: dict[str, Any]) -> None:
    kinds = ("before anything", "late change not known", "late change known")
    assert [cases[case]["meter_kind"] for case in kinds] == [None, "turbine", "piston"]


def test_all_features_of_a_lookup_come_from_one_row(cases: dict[str, Any]) -> None:
    known = cases["late change known"]
    assert [known[name] for name in STATE] == ["piston", None, Decimal("0.01"), None, None, []]


def test_a_correction_changes_nothing_before_it_is_available(cases: dict[str, Any]) -> None:
    litres = [cases[case]["litres_7d"] for case in ("all readings", "before the correction", "corrected")]
    assert litres == [35, 35, 2015]


def test_a_deletion_hides_its_key_from_then_on(cases: dict[str, Any]) -> None:
    assert [cases[case]["capacity"] for case in ("deletion not known", "deleted")] == [9, None]


def test_a_window_holds_an_event_at_its_start_and_no_older_one(cases: dict[str, Any]) -> None:
    assert [cases[case]["litres_7d"] for case in ("oldest in the window", "oldest just out")] == [2015, 2005]


def test_age_exactly_the_ttl_is_in_and_a_microsecond_more_is_out(cases: dict[str, Any]) -> None:
    assert [cases[case]["meter_kind"] for case in ("at its ttl", "past its ttl")] == ["piston", None]


def test_ties_are_decided_by_the_contracts_order(cases: dict[str, Any]) -> None:
    assert cases["all readings"]["last_note"] == "tied, wins"
    assert cases["all readings"]["first_note_7d"] == "first"


def test_decimals_are_exact_and_rounded_once(cases: dict[str, Any]) -> None:
    assert cases["all readings"]["paid_7d"] == Decimal("3.35")
    assert cases["all readings"]["price_mean"] == Decimal("1.116667")


def test_functions_follow_spark_about_nan_nulls_and_small_samples(cases: dict[str, Any]) -> None:
    seen, lone = cases["all readings"], cases["keys that run together"]
    assert seen["flow_max_7d"] != seen["flow_max_7d"]
    assert (seen["flow_min"], seen["notes"], seen["readings_7d"]) == (1.0, 3, 4)
    assert (lone["flow_stddev"], lone["flow_variance"]) == (None, None)
    assert seen["last_reading_age"] == 16 * 3600.0


def test_a_view_without_an_entity_answers_every_row(cases: dict[str, Any]) -> None:
    instants = ("before anything", "late change known", "all readings", "unknown meter")
    assert [cases[case]["cents"] for case in instants] == [None, Decimal("0.125"), Decimal("0.250"), Decimal("0.250")]


def test_null_keys_and_null_instants_have_no_features(cases: dict[str, Any]) -> None:
    assert [cases["null meter"][name] for name in STATE + USE] == [None] * len(STATE + USE)
    assert cases["null meter"]["site_litres_28d"] == 7
    assert [cases["null instant"][name] for name in (*STATE, *USE, "cents")] == [None] * (len(STATE + USE) + 1)


def test_on_demand_views_run_inside_spark(cases: dict[str, Any]) -> None:
    assert cases["all readings"]["share_of_site"] == 1.0
    assert cases["corrected"]["per_reading"] == 2015 / 4
    assert cases["unknown meter"]["per_reading"] is None or pd.isna(cases["unknown meter"]["per_reading"])


# ------------------------------------------------------------------ other ways to ask


def test_a_service_is_asked_for_as_feast_does_with_a_pandas_frame(store: FeatureStore) -> None:
    entities = pd.DataFrame({"site": ["a", "a|b"], "meter": ["b|c", "c"], "event_timestamp": [at("07")] * 2})
    found = store.get_historical_features(entities, store.get_feature_service("meters")).to_df()
    found = found.sort_values("site").reset_index(drop=True)
    assert found["capacity"].dtype == pd.Int32Dtype()
    assert found["capacity"].tolist() == [pd.NA, 9]
    assert found["litres_7d"].tolist() == [35, 2**53 + 1]
    assert found["cents"].tolist() == [Decimal("0.250")] * 2
    assert str(found["event_timestamp"].dtype.tz) == "UTC"  # type: ignore[union-attr]


NEW_YORK = "America/New_York"
SIXTH = pd.Timestamp("2024-03-07", tz="UTC")


@pytest.mark.parametrize(
    "stamps",
    [
        pd.Series([SIXTH] * 2).dt.tz_convert(NEW_YORK),
        pd.Series([SIXTH.tz_convert(NEW_YORK), None], dtype=object),
        pd.Series([SIXTH.to_pydatetime().replace(tzinfo=None)] * 2, dtype=object),
        *(pd.Series([SIXTH.tz_localize(None)] * 2).astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")),
        pd.Series(["2024-03-07 00:00:00"] * 2),
    ],
    ids=["zoned", "zoned objects", "objects", "s", "ms", "us", "ns", "text"],
)
def test_a_pandas_frame_may_hold_instants_of_any_kind_and_keys_as_categories(
    store: FeatureStore, stamps: pd.Series[Any]
) -> None:
    entities = pd.DataFrame({"site": pd.Categorical(["a", "a"]), "meter": ["b|c"] * 2, "event_timestamp": stamps})
    found = store.get_historical_features(entities, ["meter_use:litres_7d"]).to_arrow()
    expected = [35 if known else None for known in stamps.notna()]
    assert sorted(found["litres_7d"].to_pylist(), key=str) == sorted(expected, key=str)


def test_sql_full_names_request_data_and_another_name_of_the_timestamp(
    spark: SparkSession, store: FeatureStore
) -> None:
    query = "SELECT 'a' AS site, 'b|c' AS meter, TIMESTAMP'2024-03-07 00:00:00' AS asked_at, 30L AS planned_litres"
    refs = ["meter_use:litres_7d", "plan_gap:over_plan"]
    found = store.get_historical_features(query, refs, full_feature_names=True).to_arrow()
    assert found.column_names == [
        "site",
        "meter",
        "asked_at",
        "planned_litres",
        "meter_use__litres_7d",
        "plan_gap__over_plan",
    ]
    assert found["plan_gap__over_plan"].to_pylist() == [5]
    assert found.schema.field("plan_gap__over_plan").type == pa.int64()


def test_join_keys_may_be_mapped_to_other_columns(spark: SparkSession, store: FeatureStore) -> None:
    spine = spark.createDataFrame([("a", "a|b", at("07"))], "site STRING, other STRING, event_timestamp TIMESTAMP")
    found = store.get_historical_features(spine, store.get_feature_service("neighbours")).to_arrow()
    assert found["site_litres_28d"].to_pylist() == [2**53 + 1]


def test_a_period_without_a_frame_asks_for_every_entity_in_it(store: FeatureStore) -> None:
    job = store.get_historical_features(features=["meter_use:litres_7d"], start_date=at("06 09:00"), end_date=at("07"))
    assert job.to_arrow().to_pylist() == [
        {"meter": "c", "site": "a|b", "event_timestamp": at("07"), "litres_7d": 2**53 + 1}
    ]


def test_a_saved_dataset_comes_back_as_it_was_answered(spark: SparkSession, store: FeatureStore) -> None:
    spine = spark.createDataFrame([("a", "b|c", at("07"))], "site STRING, meter STRING, event_timestamp TIMESTAMP")
    job = store.get_historical_features(spine, ["meter_use:paid_7d", "meter_state:capacity"])
    store.create_saved_dataset(job, "march", SavedTable("water_march"))
    try:
        saved = store.get_saved_dataset("march").to_arrow()
    finally:
        spark.sql("DROP TABLE water_march")
    assert saved.schema.field("paid_7d").type == pa.decimal128(20, 2)
    expected = {"site": "a", "meter": "b|c", "paid_7d": Decimal("3.35"), "capacity": None, "event_timestamp": at("07")}
    assert saved.to_pylist() == [expected]


# ------------------------------------------------------------------ refusals


def test_a_missing_join_key_is_named(spark: SparkSession, store: FeatureStore) -> None:
    spine = spark.createDataFrame([("a", at("07"))], "site STRING, event_timestamp TIMESTAMP")
    with pytest.raises(UsageError, match="the entity frame has no column meter; it has site, event_timestamp"):
        store.get_historical_features(spine, ["meter_use:litres_7d"])


def test_a_feature_may_not_be_called_like_a_column_of_the_frame(spark: SparkSession, store: FeatureStore) -> None:
    spine = spark.createDataFrame([("a", "x", at("07"))], "site STRING, cents STRING, event_timestamp TIMESTAMP")
    with pytest.raises(UsageError, match="would be called cents; ask for full feature names"):
        store.get_historical_features(spine, ["tariff:cents"])


def test_request_data_that_is_missing_is_named(spark: SparkSession, store: FeatureStore) -> None:
    spine = spark.createDataFrame([("a", "x", at("07"))], "site STRING, meter STRING, event_timestamp TIMESTAMP")
    with pytest.raises(ConfigError, match="plan_gap needs request data planned_litres"):
        store.get_historical_features(spine, ["plan_gap:over_plan"])


def test_writing_past_bronze_is_refused(store: FeatureStore) -> None:
    view, rows = store.get_feature_view("meter_state"), pa.table({"site": ["a"]})
    with pytest.raises(UsageError, match="land the rows as a drop of their bronze table"):
        store._get_provider().offline_write_batch(store.config, view, rows, None)


@pytest.fixture
def elsewhere() -> Iterator[None]:
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    session.use_utc()


def test_another_process_zone_is_refused(store: FeatureStore, elsewhere: None) -> None:
    with pytest.raises(EnvironmentProblem, match="this Python process is on EST/EDT"):
        store.get_historical_features("SELECT 1", ["tariff:cents"])


def test_another_session_zone_is_refused(spark: SparkSession, store: FeatureStore) -> None:
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    try:
        with pytest.raises(EnvironmentProblem, match=r"spark.sql.session.timeZone is Asia/Kolkata"):
            store.get_historical_features("SELECT 1", ["tariff:cents"])
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
