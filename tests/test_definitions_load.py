"""The example's definitions and the shop's: they load, their SQL is valid, and it says what its description says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorelake import sql
from scorelake.definitions import Definitions, load_definitions
from scorelake.feature_store import definitions as feature_repos
from scorelake.feature_store.definitions import FeatureRepo
from scorelake.settings import load_settings
from scorelake.tables import Contract, Gold
from scorelake.transform import gold, silver, visible

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROOT = Path(__file__).parent.parent
CUTOFF = date(2017, 8, 5)
T = datetime(2017, 8, 6)


@dataclass(frozen=True)
class Team:
    """Two folders, as a team passes them to a job."""

    conf_dir: Path
    feature_repo: Path

    @cached_property
    def definitions(self) -> Definitions:
        return load_definitions(self.conf_dir)

    @cached_property
    def repo(self) -> FeatureRepo:
        return feature_repos.load(self.feature_repo, self.conf_dir)


EXAMPLE = Team(ROOT / "conf", ROOT / "feature_repo")
SHOP = Team(ROOT / "tests" / "shop" / "conf", ROOT / "tests" / "shop" / "feature_repo")
TEAMS = pytest.mark.parametrize("team", [EXAMPLE, SHOP], ids=["example", "shop"])


@TEAMS
def test_the_local_environment_writes_below_one_folder(team: Team, tmp_path: Path) -> None:
    settings = load_settings(team.conf_dir, "local", [f"local.home={tmp_path}"])
    assert settings.feature_repo == team.feature_repo
    places = (settings.lake.root, settings.landing.root, settings.feast.registry, settings.reports)
    assert all(place.startswith(f"{tmp_path}/") for place in places)


@TEAMS
def test_sql_names_only_tables_columns_and_markers_that_exist(team: Team) -> None:
    columns = {name: sql.sql_columns(contract) for name, contract in team.definitions.tables.items()}
    findings = []
    for name, text in team.definitions.sql.items():
        contract = team.definitions.tables[name]
        if isinstance(contract, Gold) and contract.label is not None:
            known = {**columns, sql.POPULATION: contract.keys}
            findings += sql.check(text, known, file=name, parameters=sql.LABEL_PARAMETERS)
        else:
            findings += sql.check(text, columns, file=name)
    for name, text in team.definitions.populations.items():
        findings += sql.check(text, columns, file=name)
    assert findings == []


@TEAMS
def test_every_model_names_a_feature_service_and_features_that_exist(team: Team) -> None:
    for model in team.definitions.models.values():
        features = [name for _, name in team.repo.request(model.feature_service).asked]
        assert model.features.choose(features)
        assert team.repo.inputs(model.feature_service) <= set(team.definitions.tables)


@TEAMS
def test_silver_sql_gives_what_its_contract_says(team: Team, spark: SparkSession) -> None:
    for name, contract in team.definitions.silver.items():
        query = team.definitions.sql[name]
        [bronze_name] = [table for table in sql.tables_read(query) if table.startswith("bronze.")]
        bronze = team.definitions.bronze[bronze_name]
        rows = _empty(spark, bronze, "raw STRING, extra MAP<STRING,STRING>, source_file STRING, source_row BIGINT")
        others = {
            table: visible.History(_empty(spark, other), other)
            for table, other in team.definitions.silver.items()
            if table in sql.tables_read(query)
        }
        found = silver.candidates(spark, query, contract, bronze, rows, others=others)
        assert set(found.columns) <= set(found.frame.columns), name


@TEAMS
def test_gold_and_label_sql_gives_what_its_contract_says(team: Team, spark: SparkSession) -> None:
    at = _reader(spark, team.definitions, {})
    for name, contract in team.definitions.gold.items():
        query = team.definitions.sql[name]
        if contract.label is None:
            frame = gold.build(spark, query, contract, [CUTOFF], at)
        else:
            population = team.definitions.populations[contract.label.population]
            frame = gold.labels(spark, query, population, contract, [CUTOFF], at)
        assert set(contract.column_names) <= set(frame.columns), name


# ------------------------------------------------------------------ rows in, rows out


def _empty(spark: SparkSession, contract: Contract, engine: str = "") -> DataFrame:
    clocks = "available_at TIMESTAMP, run_date DATE, ingested_at TIMESTAMP, run_id STRING"
    ddl = ", ".join(filter(None, [*(column.ddl for column in contract.columns), engine, clocks]))
    return spark.createDataFrame([], ddl)


def _reader(spark: SparkSession, definitions: Definitions, rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> Any:
    """Every table as `rows` say, at whatever instant; columns that a row does not give are null."""

    def at(name: str, t: datetime) -> DataFrame:
        contract = definitions.tables[name]
        ddl = ", ".join(column.ddl for column in contract.columns)
        given = [tuple(row.get(column) for column in contract.column_names) for row in rows.get(name, ())]
        return spark.createDataFrame(given, ddl).selectExpr("*", f"TIMESTAMP'{T}' AS available_at", "NULL AS run_date")

    return at


def _line(household: int, before: timedelta, sales_value: str = "1.00", basket: int = 0) -> dict[str, Any]:
    """A basket line `before` T."""
    at = T - before
    return {
        "household_id": household,
        "basket_id": basket or int(at.timestamp() * 1e6),
        "product_id": 1,
        "purchased_at": at,
        "sales_value": Decimal(sales_value),
        "retail_disc": Decimal("0.10"),
        "coupon_disc": Decimal("0.00"),
        "coupon_match_disc": Decimal("0.00"),
        "department": "GROCERY",
    }


DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)


def _built(spark: SparkSession, table: str, lines: list[dict[str, Any]]) -> dict[int, Any]:
    """Rows of a gold table of the example for run date CUTOFF, by household."""
    definitions = EXAMPLE.definitions
    at = _reader(spark, definitions, {"silver.transactions": lines})
    rows = gold.build(spark, definitions.sql[table], definitions.gold[table], [CUTOFF], at).collect()
    return {row.household_id: row for row in rows}


def test_rfm_of_three_baskets(spark: SparkSession) -> None:
    lines = [
        _line(1, 200 * DAY, "10.00"),
        _line(1, 100 * DAY, "15.00", basket=2),
        _line(1, 100 * DAY, "5.00", basket=2),
        _line(1, 10 * DAY, "60.00"),
        _line(1, 365 * DAY, "500.00"),  # before the 52 weeks
        _line(1, timedelta(0), "5.00"),  # at t: belongs to tomorrow
        _line(2, 10 * DAY, "7.00"),
        _line(3, 364 * DAY + MICROSECOND),
    ]
    rows = _built(spark, "gold.customer_rfm", lines)
    assert set(rows) == {1, 2}
    found = rows[1]
    assert (found.recency_days, found.tenure_days, found.gap_mean_days) == (10.0, 200.0, 95.0)
    assert (found.basket_count, found.spend_sum, found.spend_mean, found.spend_max) == (3, 90, 30, 60)
    assert rows[2].gap_mean_days is None


def test_household_daily_holds_the_run_date_and_nothing_else(spark: SparkSession) -> None:
    lines = [
        _line(1, DAY, basket=1),
        _line(1, MICROSECOND, basket=2),
        _line(1, timedelta(0)),
        _line(2, DAY + MICROSECOND),
    ]
    rows = _built(spark, "gold.household_daily", lines)
    assert set(rows) == {1}
    assert (rows[1].purchase_date, rows[1].basket_count, rows[1].spend) == (CUTOFF, 2, 2)
    assert rows[1].discount == Decimal("0.20")


def test_lapse_is_no_basket_from_t_to_28_days_later(spark: SparkSession) -> None:
    definitions = EXAMPLE.definitions
    active = [_line(household, DAY) for household in (1, 2, 3, 4)]
    later = [
        _line(1, timedelta(0)),
        _line(2, -28 * DAY + MICROSECOND),
        _line(3, -28 * DAY),  # the first instant after the window
        _line(5, -DAY),  # bought for the first time within the window
    ]
    edge = [_line(6, 84 * DAY), _line(7, 84 * DAY + MICROSECOND)]
    at = _reader(spark, definitions, {"silver.transactions": [*active, *later, *edge]})
    contract = definitions.gold["gold.lapse_28d"]
    query, population = definitions.sql["gold.lapse_28d"], definitions.populations["active_households"]
    rows = gold.labels(spark, query, population, contract, [CUTOFF], at).collect()
    assert {row.household_id: row.label for row in rows} == {1: 0, 2: 0, 3: 1, 4: 1, 6: 1}
    assert {(row.event_timestamp, row.label_available_at) for row in rows} == {(T, T + 28 * DAY)}


def test_ratios_are_null_without_baskets_or_payment() -> None:
    import pyarrow as pa

    inputs = pa.table(
        {
            "basket_count_28d": pa.array([2, 0, 1], pa.int64()),
            "basket_count_84d": pa.array([12, 0, 1], pa.int64()),
            "basket_recency": pa.array([7 * 86400.0, None, 84 * 86400.0]),
            "spend_84d": pa.array([Decimal("90.00"), None, Decimal("0.00")], pa.decimal128(20, 2)),
            "retail_discount_84d": pa.array([Decimal("9.00"), None, Decimal("0.00")], pa.decimal128(20, 2)),
            "coupon_discount_84d": pa.array([Decimal("1.00"), None, Decimal("0.00")], pa.decimal128(20, 2)),
        }
    )
    view = EXAMPLE.repo.on_demand_views["household_ratios"]
    named = inputs.rename_columns([f"household_baskets__{name}" for name in inputs.column_names])
    out = view.transform_arrow(named, full_feature_names=False).to_pydict()
    assert out["basket_overdue_ratio"] == [1.0, None, 1.0]
    assert out["basket_trend"] == [0.5, None, 3.0]
    assert out["spend_per_basket_84d"] == [7.5, None, 0.0]
    assert out["discount_share_84d"] == [0.1, None, None]


@TEAMS
def test_no_personal_column_is_a_feature(team: Team) -> None:
    from scorelake.feature_store.source import LakeSource

    for view in team.repo.views.values():
        assert isinstance(view.batch_source, LakeSource)
        personal = set(view.batch_source.contract(team.conf_dir).personal)
        assert not personal & {feature.name for feature in view.features}, view.name
