"""Interval tables in the lake: the same answers as the source itself, used only while they are current."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from jobs import build_history
from scorelake import runs
from scorelake.feature_store import histories, retrieve
from scorelake.feature_store.selection import Selection
from tests.feature_store.conftest import TARIFFS, at, put

if TYPE_CHECKING:
    from feast import FeatureStore
    from pyspark.sql import DataFrame, Row, SparkSession

    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.settings import Settings
    from scorelake.stores.lake import Lake

TABLES = ("features_history.meter_state", "features_history.tariff")


@pytest.fixture(scope="module", autouse=True)
def _kept(spark: SparkSession, settings: Settings, lake: Lake) -> Iterator[None]:
    yield
    for table in TABLES:
        spark.sql(f"DROP TABLE IF EXISTS {table}")
    put(lake, settings, "gold.water_tariffs", TARIFFS)


@pytest.fixture(scope="module")
def spine(spark: SparkSession) -> DataFrame:
    instants = [at(f"{day:02d}{clock}") for day in range(1, 12) for clock in ("", " 00:00:00.000001", " 12:00")]
    meters = [("a", "b|c"), ("a|b", "c"), ("b|c", "a"), (None, "c")]
    rows = [(site, meter, site, t) for site, meter in meters for t in (*instants, None)]
    return spark.createDataFrame(rows, "site STRING, meter STRING, other STRING, event_timestamp TIMESTAMP")


def answers(frame: DataFrame) -> list[Row]:
    return sorted(frame.collect(), key=repr)


def test_a_training_join_from_intervals_is_the_one_from_the_source(
    spark: SparkSession, lake: Lake, repo: FeatureRepo, settings: Settings, spine: DataFrame
) -> None:
    outcome = build_history.run(spark, settings)
    assert set(outcome.written) == set(TABLES)
    assert build_history.run(spark, settings).written == {}  # current already

    request = repo.request("meters")
    conf_dir = str(settings.conf_dir)
    direct = retrieve.features(spine, request, tables=lake, audit=True, conf_dir=conf_dir)
    stored = histories.reader(lake, conf_dir)
    assert [stored(selection) is not None for selection in request.selections] == [True, False, True, False]
    kept = retrieve.features(spine, request, tables=lake, audit=True, conf_dir=conf_dir, stored=stored)
    assert kept.dtypes == direct.dtypes
    assert answers(kept) == answers(direct)
    assert any(row["capacity"] is not None for row in kept.collect())


def test_keys_may_have_other_names_in_the_spine_and_features_theirs(
    lake: Lake, repo: FeatureRepo, settings: Settings, spine: DataFrame
) -> None:
    conf_dir = str(settings.conf_dir)
    renamed = spine.withColumnsRenamed({"site": "capacity"})
    aliased = Selection(repo.views["meter_state"], "its", ("capacity", "deposit"), {"site": "capacity"})
    request = retrieve.Request((("its", "capacity"), ("its", "deposit")), (aliased,))
    stored = histories.reader(lake, conf_dir)
    assert stored(aliased) is not None
    direct = retrieve.features(renamed, request, tables=lake, full_feature_names=True, conf_dir=conf_dir)
    kept = retrieve.features(renamed, request, tables=lake, full_feature_names=True, conf_dir=conf_dir, stored=stored)
    assert answers(kept) == answers(direct)


def test_a_history_is_left_alone_once_its_source_or_its_meaning_has_changed(
    lake: Lake, repo: FeatureRepo, settings: Settings
) -> None:
    conf_dir = str(settings.conf_dir)
    stored = histories.reader(lake, conf_dir)
    tariff = Selection(repo.views["tariff"], "tariff", ("cents",))
    assert stored(tariff) is not None

    put(lake, settings, "gold.water_tariffs", [*TARIFFS, TARIFFS[-1]])
    assert stored(tariff) is None
    assert histories.refresh(lake, tariff.view, run_id=runs.run_id(), conf_dir=conf_dir) == 2
    assert stored(tariff) is not None

    source = tariff.view.batch_source
    source.available_at = False
    try:
        assert stored(tariff) is None
    finally:
        source.available_at = True
    assert stored(tariff) is not None


def test_a_longer_ttl_needs_no_new_history(lake: Lake, repo: FeatureRepo, settings: Settings, spine: DataFrame) -> None:
    conf_dir, view = str(settings.conf_dir), repo.views["meter_state"]
    before, view.ttl = view.ttl, timedelta(days=1)
    try:
        selection = Selection(view, "meter_state", ("deposit",))
        request = retrieve.Request((("meter_state", "deposit"),), (selection,))
        stored = histories.reader(lake, conf_dir)
        assert stored(selection) is not None
        direct = retrieve.features(spine, request, tables=lake, conf_dir=conf_dir)
        kept = retrieve.features(spine, request, tables=lake, conf_dir=conf_dir, stored=stored)
        assert answers(kept) == answers(direct)
    finally:
        view.ttl = before


def test_feasts_own_call_reads_intervals_too(store: FeatureStore, spine: DataFrame) -> None:
    job = store.get_historical_features(spine.drop("other"), store.get_feature_service("meters"))
    assert any("/features_history/" in file for file in job.to_spark_df().inputFiles())


def test_a_tag_without_sense_is_a_finding(repo: FeatureRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    use, state = repo.views["meter_use"], repo.views["meter_state"]
    for view, value in ((use, "keep"), (state, "yes")):
        monkeypatch.setattr(view, "tags", {"history": value})
    found = [*histories.problems(use), *histories.problems(state)]
    monkeypatch.setattr(state, "tags", {"history": "keep"})
    monkeypatch.setattr(state.features[0], "name", "Valid_To")
    found += histories.problems(state)
    monkeypatch.setattr(state, "name", "Meter state")
    assert [*found, *histories.problems(state)] == [
        "tag history: keep on a view of windows, which have no intervals; only lookups do",
        "tag history: yes; the only value is keep",
        "tag history: keep: valid_to is a column of the interval table; rename yours by field_mapping",
        "tag history: keep keeps the view in a table of its name, and 'Meter state' is no name of a table",
    ]
