"""Build what a platform needs to run jobs: zips, wheel, launcher; the same bytes from the same sources.

Reads   lib/, jobs/, the conf folder, the feature repo
Writes  dist/: scorelake.zip, definitions.zip, scorelake-*.whl, run.py; databricks.yml if conf/deploy/ has it

    ./spark-submit.sh package
    ./spark-submit.sh package --conf-dir my/conf --feature-repo my/feature_repo --to /somewhere

Submission to an environment on a platform does this by itself. `--env` says whose setting `feature_repo` counts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scorelake import cli
from scorelake.platforms import package

OPTIONS = {"--to": {"type": "str", "metavar": "DIR", "help": "folder of the package (default: dist)"}}
DATES = False

THIS = Path(__file__).resolve()


def answer(arguments: list[str]) -> int:
    call = cli.parse_call(cli.describe(THIS), arguments)
    folder = Path(call.options["to"]) if call.options["to"] else THIS.parents[1] / "dist"
    settings = call.settings
    package.build(THIS.parents[1], settings.conf_dir, settings.feature_repo, folder)
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(lambda: answer(sys.argv[1:])))
