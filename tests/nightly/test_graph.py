"""The graph follows from the definitions; hashes follow their meaning, checks find what contradicts it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import ConfigError
from scorelake.nightly import checks, graph, hashes

SHOP = Path(__file__).parents[1] / "shop" / "conf"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHOP, tmp_path / "conf"))


def edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, encoding="utf-8")


def test_every_table_comes_after_those_that_it_reads() -> None:
    nodes = graph.table_nodes(load_definitions(SHOP))
    place = {node.table: position for position, node in enumerate(nodes)}
    assert len(place) == len(nodes)
    assert all(place[table] < place[node.table] for node in nodes for table in node.inputs)
    assert {node.table: node.same_date for node in nodes}["silver.sales"] == ("bronze.sales",)


def test_a_label_reads_what_its_population_reads() -> None:
    definitions = load_definitions(SHOP)
    assert {"silver.sales"} <= graph.reads_of(definitions, "gold.churn_60d")


def test_tables_that_read_each_other_are_a_cycle(conf: Path) -> None:
    edit(conf / "tables/gold/customer_value.sql", lambda sql: sql.replace("silver.sales", "gold.churn_60d", 1))
    edit(conf / "tables/gold/churn_60d.sql", lambda sql: sql.replace("silver.sales", "gold.customer_value", 1))
    with pytest.raises(ConfigError, match=r"cycle: gold\.\w+ <- gold\.\w+ <- gold\.\w+"):
        graph.table_nodes(load_definitions(conf))


def test_slices_are_due_when_the_source_delivers() -> None:
    definitions = load_definitions(SHOP)
    weekend = RunDates(date(2024, 3, 8), date(2024, 3, 11))
    assert graph.due_dates(definitions, "silver.sales", weekend) == [date(2024, 3, 8), date(2024, 3, 11)]
    assert graph.due_dates(definitions, "gold.customer_value", weekend) == list(weekend)


def test_a_cosmetic_edit_keeps_the_hash_and_a_meaningful_one_changes_it(conf: Path) -> None:
    before = hashes.table(load_definitions(conf), "silver.sales")
    edit(conf / "tables/silver/sales.sql", lambda sql: "-- a comment\n" + sql.replace("\n", "\n  "))
    edit(conf / "tables/silver/sales.yaml", lambda text: text + "# another\n")
    assert hashes.table(load_definitions(conf), "silver.sales") == before
    edit(conf / "tables/silver/sales.yaml", lambda text: text.replace("action: quarantine", "action: warn", 1))
    assert hashes.table(load_definitions(conf), "silver.sales") != before


def test_keys_that_came_later_change_no_hash_of_a_model_file_without_them(conf: Path) -> None:
    """The hashes are those that the shop's files had before there were these keys."""
    edit(conf / "models/churn.yaml", lambda text: text.replace("calibration: sigmoid\n", ""))
    definitions = load_definitions(conf)
    assert hashes.model(definitions, "churn").startswith("9912f168dc7d7b2b")
    assert hashes.split(definitions, "next_spend").startswith("9d50b816f5555384")
    edit(conf / "models/churn.yaml", lambda text: text + "compare: [{name: sklearn.dummy.DummyClassifier}]\n")
    assert not hashes.model(load_definitions(conf), "churn").startswith("9912f168dc7d7b2b")


def test_a_population_is_part_of_its_labels_meaning(conf: Path) -> None:
    before = hashes.table(load_definitions(conf), "gold.churn_60d")
    edit(conf / "populations/buyers.sql", lambda sql: sql.replace("200", "201"))
    assert hashes.table(load_definitions(conf), "gold.churn_60d") != before


def test_sound_definitions_have_no_finding() -> None:
    assert checks.quick(SHOP)[1] == []


def test_a_contract_that_cannot_be_read_hides_no_mistake_elsewhere(conf: Path) -> None:
    edit(conf / "tables/silver/sales.yaml", lambda text: text.replace("description:", "descripton:", 1))
    edit(conf / "tables/gold/churn_60d.yaml", lambda text: text.replace("keys:", "kyes:", 1))
    edit(conf / "populations/buyers.sql", lambda text: text.replace("silver.sales", "silver.salez"))
    edit(conf / "tables/silver/customers.sql", lambda text: text.replace("SELECT", "SELECT nonsense,", 1))
    found = {Path(finding.file).name for finding in checks.quick(conf)[1]}
    assert found == {"sales.yaml", "churn_60d.yaml", "buyers.sql", "customers.sql"}


@pytest.mark.parametrize(
    ("file", "change", "finding"),
    [
        ("tables/silver/sales.sql", ("bronze.sales", "bronze.sale"), "sales.sql:"),
        (
            "tables/gold/customer_value.sql",
            ("SELECT", "SELECT current_timestamp() AS nonsense,"),
            "current_timestamp()",
        ),
        ("tables/silver/sales.yaml", ("description:", "descripton:"), "did you mean 'description'?"),
        ("models/churn.yaml", ("gold.churn_60d", "gold.churn"), "is no label table"),
        ("tables/bronze/sales.yaml", ("delivers:", "delivrs:"), "did you mean 'delivers'?"),
    ],
)
def test_a_mistake_is_found_without_spark(conf: Path, file: str, change: tuple[str, str], finding: str) -> None:
    edit(conf / file, lambda text: text.replace(*change, 1))
    _, findings = checks.quick(conf)
    assert any(finding in str(found) for found in findings), findings
    assert all(Path(found.file).is_relative_to(conf) for found in findings)
