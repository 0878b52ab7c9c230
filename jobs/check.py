"""Find every mistake in the definitions, with file and line, without reading data or starting Spark.

Reads   the conf folder, the feature repo
Writes  nothing

    ./spark-submit.sh check --env local
    ./spark-submit.sh check --env local --quick      YAML and SQL only

Exit code 2 when something was found; warnings tell what is allowed but may surprise, and change nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scorelake import cli
from scorelake.nightly import checks

OPTIONS = {"--quick": {"action": "store_true", "help": "YAML and SQL only, in under a second"}}
DATES = False


def answer(arguments: list[str]) -> int:
    call = cli.parse_call(cli.describe(Path(__file__)), arguments)
    cli.prepare(call.settings)
    is_quick, settings = call.options["quick"], call.settings
    findings, warnings = (checks.quick(settings.conf_dir)[1], []) if is_quick else checks.thorough(settings)
    for finding in findings:
        print(finding)
    for warning in warnings:
        print(f"{warning} (a warning)")
    if findings:
        print(f"{len(findings)} mistakes found", file=sys.stderr)
        return 2
    print("no mistake found")
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(lambda: answer(sys.argv[1:])))
