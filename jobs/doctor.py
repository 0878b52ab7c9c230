"""Say what is wrong with this machine, one line a check, each with its fix.

    ./spark-submit.sh doctor                # starts Spark, writes a Delta table, opens the registries
    ./spark-submit.sh doctor --quick        # under a second

Exit code 2 when anything is wrong. `--env` is `local` unless said otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scorelake import cli, doctor

OPTIONS = {"--quick": {"action": "store_true", "help": "only what needs neither Spark nor a registry"}}
DATES = False

THIS = Path(__file__).resolve()


def diagnose(arguments: list[str]) -> int:
    call = cli.parse_call(cli.describe(THIS), arguments)
    machine = doctor.Machine(THIS.parents[1], call.settings)
    checks = doctor.QUICK if call.options["quick"] else doctor.QUICK + doctor.THOROUGH
    healthy = True
    for diagnosis in doctor.examine(machine, checks):
        healthy = healthy and diagnosis.ok
        print(f"{'ok   ' if diagnosis.ok else 'WRONG'}  {diagnosis.name:<16}  {diagnosis.what}", flush=True)
        if not diagnosis.ok:
            print(f"{'':<25}fix: {diagnosis.fix}", flush=True)
    return 0 if healthy else 2


if __name__ == "__main__":
    sys.exit(cli.guarded(lambda: diagnose(sys.argv[1:])))
