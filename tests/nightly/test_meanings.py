"""A changed definition is shown as a person would show it: the lines that differ."""

from __future__ import annotations

from pathlib import Path

from scorelake.definitions import load_definitions
from scorelake.nightly import graph, meanings

SHOP = Path(__file__).parents[1] / "shop" / "conf"
BEFORE = {"contract": {"keys": ("id",), "layer": "silver"}, "sql": "SELECT id, TRIM(name) AS name FROM bronze.x"}


def test_sql_is_compared_clause_by_clause() -> None:
    now = {**BEFORE, "sql": "SELECT id, UPPER(name) AS name FROM bronze.x"}
    assert meanings.diff(meanings.text(BEFORE), meanings.text(now)).splitlines() == [
        "@@ -6,4 +6,4 @@",
        "   SELECT",
        "     id,",
        "-    TRIM(name) AS name",
        "+    UPPER(name) AS name",
        "   FROM bronze.x",
    ]


def test_a_contract_is_compared_line_by_line() -> None:
    now = {**BEFORE, "contract": {"keys": ("id", "day"), "layer": "silver"}}
    changed = meanings.diff(meanings.text(BEFORE), meanings.text(now)).splitlines()[1:]
    assert [line for line in changed if line[0] in "+-"] == ["+  - day"]


def test_equal_meanings_do_not_differ_and_an_unknown_one_is_not_guessed() -> None:
    assert meanings.diff(meanings.text(BEFORE), meanings.text(dict(reversed(BEFORE.items())))) == ""
    assert meanings.diff("", meanings.text(BEFORE)) == ""


def test_every_table_of_the_shop_can_be_read_by_people() -> None:
    for node in graph.table_nodes(load_definitions(SHOP)):
        assert "contract:" in meanings.text(node.meaning), node.table
