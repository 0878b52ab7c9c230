"""The feature repo is read without Spark and without a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scorelake.errors import ConfigError
from scorelake.feature_store.definitions import FeatureRepo, load
from scorelake.settings import Settings
from tests.feature_store.conftest import WATERWORKS


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the waterworks whose files a test may spoil."""
    return Path(shutil.copytree(WATERWORKS, tmp_path / "waterworks"))


def spoil(copy: Path, file: str, old: str, new: str) -> None:
    path = copy / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def messages(copy: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(copy / "feature_repo", copy / "conf")
    return [str(finding).removeprefix(str(copy / "feature_repo") + "/") for finding in caught.value.findings]


def test_a_service_asks_view_by_view_for_features_in_the_order_of_their_table(repo: FeatureRepo) -> None:
    asked = repo.request("meters").asked
    assert [name for _, name in asked] == [
        "meter_kind", "capacity", "litres_7d", "readings_7d", "last_note", "cents", "share_of_site",
    ]  # fmt: skip


def test_inputs_of_on_demand_views_are_fetched_without_being_asked_for(repo: FeatureRepo) -> None:
    selections = {selection.alias: selection.features for selection in repo.request("meters").selections}
    assert "site_litres_28d" in selections["site_use"]


def test_an_on_demand_view_may_read_some_features_of_a_view(copy: Path) -> None:
    spoil(copy, "feature_repo/services.py", "[meter_use, site", '[meter_use[["litres_7d", "notes"]], site')
    repo = load(copy / "feature_repo", copy / "conf")
    selections = {selection.alias: selection.features for selection in repo.request("meters").selections}
    assert selections["meter_use"] == ("litres_7d", "readings_7d", "last_note", "notes")
    warnings = [finding.message for finding in repo.warnings()]
    assert any("use_ratios: a plain `feast apply` loses which features of meter_use" in text for text in warnings)


def test_a_repo_may_be_loaded_by_several_threads_at_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the steps of a night do. The second one begins while the first reads, and reads when the first has ended."""
    monkeypatch.delenv("SCORELAKE_CONF_DIR", raising=False)
    spoil(copy, "feature_repo/entities.py", "from", "import time\n\ntime.sleep(0.5)\nfrom")
    with ThreadPoolExecutor(2) as both:
        first = both.submit(load, copy / "feature_repo", copy / "conf")
        time.sleep(0.25)
        second = both.submit(load, copy / "feature_repo", copy / "conf")
        assert set(first.result().services) == set(second.result().services)
    assert "SCORELAKE_CONF_DIR" not in os.environ


def test_inputs_are_the_tables_that_a_service_reads(repo: FeatureRepo) -> None:
    assert repo.inputs("meters") == {"silver.water_meters", "silver.water_readings", "gold.water_tariffs"}
    assert repo.inputs("neighbours") == {"silver.water_readings", "gold.water_tariffs"}


def test_schemas_come_from_the_contract_with_exact_types(repo: FeatureRepo) -> None:
    types = {field.name: str(field.dtype) for field in repo.views["meter_use"].features}
    assert types["litres_7d"] == "Int64"
    assert types["paid_7d"] == "Decimal"
    assert types["price_mean"] == "Decimal"
    assert types["last_reading_age"] == "Float64"
    assert types["mean_litres_90s"] == "Float64"
    assert {field.name for field in repo.views["meter_use"].entity_columns} == {"site", "meter"}
    state = {field.name: str(field.dtype) for field in repo.views["meter_state"].features}
    assert state["meter_kind"] == "String"
    assert "kind" not in state
    assert "changed_at" not in state


def test_an_unknown_service_names_those_there_are(repo: FeatureRepo) -> None:
    with pytest.raises(ConfigError, match="no feature service meter; services there: meters, neighbours"):
        repo.request("meter")


def test_loading_starts_no_spark(settings: Settings) -> None:
    code = (
        "import sys; from pathlib import Path; from scorelake.feature_store.definitions import load;"
        "load(Path(sys.argv[1]), Path(sys.argv[2]));"
        "from pyspark.sql import SparkSession; assert SparkSession.getActiveSession() is None;"
        "from pyspark import SparkContext; assert SparkContext._gateway is None"
    )
    arguments = [sys.executable, "-c", code, str(settings.feature_repo), str(settings.conf_dir)]
    subprocess.run(arguments, check=True, env={"PYTHONPATH": "lib", "PATH": "/usr/bin:/bin"})


def test_every_finding_comes_at_once_with_file_and_line(copy: Path) -> None:
    spoil(copy, "feature_repo/views.py", 'table="silver.water_meters"', 'table="silver.water_meter"')
    spoil(copy, "feature_repo/views.py", 'column="litres", function="sum"', 'column="liters", function="sum"')
    spoil(copy, "feature_repo/views.py", 'function="stddev"', 'function="median"')
    meters, readings = (line_of(copy, f'LakeSource(name="{name}"') for name in ("meters", "readings_by_meter"))
    found = messages(copy)
    assert [line.split(": ")[0] for line in found] == [f"views.py:{n}" for n in (meters, readings, readings)]
    assert "source meters: no contract of table silver.water_meter: " in found[0]
    assert found[0].endswith("tables there: gold.water_tariffs, silver.water_meters, silver.water_readings")
    assert "source readings_by_meter: aggregation flow_stddev: unknown function 'median'; expected one of" in found[1]
    assert "aggregation litres_7d: no column liters; columns: reading_id, site" in found[2]


def line_of(copy: Path, text: str) -> int:
    """The line of views.py on which a call that holds `text` begins, however the formatter breaks it."""
    flat = "".join((copy / "feature_repo/views.py").read_text().split())
    before = flat[: flat.index("".join(text.split()))]
    lines = (copy / "feature_repo/views.py").read_text().splitlines()
    return next(n for n in range(len(lines)) if len("".join("".join(lines[: n + 1]).split())) > len(before)) + 1


STORED = 'entities=[__import__("entities").site], write_to_online_store=True, '


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("views.py", "entities=[site],", "entities=[site], ttl=DAY,", "ttl 1 day, 0:00:00 on a view of windows"),
        ("views.py", "ttl=30 * DAY", "ttl=-DAY", "feature view meter_state: ttl is -1 day, 0:00:00"),
        ("views.py", 'function="age", name="last_reading_age"', 'function="age"', "give it a name"),
        ("views.py", 'function="age"', 'function="age", column="flow"', "age is of the last row"),
        ("views.py", 'column="note", function="last"', 'column="note", function="mean"', "mean of string"),
        ("views.py", 'function="count", time_window=7 * DAY', 'function="count", time_window=-DAY', "is negative"),
        ("views.py", 'name="flow_min"', 'name="notes"', "two aggregations are called notes"),
        ("views.py", 'name="site_use"', 'name="meter_use"', "two objects are called feature view meter_use"),
        ("views.py", '"kind": "meter_kind"', '"sort": "meter_kind"', "field_mapping: no column sort"),
        ("views.py", 'name="notes"', 'name="run_date"', "the name is taken"),
        ("entities.py", "value_type=ValueType.STRING)\nmeter", "value_type=ValueType.INT64)\nmeter", "is string"),
        ("entities.py", 'name="site", join_keys=["site"]', 'name="site", join_keys=["street"]', "is no column of"),
        ("entities.py", ", value_type=ValueType.STRING)\nmeter", ")\nmeter", "has no value_type"),
        ("services.py", 'meter_state[["capacity", ', 'meter_state[["volume", ', "feature service meters"),
        ("services.py", 'meter_use[["litres_7d"]], plan', 'meter_use[["litres_8d"]], plan', "no feature litres_8d"),
        ("services.py", 'meter_use[["litres_7d"]], plan', "meter_use, plan", "has no sample of paid_7d, price_mean"),
        ("services.py", "used - planned for", "used - int(plan.name) for", "uses plan of its module"),
        ("services.py", "sources=[meter_use, site_use]", STORED + "sources=[meter_use, site_use]", "leave it out"),
        ("services.py", "import pandas as pd", "import pandas as pd\nnonsense", "services.py:2: NameError"),
        ("services.py", "import pandas as pd", "import pandas as pd ]", "services.py:1: not Python"),
    ],
)  # fmt: skip
def test_a_definition_that_cannot_be_right_is_found(copy: Path, file: str, old: str, new: str, message: str) -> None:
    spoil(copy, f"feature_repo/{file}", old, new)
    assert any(message in line for line in messages(copy)), messages(copy)


def test_a_float_is_no_join_key(copy: Path) -> None:
    spoil(copy, "conf/tables/silver/water_readings.yaml", "site STRING", "site DOUBLE")
    assert any("join key site of silver.water_readings is double" in line for line in messages(copy))


GAUGES = """
from feast import Entity, FeatureService, FeatureView, ValueType
from scorelake.feature_store.source import LakeSource

gauge = Entity(name="gauge", join_keys=["gauge"], value_type=ValueType.STRING)
source = LakeSource(
    name="gauges", table="silver.water_meters", field_mapping={"meter": "gauge", "capacity": "Size", "kind": "sort"}
)
gauges = FeatureView(name="gauges", entities=[gauge], source=source)
service = FeatureService(name="gauges", features=[gauges[["Size", "sort"]]])
"""


def test_a_join_key_may_be_a_renamed_column(copy: Path) -> None:
    (copy / "feature_repo/gauges.py").write_text(GAUGES)
    repo = load(copy / "feature_repo", copy / "conf")
    assert repo.request("gauges").join_keys == ("gauge",)
    assert repo.definition_hash("gauges")


def test_features_whose_names_differ_in_case_alone_are_found(copy: Path) -> None:
    (copy / "feature_repo/gauges.py").write_text(GAUGES.replace('"sort"', '"size"'))
    assert sum("two features are called" in line for line in messages(copy)) == 2


def test_a_declared_type_must_be_the_columns(copy: Path) -> None:
    spoil(
        copy,
        "feature_repo/views.py",
        "from feast.aggregation",
        "from feast import Field\nfrom feast.types import String\nfrom feast.aggregation",
    )
    spoil(
        copy,
        "feature_repo/views.py",
        "tariff = FeatureView(",
        'tariff = FeatureView(schema=[Field(name="cents", dtype=String)], ',
    )
    assert any("feature cents is declared String, but is decimal(6,3)" in line for line in messages(copy))


def test_a_feature_called_twice_in_a_service_is_found(copy: Path) -> None:
    spoil(
        copy, "feature_repo/services.py", "features=[\n        meter_state", "features=[\n        tariff, meter_state"
    )
    assert any("feature service meters: two features are called cents" in line for line in messages(copy))


def test_two_repos_may_hold_modules_of_one_name(copy: Path, repo: FeatureRepo) -> None:
    spoil(copy, "feature_repo/services.py", 'name="neighbours"', 'name="strangers"')
    other = load(copy / "feature_repo", copy / "conf")
    assert set(other.services) == {"meters", "strangers"}
    assert set(load(WATERWORKS / "feature_repo", WATERWORKS / "conf").services) == {"meters", "neighbours"}
    assert "views" not in sys.modules


def test_what_may_surprise_is_a_warning(copy: Path) -> None:
    spoil(copy, "feature_repo/views.py", 'name="tariffs", ', 'name="tariffs", available_at=False, ')
    spoil(copy, "conf/tables/gold/water_tariffs.yaml", "keys: [tariff_id]", "")
    warnings = [finding.message for finding in load(copy / "feature_repo", copy / "conf").warnings()]
    assert warnings == [
        "source tariffs: the second clock is off: corrections of gold.water_tariffs leak into the past",
        "source tariffs: gold.water_tariffs has no keys: a row that is delivered again counts twice",
        "feature view meter_state: online stores hold installed as an instant in whole seconds",
        "on-demand view plan_gap: a plain `feast apply` loses which features of meter_use it reads; ours does not",
    ]


# ------------------------------------------------------------------ hashes


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("feature_repo/views.py", 'name="meter_state",', 'name="meter_state", description="a",'),
        ("feature_repo/views.py", 'tags={"history": "keep"},', 'tags={"b": "c"},'),
        ("feature_repo/services.py", "ratios = pd.DataFrame()", "ratios = pd.DataFrame()  # one row an input"),
        ("feature_repo/services.py", '[["capacity", "meter_kind"]]', '[["meter_kind", "capacity"]]'),
        ("feature_repo/services.py", 'with_name("other_site")', 'with_name("others")'),
        ("conf/tables/silver/water_readings.yaml", "COMMENT 'unique within its site only'", ""),
        ("conf/tables/silver/water_readings.yaml", "  - note STRING", "  - note STRING\n  - weather STRING"),
    ],
)  # fmt: skip
def test_a_cosmetic_edit_keeps_the_hash(copy: Path, repo: FeatureRepo, file: str, old: str, new: str) -> None:
    spoil(copy, file, old, new)
    assert load(copy / "feature_repo", copy / "conf").definition_hash("meters") == repo.definition_hash("meters")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("feature_repo/views.py", "ttl=30 * DAY", "ttl=31 * DAY"),
        ("feature_repo/views.py", 'time_window=7 * DAY, name="litres_7d"', 'time_window=8 * DAY, name="litres_7d"'),
        ("feature_repo/services.py", 'inputs["litres_7d"] / inputs["site', '2 * inputs["litres_7d"] / inputs["site'),
        ("feature_repo/services.py", "[meter_use, site", '[meter_use[["litres_7d", "readings_7d"]], site'),
        ("feature_repo/views.py", 'name="tariffs", ', 'name="tariffs", available_at=False, '),
        ("conf/tables/silver/water_readings.yaml", "tie_break: sequence", "tie_break: note"),
        ("conf/tables/silver/water_readings.yaml", "keys: [reading_id]", "keys: [reading_id, site]"),
        ("conf/tables/silver/water_readings.yaml", "litres BIGINT", "litres INT"),
    ],
)
def test_a_changed_meaning_changes_the_hash(copy: Path, repo: FeatureRepo, file: str, old: str, new: str) -> None:
    spoil(copy, file, old, new)
    assert load(copy / "feature_repo", copy / "conf").definition_hash("meters") != repo.definition_hash("meters")
