"""Find every mistake in the definitions, with file and line, without reading data or starting Spark.

Reads   the conf folder, the feature repo
Writes  nothing

    ./spark-submit.sh check --env local
    ./spark-submit.sh check --env local --quick      YAML and SQL only

Exit code 2 when something was found.
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
    if call.options["quick"]:
        _, findings = checks.quick(call.settings.conf_dir)
    else:
        findings = checks.thorough(call.settings)
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} mistakes found", file=sys.stderr)
        return 2
    print("no mistake found")
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(lambda: answer(sys.argv[1:])))
