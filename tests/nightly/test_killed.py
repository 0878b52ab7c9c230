"""What a killed run did is read from its commits: those of its id, since it took the lock."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from scorelake.nightly import killed
from scorelake.nightly.graph import Node
from scorelake.stores.lease import Holder
from scorelake.stores.marks import Commit, Mark

BRONZE = Node("ingest_bronze", "bronze.a", "bronze.a", (), (), "h")
SHARED = Node("report_drift", "churn", "monitoring.drift_metrics", (), (), "h", shared=True)
TAKEN = datetime(2024, 1, 9, 3)
DEAD = Holder("dead", "host", 7, 1.0, TAKEN, TAKEN)
D1, D2 = date(2024, 1, 1), date(2024, 1, 2)


def commit(node: Node, minutes: int, *, run_id: str = "dead", step: str = "", rows: int = 5) -> Commit:
    mark = Mark(run_id, step or node.mark, (D1, D2))
    return Commit(node.table, minutes, rows, mark, TAKEN + timedelta(minutes=minutes))


def steps(*commits: Commit) -> list[tuple[str, str, str, int]]:
    found = killed.steps_of(DEAD, [BRONZE, SHARED], lambda table: [one for one in commits if one.table == table])
    return [(one.step, one.subject, one.verdict, sum(one.outcome.written.values())) for one in found]


def test_each_commit_is_a_step_and_the_end_says_what_happened() -> None:
    found = killed.steps_of(DEAD, [BRONZE], lambda table: [commit(BRONZE, 3)])
    assert [(str(one.dates), one.verdict, one.started_at - TAKEN) for one in found] == [
        ("2024-01-01..2024-01-02", "done", timedelta(minutes=3)),
        ("2024-01-01..2024-01-02", "failed", timedelta(minutes=3)),
    ]
    [text] = found[-1].outcome.failed
    assert text == "killed on host (process 7) after 1 commits; the next run does what is missing"


def test_steps_stand_in_the_order_in_which_they_committed() -> None:
    assert steps(commit(BRONZE, 9), commit(SHARED, 3, rows=0)) == [
        ("report_drift", "churn", "done", 0),
        ("ingest_bronze", "bronze.a", "done", 5),
        ("run", "", "failed", 0),
    ]


def test_commits_of_others_are_not_its_own() -> None:
    """Another run, another subject of a shared table, and an earlier attempt to which the scheduler gave the id."""
    others = [commit(BRONZE, 1, run_id="x"), commit(SHARED, 1, step="report_drift spend"), commit(BRONZE, -60)]
    assert steps(*others) == [("run", "", "failed", 0)]
