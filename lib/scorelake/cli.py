"""Arguments, logging and exit codes that all jobs share.

A job's module docstring is its help text; the literals OPTIONS and DATES in it describe its own options. They are read
without importing the job, so that `--help` and a wrong call are answered before Spark or any heavy library starts.
"""

from __future__ import annotations

import argparse
import ast
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scorelake import logs, runs, troubles
from scorelake.dates import RunDates
from scorelake.errors import ScorelakeError, UsageError
from scorelake.settings import Settings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Names = frozenset[str] | None
"""What `--only` restricts a job to; None is everything."""
ALL: Names = None

JOBS = Path(__file__).resolve().parents[2] / "jobs"
HANDLED = 100
"""Exit status of `validate` when the call is already answered (help was shown): nothing is left to run."""
SUBMIT = 101
"""Exit status of `validate` when the call is right and its environment lies on a platform."""

CANCELLED = 143
"""Exit status after a SIGTERM, as shells count it."""


@dataclass(frozen=True)
class Call:
    """A command line, understood: settings loaded, dates parsed. `options` are the job's own."""

    settings: Settings
    dates: RunDates | None
    only: Names
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobDescription:
    """What a job file says of itself in literals."""

    name: str
    text: str
    options: Mapping[str, Mapping[str, Any]]
    dates: bool


def describe(path: Path) -> JobDescription:
    """Read a job's docstring, OPTIONS and DATES from its source, without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("OPTIONS", "DATES")
    }
    return JobDescription(
        path.stem, ast.get_docstring(tree) or "", literals.get("OPTIONS", {}), literals.get("DATES", True)
    )


def parse_call(job: JobDescription, arguments: Sequence[str]) -> Call:
    """The call that `arguments` make. UsageError or ConfigError when it cannot be; SystemExit(0) after --help."""
    given = vars(_parser(job).parse_args(arguments))
    settings = load_settings(
        Path(given.pop("conf_dir")),
        given.pop("env"),
        given.pop("set"),
        Path(repo) if (repo := given.pop("feature_repo")) else None,
    )
    if given.pop("dry_run") and settings.deploy.platform == "here":
        raise UsageError(f"--dry-run shows how a job is submitted to a platform; environment {settings.env} is here")
    only = given.pop("only")
    names: Names = frozenset(only.split(",")) if only else ALL
    dates = _dates(given.pop("run_date"), given.pop("from_date"), given.pop("to_date")) if job.dates else None
    return Call(settings, dates, names, given)


def _parser(job: JobDescription) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"./spark-submit.sh {job.name}",
        description=job.text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--env", required=True, help="environment: settings are conf/base.yaml and conf/ENV.yaml")
    if job.dates:
        parser.add_argument("--run-date", type=_date, metavar="D", help="the run date; its data end at D+1 00:00 UTC")
        parser.add_argument("--from", type=_date, metavar="A", dest="from_date", help="first run date of a range")
        parser.add_argument("--to", type=_date, metavar="B", dest="to_date", help="last run date of a range")
    parser.add_argument("--only", metavar="NAME,...", help="restrict the job to these tables, services or models")
    parser.add_argument(
        "--conf-dir", default=os.environ.get("SCORELAKE_CONF_DIR", "conf"), help="folder of definitions"
    )
    parser.add_argument("--feature-repo", help="folder of Feast objects (default: the setting feature_repo)")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="override one setting")
    parser.add_argument("--dry-run", action="store_true", help="show how the job would be submitted to its platform")
    types: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "date": _date, "str": str}
    for flag, rules in job.options.items():
        keywords = {**rules, "type": types[rules["type"]]} if "type" in rules else dict(rules)
        parser.add_argument(flag, **keywords)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nhelp: {self.prog} --help")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2017-11-26") from None


def _dates(run_date: date | None, first: date | None, last: date | None) -> RunDates:
    if run_date is not None and first is None and last is None:
        return _begun(RunDates.single(run_date))
    if run_date is None and first is not None and last is not None:
        return _begun(RunDates(first, last))
    raise UsageError("expected --run-date D, or --from A --to B")


def _begun(dates: RunDates) -> RunDates:
    """The dates, unless the last of them lies in the future: its slices would be written as done, without data."""
    today = runs.wall_clock().date()
    if dates.last > today:
        raise UsageError(f"run date {dates.last} has not begun: it is {today} UTC by the clock of this machine")
    return dates


def chosen(known: Iterable[str], only: Names) -> list[str]:
    """The names of `known` that `--only` leaves, in order. UsageError when it names something else."""
    names = list(known)
    unknown = sorted(only - set(names)) if only else []
    if unknown:
        raise UsageError(f"--only: no {', '.join(unknown)} here; there are: {', '.join(names) or 'none'}")
    return [name for name in names if not only or name in only]


# ------------------------------------------------------------------ running


def main(run: Callable[..., runs.Outcome], *, description: str | None) -> NoReturn:
    """Run a job file: parse, start Spark, call `run(spark, settings, dates, only, **options)`, report, exit.

    Exit codes are those of errors.py; a traceback is shown only for errors that nobody raised on purpose.
    """
    del description  # the same text as `describe` reads; named so that a job file shows where its help comes from
    sys.exit(guarded(lambda: _run_job(run)))


def guarded(action: Callable[[], int]) -> int:
    """The exit code of `action`; an error becomes one message on stderr and its code."""
    try:
        return action()
    except ScorelakeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 130
    except Exception as error:
        traceback.print_exc()
        print(f"error: {troubles.told(error)}", file=sys.stderr)
        return 1


def _run_job(run: Callable[..., runs.Outcome]) -> int:
    from scorelake import session

    job = describe(Path(sys.argv[0]))
    call = parse_call(job, sys.argv[1:])
    prepare(call.settings)
    # As Ctrl-C does, so that what runs is cancelled, put on record and left whole.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(CANCELLED))
    started = time.monotonic()
    with _feast_meanwhile():
        spark = session.start(f"scorelake {job.name}")
    try:
        outcome = call_job(run, spark, call)
    finally:
        session.stop(spark)
    for line in outcome.lines():
        print(line)
    print(f"{job.name} ended with exit code {outcome.exit_code} after {time.monotonic() - started:.0f} s")
    return outcome.exit_code


def _feast_meanwhile() -> AbstractContextManager[None]:
    """For a job that reads the feature repo: Feast is imported while the JVM starts."""
    module = "scorelake.feature_store.definitions"
    if module not in sys.modules:
        return nullcontext()
    meanwhile: AbstractContextManager[None] = sys.modules[module].importing_meanwhile()
    return meanwhile


def call_job(run: Callable[..., runs.Outcome], spark: SparkSession, call: Call) -> runs.Outcome:
    """`run` with the arguments of a call; jobs without dates take none."""
    dates = (call.dates,) if call.dates is not None else ()
    return run(spark, call.settings, *dates, call.only, **call.options)


def prepare(settings: Settings) -> None:
    """What a process needs before it touches Spark, Feast or MLflow: log lines and exported variables."""
    logs.configure(settings.logs)
    os.environ.update(settings.exported())
    runs.run_id()


# ------------------------------------------------------------------ before Spark


def validate(arguments: Sequence[str]) -> int:
    """Check a call in plain Python: 0 run it here, SUBMIT it elsewhere, HANDLED help was shown, 2 wrong."""
    name, *rest = arguments or [""]
    path = JOBS / f"{name}.py"
    if name.startswith("_") or not path.is_file():
        known = ", ".join(sorted(p.stem for p in JOBS.glob("*.py") if not p.stem.startswith("_")))
        raise UsageError(f"no job {name!r}; jobs: {known}")
    try:
        call = parse_call(describe(path), rest)
    except SystemExit:
        return HANDLED
    return 0 if call.settings.deploy.platform == "here" else SUBMIT


if __name__ == "__main__":
    if sys.argv[1:2] != ["validate"]:
        sys.exit("usage: python -m scorelake.cli validate JOB ARGUMENTS")
    sys.exit(guarded(lambda: validate(sys.argv[2:])))
