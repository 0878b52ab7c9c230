"""A night builds what is missing, tells what went wrong, and lets a failed branch stop nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from scorelake.dates import RunDates
from scorelake.errors import GateRefused, MissingInput
from scorelake.nightly.graph import Node
from scorelake.nightly.night import Night
from scorelake.runs import Outcome
from scorelake.stores.lake import Mark

D1, D2 = date(2024, 1, 1), date(2024, 1, 2)
BRONZE = Node("ingest_bronze", "bronze.a", "bronze.a", (), (), "h")
SILVER = Node("build_silver", "silver.a", "silver.a", ("bronze.a",), (), "h")
OTHER = Node("ingest_bronze", "bronze.b", "bronze.b", (), (), "h")


@dataclass
class Ledger:
    """The marks of commits alone; the lake itself is tested with real tables."""

    commits: dict[str, dict[date, tuple[int, Mark]]] = field(default_factory=dict)
    version: int = 0

    def marks(self, table: str, step: str) -> dict[date, tuple[int, Mark]]:
        return dict(self.commits.get(table, {}))

    def commit(self, node: Node, dates: RunDates) -> Outcome:
        inputs = {table: max((v for v, _ in self.marks(table, "").values()), default=-1) for table in node.inputs}
        self.version += 1
        mark = Mark("r", node.step, tuple(dates), node.definition_hash, inputs)
        self.commits.setdefault(node.table, {}).update(dict.fromkeys(dates, (self.version, mark)))
        return Outcome({node.table: len(dates)})


def night(ledger: Ledger, run_step: Any) -> Night:
    return Night(ledger, run_step, tell=lambda line: None)  # type: ignore[arg-type]


def both(node: Node) -> list[date]:
    return [D1, D2]


def test_what_is_done_is_not_done_again() -> None:
    ledger = Ledger()
    first = night(ledger, ledger.commit)
    first.execute([BRONZE, SILVER], both)
    assert first.outcome.written == {"bronze.a": 2, "silver.a": 2}
    again = night(ledger, ledger.commit)
    again.execute([BRONZE, SILVER], both)
    assert again.done == []


def test_a_rebuilt_input_makes_its_readers_stale() -> None:
    ledger = Ledger()
    night(ledger, ledger.commit).execute([BRONZE, SILVER], both)
    ledger.commit(BRONZE, RunDates.single(D2))
    later = night(ledger, ledger.commit)
    later.execute([BRONZE, SILVER], both)
    assert [(step.step, step.first_date, step.last_date) for step in later.done] == [("build_silver", D2, D2)]


@pytest.mark.parametrize(
    ("error", "code"), [(MissingInput("x"), 3), (GateRefused("x"), 4), (ZeroDivisionError("x"), 1)]
)
def test_a_failed_branch_stops_what_depends_on_it_and_nothing_else(error: Exception, code: int) -> None:
    ledger = Ledger()

    def run_step(node: Node, dates: RunDates) -> Outcome:
        if node.table == "bronze.a":
            raise error
        return ledger.commit(node, dates)

    tonight = night(ledger, run_step)
    tonight.execute([BRONZE, SILVER, OTHER], both)
    assert tonight.outcome.exit_code == code
    assert tonight.outcome.written == {"bronze.b": 2}
    assert tonight.blocked == {"bronze.a", "silver.a"}
