"""Where a slice came from and what was made from it, told from the marks of commits."""

from __future__ import annotations

from datetime import date, datetime

from scorelake.dates import RunDates
from scorelake.nightly import lineage
from scorelake.nightly.graph import Node
from scorelake.stores.marks import Commit, Mark

D1, D2, D3 = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
BRONZE = Node("ingest_bronze", "bronze.a", "bronze.a", (), (), "h")
SILVER = Node("build_silver", "silver.a", "silver.a", ("bronze.a",), (), "h")
GOLD = Node("build_gold", "gold.a", "gold.a", (), ("silver.a",), "h")
NODES = [BRONZE, SILVER, GOLD]
ALL = RunDates(D1, D3)


def commit(node: Node, version: int, dates: RunDates, inputs: dict[str, int] | None = None) -> Commit:
    mark = Mark(f"run{version}", node.step, tuple(dates), "h", inputs or {})
    return Commit(node.table, version, 1, mark, datetime(2024, 1, 6))


HISTORY = {
    "bronze.a": [commit(BRONZE, 2, RunDates.single(D2)), commit(BRONZE, 1, ALL)],
    "silver.a": [commit(SILVER, 1, ALL, {"bronze.a": 1})],
    "gold.a": [commit(GOLD, 1, ALL, {"silver.a": 1})],
}


def test_a_slice_comes_from_the_commit_that_its_maker_saw() -> None:
    """Bronze D2 was landed again later; silver was made from what stood there before."""
    found = lineage.origin("silver.a", D2, {node.table: node for node in NODES}, HISTORY.__getitem__)
    assert found is not None
    [bronze] = found.same_date
    assert (found.commit.version, bronze.day, bronze.commit.mark.run_id) == (1, D2, "run1")


def test_history_stands_with_the_version_that_was_read() -> None:
    found = lineage.origin("gold.a", D3, {node.table: node for node in NODES}, HISTORY.__getitem__)
    assert found is not None
    assert (found.same_date, dict(found.history)) == ((), {"silver.a": 1})


def test_a_slice_that_was_never_written_has_no_origin() -> None:
    nodes = {node.table: node for node in NODES}
    assert lineage.origin("gold.a", date(2025, 1, 1), nodes, HISTORY.__getitem__) is None


def test_what_was_made_from_a_slice_is_followed_to_the_end_and_stale_parts_are_told() -> None:
    found = [
        (made.node.table, str(made.dates), made.is_current)
        for made in lineage.made_from("bronze.a", D2, NODES, HISTORY.__getitem__)
    ]
    assert found == [("silver.a", "2024-01-02", False), ("gold.a", "2024-01-02..2024-01-03", True)]
