"""Submit a job to the platform of its environment: `python -m jobs._submit JOB ARGUMENTS`, by spark-submit.sh."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from scorelake import cli
from scorelake.errors import EnvironmentProblem
from scorelake.platforms import package, submit
from scorelake.settings import variables

CHECKOUT = Path(__file__).resolve().parents[1]
_INSTALL = {
    "gcloud": "install the Google Cloud CLI and log in (gcloud auth login)",
    "databricks": "install the Databricks CLI and log in (databricks auth login)",
    "spark-submit": "./spark-submit.sh sets it up",
}


def answer(arguments: list[str]) -> int:
    job = cli.describe(CHECKOUT / "jobs" / f"{arguments[0]}.py")
    settings = cli.parse_call(job, arguments[1:]).settings
    properties = submit.spark_properties(
        [
            settings.conf_dir / "spark" / f"{settings.env}.conf",
            CHECKOUT / "conf" / "spark" / f"{settings.deploy.platform}.conf",
        ]
    )
    is_dry = "--dry-run" in arguments
    shipped = package.build(CHECKOUT, settings.conf_dir, settings.feature_repo, CHECKOUT / "dist")
    exports = variables(settings.conf_dir, settings.env)
    for command in submit.commands(settings, shipped, arguments, exports, properties):
        if is_dry:
            print(shlex.join(command))
        elif status := _run(command, shipped.folder):
            return status
    return 0


def _run(command: list[str], folder: Path) -> int:
    if shutil.which(command[0]) is None:
        raise EnvironmentProblem(f"{command[0]} not found on PATH: {_INSTALL[command[0]]}")
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(cli.guarded(lambda: answer(sys.argv[1:])))
