"""A folder of definitions is loaded whole, or every finding is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorelake.definitions import load_definitions
from scorelake.errors import ConfigError

BRONZE = """description: d
columns: [a STRING]
source: {kind: csv, path: "x/{run_date}.csv", delivery: events, starts: 2024-01-01, delivers: daily}
"""
SILVER = "description: d\ncolumns: [a BIGINT]\n"
LABEL = """description: d
columns: [k BIGINT, label INT]
keys: [k]
label:
  population: people
  cutoffs: {from: 2024-01-07, to: 2024-01-07, every: 1 day}
  horizon: 7 days
  delay: 1 day
"""


def conf(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_yaml", ".yaml").replace("_sql", ".sql")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def messages(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_definitions(folder)
    return [str(finding).removeprefix(f"{folder}/") for finding in caught.value.findings]


def test_tables_are_named_after_their_place(tmp_path: Path) -> None:
    folder = conf(
        tmp_path,
        tables__bronze__x_yaml=BRONZE,
        tables__silver__x_yaml=SILVER,
        tables__silver__x_sql="SELECT a FROM bronze.x",
        tables__gold__l_yaml=LABEL,
        tables__gold__l_sql="SELECT 1",
        populations__people_sql="SELECT 1 AS k",
    )
    found = load_definitions(folder)
    assert list(found.tables) == ["bronze.x", "silver.x", "gold.l"]
    assert list(found.bronze) == ["bronze.x"]
    assert list(found.labels) == ["gold.l"]
    assert found.sql["silver.x"] == "SELECT a FROM bronze.x"
    assert found.populations == {"people": "SELECT 1 AS k"}


def test_all_findings_of_all_files_come_at_once(tmp_path: Path) -> None:
    folder = conf(
        tmp_path,
        tables__bronze__x_yaml=BRONZE + "sorce: 1\n",
        tables__silver__y_yaml=SILVER,
        tables__silver__orphan_sql="SELECT 1",
        tables__gold__l_yaml=LABEL,
        tables__gold__l_sql="SELECT 1",
        tables__platinum__z_yaml=SILVER,
    )
    assert messages(folder) == [
        "tables/bronze/x.yaml:4: unknown key 'sorce'; did you mean 'source'?",
        "tables/gold/l.yaml:5: no population conf/populations/people.sql",
        "tables/platinum: unknown layer; expected one of bronze, silver, gold",
        "tables/silver/orphan.sql: no contract: orphan.yaml is missing beside it",
        "tables/silver/y.yaml: silver.y has neither y.sql beside it nor transform",
    ]


def test_a_bronze_table_has_no_sql_and_names_are_checked(tmp_path: Path) -> None:
    folder = conf(tmp_path, tables__bronze__x_yaml=BRONZE, tables__bronze__x_sql="SELECT 1")
    (tmp_path / "tables/bronze/Bad-Name.yaml").write_text(BRONZE)
    found = messages(folder)
    assert any("a bronze table has a source instead of SQL" in message for message in found)
    assert any("Bad-Name.yaml: name 'Bad-Name'" in message for message in found)


MODEL = """description: d
feature_service: s
label: gold.l
task: binary
split: {kind: temporal, validation_from: 2024-02-01, test_from: 2024-03-01, gap: %s}
folds: {kind: rolling, gap: %s}
algorithm: {name: xgboost}
"""


@pytest.mark.parametrize(("of_split", "of_folds", "expected"), [("7", "6", ["6:folds"]), ("6", "7", ["5:split"])])
def test_a_gap_shorter_than_the_labels_horizon_is_a_mistake(
    tmp_path: Path, of_split: str, of_folds: str, expected: list[str]
) -> None:
    folder = conf(
        tmp_path,
        tables__gold__l_yaml=LABEL,
        tables__gold__l_sql="SELECT 1",
        populations__people_sql="SELECT 1 AS k",
        models__m_yaml=MODEL % (f"{of_split} days", f"{of_folds} days"),
    )
    told = "gap: 6 days is shorter than the horizon of gold.l, 1 week: labels would reach across it"
    assert messages(folder) == [f"models/m.yaml:{place.replace(':', ': ')}.{told}" for place in expected]
