"""A plan says what a night would do, from the marks of commits alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph, plan
from scorelake.nightly.graph import Node
from scorelake.nightly.plan import Planned
from scorelake.stores.marks import Commit, Mark

SHOP = Path(__file__).parents[1] / "shop" / "conf"
MONDAY = date(2024, 1, 1)
WEEK = RunDates(MONDAY, date(2024, 1, 5))
Commits = dict[str, list[Commit]]


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load_definitions(SHOP)


@pytest.fixture(scope="module")
def nodes(definitions: Definitions) -> list[Node]:
    """The path of sales: bronze, silver, gold."""
    wanted = ("bronze.sales", "silver.sales", "bronze.customers", "silver.customers", "gold.customer_value")
    return [node for node in graph.table_nodes(definitions) if node.table in wanted]


def commit(node: Node, version: int, dates: RunDates, rows: int = 10, **inputs: int) -> Commit:
    known = {table.replace("__", "."): value for table, value in inputs.items()}
    mark = Mark("r", node.step, tuple(dates), node.definition_hash, known)
    return Commit(node.table, version, rows, mark, datetime(2024, 1, 6))


def planned(definitions: Definitions, nodes: Sequence[Node], commits: Mapping[str, list[Commit]]) -> list[Planned]:
    def due(node: Node) -> Sequence[date]:
        return graph.due_dates(definitions, node.table, WEEK)

    return plan.plan(definitions, nodes, due, lambda table: commits.get(table, []))


def all_done(nodes: Sequence[Node]) -> Commits:
    once = RunDates.single(MONDAY)
    made = {node.table: node for node in nodes}
    return {
        "bronze.sales": [commit(made["bronze.sales"], 1, WEEK)],
        "bronze.customers": [commit(made["bronze.customers"], 1, once)],
        "silver.sales": [commit(made["silver.sales"], 1, WEEK, bronze__sales=1)],
        "silver.customers": [commit(made["silver.customers"], 1, once, bronze__customers=1)],
        "gold.customer_value": [commit(made["gold.customer_value"], 1, WEEK, silver__sales=1, silver__customers=1)],
    }


def brief(found: Sequence[Planned]) -> list[tuple[str, str, str, str]]:
    return [(item.table, str(item.dates), item.action, item.cause) for item in found]


def test_nothing_is_planned_when_all_is_current(definitions: Definitions, nodes: list[Node]) -> None:
    assert planned(definitions, nodes, all_done(nodes)) == []


def test_on_an_empty_lake_everything_is_missing(definitions: Definitions, nodes: list[Node]) -> None:
    found = planned(definitions, nodes, {})
    assert {item.table for item in found} == {node.table for node in nodes}
    assert {(item.action, item.cause, item.rows) for item in found} == {("run", "missing", None)}


def test_a_drop_landed_again_makes_its_slice_and_all_later_history_stale(
    definitions: Definitions, nodes: list[Node]
) -> None:
    commits = all_done(nodes)
    [bronze] = [node for node in nodes if node.table == "bronze.sales"]
    commits["bronze.sales"].insert(0, commit(bronze, 2, RunDates.single(date(2024, 1, 3))))
    assert brief(planned(definitions, nodes, commits)) == [
        ("silver.sales", "2024-01-03", "run", "input changed: bronze.sales"),
        ("gold.customer_value", "2024-01-03..2024-01-05", "run", "input changed: silver.sales 2024-01-03"),
    ]


def test_a_changed_definition_carries_on_to_its_readers(definitions: Definitions, nodes: list[Node]) -> None:
    changed = [replace(node, definition_hash="new") if node.table == "silver.sales" else node for node in nodes]
    found = planned(definitions, changed, all_done(nodes))
    assert [item.table for item in found] == ["silver.sales", "gold.customer_value"]
    assert found[0].cause.startswith("definition changed: ")
    assert found[0].cause.endswith("-> new")
    [before] = [node.definition_hash for node in nodes if node.table == "silver.sales"]
    assert [item.changed for item in found] == [(before, "new"), None]


def test_what_cannot_be_built_is_blocked_and_says_by_what(definitions: Definitions, nodes: list[Node]) -> None:
    """In January a slice is missing that lies before the range asked for: the night will not build it."""
    commits = all_done(nodes)
    [silver] = [node for node in nodes if node.table == "silver.sales"]
    later = RunDates(date(2024, 1, 2), WEEK.last)
    commits["silver.sales"] = [commit(silver, 1, later, bronze__sales=1)]
    commits["gold.customer_value"] = []

    def due(node: Node) -> Sequence[date]:
        return graph.due_dates(definitions, node.table, RunDates.single(WEEK.last))

    found = plan.plan(definitions, nodes, due, lambda table: commits.get(table, []))
    assert brief(found) == [("gold.customer_value", "2024-01-05", "blocked", "silver.sales has no slice 2024-01-01")]


def test_rows_are_estimated_from_the_slices_before(definitions: Definitions, nodes: list[Node]) -> None:
    commits = all_done(nodes)
    [bronze] = [node for node in nodes if node.table == "bronze.sales"]
    two_days = RunDates(MONDAY, MONDAY + timedelta(days=1))
    commits["bronze.sales"] = [commit(bronze, 1, two_days, rows=50)]
    [missing] = [item for item in planned(definitions, nodes, commits) if item.table == "bronze.sales"]
    assert (str(missing.dates), missing.rows) == ("2024-01-03..2024-01-05", 75)
