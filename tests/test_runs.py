"""One run, one id; outcomes add up."""

from __future__ import annotations

from scorelake import runs
from scorelake.runs import Outcome, combined


def test_every_job_of_a_run_shares_its_id() -> None:
    first = runs.begin()
    assert runs.run_id() == first == runs.run_id()
    assert runs.begin("given-by-the-scheduler") == "given-by-the-scheduler"
    assert runs.begin() != first


def test_the_worst_part_decides_the_exit_code() -> None:
    parts = [Outcome({"t": 1}), Outcome(missing=("m",)), Outcome(refused=("r",)), Outcome({"t": 2}, failed=("f",))]
    assert [combined(parts[: n + 1]).exit_code for n in range(4)] == [0, 3, 4, 1]
    assert combined(parts).written == {"t": 3}


def test_the_summary_names_everything() -> None:
    outcome = Outcome({"silver.x": 1234}, notes=("n",), refused=("r",), missing=("m",), failed=("f",))
    assert [line.split()[0] for line in outcome.lines()] == ["wrote", "note", "missing", "refused", "failed"]
    assert "1,234 rows" in next(iter(outcome.lines()))
