"""Run one job of a package. This is the file that is submitted; it stands alone and needs only Python.

    run.py [--package DIR] [--export NAME=VALUE ...] [--day-before DATE] JOB ARGUMENTS ...

The package is scorelake.zip (the code) and definitions.zip (the conf folder, the feature repo). They are looked for in
DIR, beside this file, in the working directory, and among the files that --py-files put on the path. The driver runs
from what it unpacks of them, since definitions and templates are read as files; workers import scorelake.zip or the
wheel. Schedulers know the day on which they start: --day-before 2024-05-02 stands for --run-date 2024-05-01.
"""

from __future__ import annotations

import argparse
import importlib
import os
import runpy
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

CODE, DEFINITIONS = "scorelake.zip", "definitions.zip"
QUIET = {
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "FEAST_USAGE": "False",
    "GIT_PYTHON_REFRESH": "quiet",
}


def main(arguments: Sequence[str]) -> None:
    call = _parsed(arguments)
    code, definitions = (_found(name, _places(call.package)) for name in (CODE, DEFINITIONS))
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.update(dict(pair.split("=", 1) for pair in call.export))
    with tempfile.TemporaryDirectory(prefix="scorelake-package-") as folder:
        for archive in (code, definitions):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(folder)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        os.environ["SCORELAKE_CONF_DIR"] = f"{folder}/conf"
        days = [] if call.day_before is None else ["--run-date", str(call.day_before - timedelta(days=1))]
        sys.argv = [call.job, *call.arguments, *days, "--feature-repo", f"{folder}/feature_repo"]
        _run(call.job)


def _run(job: str) -> None:
    """A job that ends well returns, since some platforms take any SystemExit for a failure."""
    try:
        runpy.run_module(f"jobs.{job}", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        if ending.code:
            raise


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", allow_abbrev=False)
    parser.add_argument("--package", type=Path, help="folder of the package")
    parser.add_argument("--export", action="append", default=[], metavar="NAME=VALUE", help="environment variable")
    parser.add_argument("--day-before", type=date.fromisoformat, metavar="DATE", help="run date is the day before")
    parser.add_argument("job")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def _places(package: Path | None) -> Iterable[Path]:
    """Folders that may hold the package; a platform that executes this file as text gives it no __file__."""
    here = Path(globals().get("__file__", sys.argv[0])).resolve().parent
    on_path = [Path(entry).parent for entry in sys.path if Path(entry).name in (CODE, DEFINITIONS)]
    return [*([package] if package else []), here, Path.cwd(), *on_path]


def _found(name: str, places: Iterable[Path]) -> Path:
    looked = list(dict.fromkeys(places))
    for place in looked:
        if (place / name).is_file():
            return place / name
    sys.exit(
        f"error: {name} not found in {', '.join(map(str, looked))}; ship it with --py-files, or name --package DIR"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
