"""Help and wrong calls are answered without Spark; errors become one message and an exit code."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from scorelake import cli
from scorelake.dates import RunDates
from scorelake.errors import GateRefused, MissingInput, UsageError
from scorelake.runs import Outcome, combined

JOB = '''"""Do a thing."""
OPTIONS = {"--sample": {"type": "int", "default": 5, "help": "how many"}}
def run(spark, settings, dates, only): ...
'''


@pytest.fixture
def job(tmp_path: Path) -> cli.JobDescription:
    (tmp_path / "do_thing.py").write_text(JOB)
    return cli.describe(tmp_path / "do_thing.py")


@pytest.fixture
def conf(tmp_path: Path) -> str:
    (tmp_path / "base.yaml").write_text("")
    (tmp_path / "local.yaml").write_text("local: {home: /h}\n")
    return str(tmp_path)


def test_a_call_is_understood(job: cli.JobDescription, conf: str) -> None:
    call = cli.parse_call(
        job, ["--env", "local", "--conf-dir", conf, "--from", "2024-01-01", "--to", "2024-01-03", "--only", "a,b"]
    )
    assert call.dates == RunDates(date(2024, 1, 1), date(2024, 1, 3))
    assert call.only == {"a", "b"}
    assert call.options == {"sample": 5}
    assert call.settings.env == "local"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--env"),
        (["--env", "local"], "expected --run-date D, or --from A --to B"),
        (["--env", "local", "--from", "2024-01-01"], "expected --run-date D, or --from A --to B"),
        (["--env", "local", "--run-date", "tomorrow"], "is not a date such as"),
        (["--env", "local", "--run-date", "2024-02-30"], "is not a date such as"),
        (["--env", "local", "--from", "2024-01-02", "--to", "2024-01-01"], "ends before it starts"),
        (["--env", "local", "--run-date", "9998-12-31"], "run date 9998-12-31 has not begun"),
        (["--env", "local", "--from", "2024-01-01", "--to", "9998-12-31"], "by the clock of this machine"),
        (["--env", "nowhere", "--run-date", "2024-01-01"], "environments there: local"),
        (["--env", "local", "--run-date", "2024-01-01", "--wrong"], "--wrong"),
        (["--env", "local", "--run-date", "2024-01-01", "--sample", "x"], "invalid int"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    job: cli.JobDescription, conf: str, arguments: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cli.parse_call(job, [*arguments, "--conf-dir", conf])


def test_validation_starts_neither_spark_nor_heavy_libraries(
    job: cli.JobDescription, conf: str, tmp_path: Path
) -> None:
    code = """
import sys
from scorelake import cli
job = cli.describe(cli.Path(sys.argv[1]))
cli.parse_call(job, ["--env", "local", "--run-date", "2024-01-01", "--conf-dir", sys.argv[2]])
sys.exit(str({"pyspark", "pandas", "mlflow", "feast", "sqlglot"} & set(sys.modules)).replace("set()", "") or 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "do_thing.py"), conf],
        env={"PYTHONPATH": "lib"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_job_lists_the_jobs() -> None:
    with pytest.raises(UsageError, match="no job 'nosuch'; jobs: "):
        cli.validate(["nosuch"])


@pytest.mark.parametrize(("error", "code"), [(UsageError("x"), 2), (MissingInput("x"), 3), (GateRefused("x"), 4)])
def test_an_error_on_purpose_is_one_line_and_its_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert cli.guarded(fail) == code
    assert capsys.readouterr().err == "error: x\n"


def test_any_other_error_is_exit_1_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guarded(lambda: 1 // 0) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_gate_outweighs_a_missing_input() -> None:
    both = combined([Outcome({"t": 1}, missing=("m",)), Outcome({"t": 2}, refused=("r",))])
    assert both.exit_code == 4
    assert both.written == {"t": 3}
    assert Outcome(missing=("m",)).exit_code == 3
    assert Outcome().exit_code == 0
