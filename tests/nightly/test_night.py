"""A night builds what is missing, side by side where it can, and lets a failure stop only what depends on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from scorelake.dates import RunDates
from scorelake.errors import GateRefused, MissingInput
from scorelake.nightly import workers
from scorelake.nightly.graph import Node
from scorelake.nightly.night import Night
from scorelake.runs import Outcome
from scorelake.settings import NightSettings
from scorelake.stores import model_registry
from scorelake.stores.marks import Mark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

D1, D2, D3 = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
BRONZE = Node("ingest_bronze", "bronze.a", "bronze.a", (), (), "h")
SILVER = Node("build_silver", "silver.a", "silver.a", ("bronze.a",), (), "h")
GOLD = Node("build_gold", "gold.a", "gold.a", (), ("silver.a",), "h")
OTHER = Node("ingest_bronze", "bronze.b", "bronze.b", (), (), "h")
AT_ONCE = NightSettings(backoff=timedelta(0))

RunStep = Callable[[Node, RunDates], Outcome]


@dataclass
class Ledger:
    """The marks of commits alone; the lake itself is tested with real tables."""

    spark: SparkSession
    commits: dict[str, dict[date, tuple[int, Mark]]] = field(default_factory=dict)
    version: int = 0
    told: list[str] = field(default_factory=list)

    def marks(self, table: str, step: str) -> dict[date, tuple[int, Mark]]:
        return dict(self.commits.get(table, {}))

    def commit(self, node: Node, dates: RunDates) -> Outcome:
        inputs = {table: max((v for v, _ in self.marks(table, "").values()), default=-1) for table in node.inputs}
        self.version += 1
        mark = Mark("r", node.step, tuple(dates), node.definition_hash, inputs)
        self.commits.setdefault(node.table, {}).update(dict.fromkeys(dates, (self.version, mark)))
        return Outcome({node.table: len(dates)})

    def night(self, run_step: RunStep | None = None, policy: NightSettings = AT_ONCE) -> Night:
        return Night(self, run_step or self.commit, policy, tell=self.told.append)  # type: ignore[arg-type]


@pytest.fixture
def ledger(spark: SparkSession) -> Ledger:
    return Ledger(spark)


def due(node: Node) -> list[date]:
    return [D1, D2, D3]


def steps(night: Night) -> list[tuple[str, str, str]]:
    return [(step.subject, str(step.dates), step.verdict) for step in night.done]


def test_what_is_done_is_not_done_again(ledger: Ledger) -> None:
    first = ledger.night()
    first.execute([BRONZE, SILVER], due)
    assert first.outcome.written == {"bronze.a": 3, "silver.a": 3}
    again = ledger.night()
    again.execute([BRONZE, SILVER], due)
    assert again.done == []


def test_a_rebuilt_input_makes_its_readers_stale(ledger: Ledger) -> None:
    ledger.night().execute([BRONZE, SILVER], due)
    ledger.commit(BRONZE, RunDates.single(D2))
    later = ledger.night()
    later.execute([BRONZE, SILVER], due)
    assert steps(later) == [("silver.a", "2024-01-02", "done")]
    assert later.done[0].reason == "input changed: bronze.a"


@pytest.mark.parametrize(
    ("error", "code"), [(MissingInput("x"), 3), (GateRefused("x"), 4), (ZeroDivisionError("x"), 1)]
)
def test_a_failed_branch_stops_what_depends_on_it_and_nothing_else(ledger: Ledger, error: Exception, code: int) -> None:
    def run_step(node: Node, dates: RunDates) -> Outcome:
        if node.table == "bronze.a":
            raise error
        return ledger.commit(node, dates)

    tonight = ledger.night(run_step)
    tonight.execute([BRONZE, SILVER, OTHER], due)
    assert tonight.outcome.exit_code == code
    assert tonight.outcome.written == {"bronze.b": 3}
    assert set(tonight.blocked) == {"bronze.a", "silver.a"}
    assert ("silver.a", "2024-01-01..2024-01-03", "skipped") in steps(tonight)


def test_a_refused_date_stops_that_date_and_the_history_that_holds_it(ledger: Ledger) -> None:
    def refusing(node: Node, dates: RunDates) -> Outcome:
        if node is not BRONZE:
            return ledger.commit(node, dates)
        for day in set(dates) - {D2}:
            ledger.commit(node, RunDates.single(day))
        return Outcome(refused=("2024-01-02",))

    tonight = ledger.night(refusing)
    tonight.execute([BRONZE, SILVER, GOLD], due)
    assert tonight.blocked == {"bronze.a": {D2}, "silver.a": {D2}, "gold.a": {D2, D3}}
    assert set(ledger.commits["silver.a"]) == {D1, D3}
    assert set(ledger.commits["gold.a"]) == {D1}
    assert "build_gold gold.a  2024-01-02..2024-01-03: skipped, since silver.a is not complete" in ledger.told


def test_independent_steps_run_side_by_side(ledger: Ledger) -> None:
    both_run = threading.Barrier(2, timeout=20)

    def run_step(node: Node, dates: RunDates) -> Outcome:
        both_run.wait()
        return ledger.commit(node, dates)

    tonight = ledger.night(run_step)
    tonight.execute([BRONZE, OTHER], due)
    assert tonight.outcome.exit_code == 0


def test_with_parallel_1_they_run_one_by_one(ledger: Ledger) -> None:
    running: list[Node] = []

    def run_step(node: Node, dates: RunDates) -> Outcome:
        running.append(node)
        assert len(running) == 1
        time.sleep(0.1)
        running.remove(node)
        return ledger.commit(node, dates)

    tonight = ledger.night(run_step, NightSettings(parallel=1))
    tonight.execute([BRONZE, OTHER], due)
    assert tonight.outcome.exit_code == 0


def test_a_failure_that_heals_is_tried_again(ledger: Ledger) -> None:
    failures = [ConnectionResetError("the registry hung up")]

    def run_step(node: Node, dates: RunDates) -> Outcome:
        if failures:
            raise failures.pop()
        return ledger.commit(node, dates)

    tonight = ledger.night(run_step)
    tonight.execute([BRONZE], due)
    assert [(step.verdict, step.attempts) for step in tonight.done] == [("done", 2)]


def test_a_registry_that_does_not_answer_is_asked_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    addresses = ["http://127.0.0.1:1"]

    def run_step(node: Node, dates: RunDates) -> Outcome:
        if addresses:
            model_registry.connect(addresses.pop())
        return ledger.commit(node, dates)

    tonight = ledger.night(run_step)
    tonight.execute([BRONZE], due)
    assert [(step.verdict, step.attempts) for step in tonight.done] == [("done", 2)]


def test_a_refusal_is_final_whatever_happened_before_it(ledger: Ledger) -> None:
    def run_step(node: Node, dates: RunDates) -> Outcome:
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            raise GateRefused("too few rows")  # noqa: B904

    tonight = ledger.night(run_step)
    tonight.execute([BRONZE], due)
    assert {step.attempts for step in tonight.done} == {1}


def test_a_step_that_runs_too_long_is_cancelled_and_not_tried_again(ledger: Ledger) -> None:
    def for_ever(node: Node, dates: RunDates) -> Outcome:
        ledger.spark.range(10**15, numPartitions=2).where("id % 7 = 9").count()
        return ledger.commit(node, dates)

    tonight = ledger.night(for_ever, NightSettings(backoff=timedelta(0), step_timeout=timedelta(seconds=2)))
    start = time.monotonic()
    tonight.execute([BRONZE, SILVER], due)
    assert time.monotonic() - start < 60
    assert tonight.outcome.failed == ("cancelled after 2 s, the setting night.step_timeout",)
    assert tonight.done[0].attempts == 1
    assert set(tonight.blocked) == {"bronze.a", "silver.a"}


def test_a_step_that_hangs_outside_of_spark_is_left_behind(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE", 1.0)
    hangs = threading.Event()

    def run_step(node: Node, dates: RunDates) -> Outcome:
        if node is BRONZE:
            hangs.wait(60)
        return ledger.commit(node, dates)

    tonight = ledger.night(run_step, NightSettings(step_timeout=timedelta(seconds=1)))
    tonight.execute([BRONZE, SILVER, OTHER], due)
    assert set(tonight.blocked) == {"bronze.a", "silver.a"}
    assert "did not end" in tonight.outcome.failed[0]
    assert tonight.outcome.written == {"bronze.b": 3}
    hangs.set()


def test_an_interrupted_night_has_its_running_steps_on_record(ledger: Ledger) -> None:
    def interrupting(node: Node) -> list[date]:
        if node is OTHER:
            time.sleep(1)  # the other step is running by now
            raise SystemExit(143)
        return due(node)

    def for_ever(node: Node, dates: RunDates) -> Outcome:
        ledger.spark.range(10**15, numPartitions=2).where("id % 7 = 9").count()
        return ledger.commit(node, dates)

    tonight = ledger.night(for_ever)
    with pytest.raises(SystemExit):
        tonight.execute([BRONZE, OTHER], interrupting)
    assert [(step.subject, step.outcome.failed) for step in tonight.done] == [("bronze.a", ("cancelled",))]


def test_a_late_drop_is_waited_for(ledger: Ledger) -> None:
    looks = [Outcome(missing=("a.csv",)), Outcome(missing=("a.csv",))]

    def run_step(node: Node, dates: RunDates) -> Outcome:
        return looks.pop() if looks else ledger.commit(node, dates)

    waiting = NightSettings(when_late="wait", wait_until=timedelta(days=99_999), look_every=timedelta(seconds=0))
    tonight = ledger.night(run_step, waiting)
    tonight.execute([BRONZE], due)
    assert steps(tonight) == [("bronze.a", "2024-01-01..2024-01-03", "done")]


def test_a_drop_of_long_ago_is_not_waited_for(ledger: Ledger) -> None:
    def run_step(node: Node, dates: RunDates) -> Outcome:
        return Outcome(missing=("a.csv",))

    tonight = ledger.night(run_step, NightSettings(when_late="wait"))
    tonight.execute([BRONZE], due)
    assert steps(tonight) == [("bronze.a", "2024-01-01..2024-01-03", "late")]


def test_a_late_drop_may_stop_the_whole_night(ledger: Ledger) -> None:
    def run_step(node: Node, dates: RunDates) -> Outcome:
        return Outcome(missing=("a.csv",)) if node is BRONZE else ledger.commit(node, dates)

    tonight = ledger.night(run_step, NightSettings(when_late="fail", parallel=1))
    tonight.execute([BRONZE, OTHER], due)
    assert tonight.outcome.written == {}
    assert tonight.outcome.exit_code == 3
