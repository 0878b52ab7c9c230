"""Say what is wrong with this machine, one line a check, each with its fix.

    ./spark-submit.sh doctor                # starts Spark, writes a Delta table, opens the registries
    ./spark-submit.sh doctor --quick        # under a second

Exit code 2 when anything is wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scorelake import doctor
from scorelake.errors import ScorelakeError
from scorelake.settings import load_settings

CHECKOUT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    try:
        settings = load_settings(options.conf_dir, options.env, options.set)
    except ScorelakeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    checks = doctor.QUICK if options.quick else doctor.QUICK + doctor.THOROUGH
    healthy = True
    for name, diagnosis in doctor.examine(doctor.Machine(CHECKOUT, settings), checks):
        healthy = healthy and diagnosis.ok
        print(f"{'ok   ' if diagnosis.ok else 'WRONG'}  {name:<16}  {diagnosis.found}", flush=True)
        if not diagnosis.ok:
            print(f"       {'':<16}  fix: {diagnosis.fix}", flush=True)
    return 0 if healthy else 2


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./spark-submit.sh doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="local", help="environment whose places are looked at (default: local)")
    parser.add_argument("--conf-dir", type=Path, default=CHECKOUT / "conf", help="folder of definitions")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--quick", action="store_true", help="only what needs neither Spark nor a registry")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
