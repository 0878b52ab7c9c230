"""What the online store holds is the offline answer as of the end of the interval: SQLite, and a real Redis server."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from scorelake.errors import UsageError
from scorelake.feature_store.online_rows import AVAILABLE, EVENT, write
from scorelake.settings import Settings
from tests.feature_store.conftest import at
from tests.ports import free_port

if TYPE_CHECKING:
    from feast import FeatureStore

MONTH_BEFORE = at("01") - timedelta(days=28)
STATE = ["meter_state:meter_kind", "meter_state:capacity", "meter_state:deposit"]
USE = [
    "meter_use:litres_7d",
    "meter_use:readings_7d",
    "meter_use:paid_7d",
    "meter_use:last_reading_age",
    "meter_use:flow_min",
]
METERS = [{"site": "a", "meter": "b|c"}, {"site": "a|b", "meter": "c"}]


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if shutil.which("redis-server") is None or importlib.util.find_spec("redis") is None:
        pytest.skip("needs redis-server and the Python package redis")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    server.terminate()
    server.wait()


only_sqlite = pytest.mark.parametrize("online", ["sqlite"], indirect=True)
"""For rules of the engine, which no store can change."""
ONLINE = {
    "sqlite": "scorelake.feature_store.online_sqlite.LakeSqliteOnlineStore",
    "redis": "scorelake.feature_store.online_redis.LakeRedisOnlineStore",
}


@pytest.fixture(params=["sqlite", "redis"])
def online(
    request: pytest.FixtureRequest, store: FeatureStore, settings: Settings, tmp_path: Path
) -> Iterator[FeatureStore]:
    """The applied store with an empty online store of its own."""
    from feast import FeatureStore, RepoConfig

    config = {"type": ONLINE[request.param], "path": str(tmp_path / "new" / "online.db")}
    if request.param == "redis":
        port = request.getfixturevalue("redis_port")
        config = {"type": ONLINE["redis"], "connection_string": f"127.0.0.1:{port}"}
    shutil.copy(settings.feast.registry, tmp_path / "registry.db")
    given = store.config
    own = RepoConfig(
        project=given.project,
        provider="local",
        registry=str(tmp_path / "registry.db"),
        online_store=config,
        offline_store=given.offline_store.model_dump(),
        batch_engine={"type": "scorelake.feature_store.engine.LakeEngine"},
        entity_key_serialization_version=3,
    )
    own.repo_path = settings.feature_repo
    found = FeatureStore(config=own)
    found._get_provider().update_infra(found.project, [], found.list_feature_views(), [], [], True)
    yield found
    if request.param == "redis":
        found._get_provider().online_store._get_client(own.online_store).flushall()


def materialize(store: FeatureStore, until: datetime, *views: str) -> None:
    store.materialize(MONTH_BEFORE, until, list(views) or ["meter_state", "meter_use"])


def read(store: FeatureStore, features: list[str], meters: list[dict[str, str]] = METERS) -> dict[str, list[Any]]:
    return dict(store.get_online_features(features, meters).to_dict())


def test_online_is_offline_as_of_the_end(online: FeatureStore) -> None:
    materialize(online, at("07"), "meter_state", "meter_use", "tariff")
    entities = pd.DataFrame([{**meter, "event_timestamp": at("07")} for meter in METERS])
    offline = online.get_historical_features(entities, STATE + USE).to_arrow().to_pylist()
    offline = sorted(offline, key=lambda row: row["site"])
    found = read(online, STATE + USE)
    for name in (reference.split(":")[1] for reference in STATE + USE):
        assert found[name] == [row[name] for row in offline], name
        assert [type(value) for value in found[name]] == [type(row[name]) for row in offline], name
    assert found["litres_7d"] == [35, 2**53 + 1]
    assert found["deposit"] == [Decimal("0.01"), None]
    assert isnan(read(online, ["meter_use:flow_max_7d"])["flow_max_7d"][0])
    assert read(online, ["tariff:cents"])["cents"] == [Decimal("0.250")] * 2


@only_sqlite
def test_a_backfill_never_overwrites_newer_values(online: FeatureStore) -> None:
    materialize(online, at("09"))
    newest = read(online, STATE + USE)
    materialize(online, at("07"))
    assert read(online, STATE + USE) == newest
    assert newest["litres_7d"] == [2015, 2**53 + 1]


@only_sqlite
def test_corrections_deletions_and_empty_windows_arrive_without_new_rows(online: FeatureStore) -> None:
    materialize(online, at("07"))
    assert read(online, STATE + USE)["capacity"] == [None, 9]
    materialize(online, at("20"))
    found = read(online, STATE + USE)
    assert found["capacity"] == [None, None]
    assert (found["litres_7d"], found["readings_7d"], found["paid_7d"]) == ([None, None], [0, 0], [None, None])


@only_sqlite
def test_incremental_runs_continue_where_the_last_one_ended(online: FeatureStore) -> None:
    online.materialize_incremental(at("07"), ["meter_use"])
    assert read(online, USE)["litres_7d"][0] == 35
    online.materialize_incremental(at("09"), ["meter_use"])
    assert read(online, USE)["litres_7d"][0] == 2015
    assert online.get_feature_view("meter_use").most_recent_end_time == at("09")


@only_sqlite
def test_a_future_end_is_refused_and_leaves_no_trace(online: FeatureStore) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(UsageError, match=r"feature view meter_use: the end .* lies in the future"):
        online.materialize_incremental(tomorrow, ["meter_use"])
    assert online.get_feature_view("meter_use").materialization_intervals == []


@only_sqlite
def test_a_materialization_that_died_can_be_repeated(online: FeatureStore) -> None:
    connection = online._get_provider().online_store._get_conn(online.config)
    table = '"waterworks_meter_use"'
    connection.execute(
        f"CREATE TRIGGER dies BEFORE INSERT ON {table} WHEN NEW.feature_name = 'paid_7d' "
        "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        materialize(online, at("07"), "meter_use")
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert online.get_feature_view("meter_use").materialization_intervals == []
    connection.execute("DROP TRIGGER dies")
    materialize(online, at("07"), "meter_use")
    assert read(online, USE)["litres_7d"] == [35, 2**53 + 1]


def pushed(event: datetime, available: datetime, capacity: int | None) -> pd.DataFrame:
    row = {"site": "a", "meter": "b|c", "changed_at": event, "available_at": available, "meter_kind": "pushed"}
    return pd.DataFrame([row | {"capacity": capacity, "deposit": Decimal("3.00"), "is_smart": True}]).assign(
        installed=[None], labels=[["p"]], operation="U"
    )


def capacity(store: FeatureStore) -> Any:
    return read(store, ["meter_state:capacity"], METERS[:1])["capacity"][0]


def test_of_pushed_rows_the_later_one_stays_to_the_microsecond(online: FeatureStore) -> None:
    from feast.data_source import PushMode

    microsecond = timedelta(microseconds=1)
    online.push("meter_push", pushed(at("10") + microsecond, at("10"), 1), to=PushMode.ONLINE)
    online.push("meter_push", pushed(at("10"), at("11"), 2), to=PushMode.ONLINE)
    assert capacity(online) == 1
    online.push("meter_push", pushed(at("10") + microsecond, at("10") + microsecond, 3), to=PushMode.ONLINE)
    assert capacity(online) == 3
    online.push("meter_push", pushed(at("10") + microsecond, at("10"), 4), to=PushMode.ONLINE)
    assert capacity(online) == 3


def test_a_corrected_push_with_equal_stamps_arrives(online: FeatureStore) -> None:
    online.push("meter_push", pushed(at("10"), at("10"), 1))
    online.push("meter_push", pushed(at("10"), at("10"), 2))
    assert capacity(online) == 2


def test_a_pushed_row_stays_until_the_lake_knows_a_row_as_late(online: FeatureStore) -> None:
    write_as_of(online, event=at("05"), as_of=at("07"), capacity=1)
    online.push("meter_push", pushed(at("04"), at("10"), 2))
    assert capacity(online) == 1
    online.push("meter_push", pushed(at("06"), at("06"), 3))
    assert capacity(online) == 3
    write_as_of(online, event=at("05"), as_of=at("08"), capacity=4)
    assert capacity(online) == 3
    write_as_of(online, event=at("06"), as_of=at("09"), capacity=5)
    assert capacity(online) == 5


def test_between_materializations_the_later_instant_wins_whatever_the_rows_say(online: FeatureStore) -> None:
    write_as_of(online, event=at("06"), as_of=at("07"), capacity=1)
    write_as_of(online, event=at("05"), as_of=at("08"), capacity=2)
    assert capacity(online) == 2
    write_as_of(online, event=None, as_of=at("08") + timedelta(microseconds=1), capacity=None)
    assert capacity(online) is None
    write_as_of(online, event=at("06"), as_of=at("08"), capacity=3)
    assert capacity(online) is None


def test_of_one_batch_the_newest_row_of_an_entity_stays(online: FeatureStore) -> None:
    online.push("meter_push", pd.concat([pushed(at("11"), at("11"), 1), pushed(at("10"), at("10"), 2)]))
    assert capacity(online) == 1


def write_as_of(store: FeatureStore, *, event: datetime | None, as_of: datetime, capacity: int | None) -> None:
    """One entity of a materialization, past Spark."""
    view = store.get_feature_view("meter_state")
    columns: dict[str, list[Any]] = {field.name: [None] for field in (*view.entity_columns, *view.features)}
    columns |= {"site": ["a"], "meter": ["b|c"], "capacity": [capacity], EVENT: [event], AVAILABLE: [event]}
    write(store._get_provider().online_store, store.config, view, columns, as_of)


@only_sqlite
def test_writers_beside_each_other_leave_the_newest_value(online: FeatureStore) -> None:
    def run(offset: int) -> None:
        own = type(online)(config=online.config)
        for second in range(offset, 40, 2):
            write_as_of(own, event=at("05"), as_of=at("07") + timedelta(seconds=second), capacity=second)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (0, 1)))
    assert capacity(online) == 39


def test_a_view_that_left_and_came_back_starts_anew(online: FeatureStore) -> None:
    write_as_of(online, event=at("06"), as_of=at("09"), capacity=1)
    view = online.get_feature_view("meter_state")
    online._get_provider().update_infra(online.project, [view], [], [], [], True)
    online._get_provider().update_infra(online.project, [], [view], [], [], True)
    write_as_of(online, event=at("05"), as_of=at("08"), capacity=2)
    assert capacity(online) == 2
