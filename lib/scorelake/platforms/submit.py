"""The commands by which a job's call reaches a platform; a pure matter of settings, files and arguments."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from scorelake.errors import UsageError
from scorelake.platforms.package import BUNDLE, Package
from scorelake.settings import Settings

_PROPERTY = re.compile(r"([^#=:\s]+)[=:\s]+(.*)")
_DELIMITERS = "~;|@!"
_OWN = {"--conf-dir": 1, "--feature-repo": 1, "--dry-run": 0}
"""Options that only count where a job is submitted from, and how many values they take."""

Command = list[str]


def commands(
    settings: Settings, package: Package, call: Sequence[str], exports: Mapping[str, str], properties: Mapping[str, str]
) -> list[Command]:
    """What to run, in order; `call` is the job and its arguments, `exports` the variables that go along."""
    arguments = [part for name, value in exports.items() for part in ("--export", f"{name}={value}")]
    arguments += forwarded(call)
    match settings.deploy.platform:
        case "cluster":
            return [cluster(settings.deploy.master, package, arguments, properties)]
        case "dataproc":
            return [_dataproc(settings.conf_dir, package, arguments, properties)]
        case "databricks":
            return _databricks(settings.deploy.target, package, arguments)
        case "here":
            raise UsageError(f"environment {settings.env} is here: nothing is submitted")


def forwarded(call: Sequence[str]) -> list[str]:
    """The call without what it says about this machine; the package brings the folders."""
    kept: list[str] = []
    parts = iter(call)
    for part in parts:
        name, has_value, _ = part.partition("=")
        if name not in _OWN:
            kept.append(part)
        elif not has_value:
            for _ in range(_OWN[name]):
                next(parts, None)
    return kept


def spark_properties(places: Sequence[Path]) -> dict[str, str]:
    """The properties in the first file that is there. UsageError when none is."""
    for path in places:
        if path.is_file():
            lines = (_PROPERTY.fullmatch(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())
            return {line[1]: line[2].strip() for line in lines if line is not None}
    raise UsageError(f"no Spark settings; expected {' or '.join(map(str, places))}")


def cluster(master: str, package: Package, arguments: Sequence[str], properties: Mapping[str, str]) -> Command:
    """Client mode: a standalone cluster runs no Python drivers."""
    options = [part for key, value in properties.items() for part in ("--conf", f"{key}={value}")]
    files = ",".join(map(str, package.zips))
    return ["spark-submit", "--master", master, *options, "--py-files", files, str(package.run), *arguments]


def _dataproc(conf_dir: Path, package: Package, arguments: Sequence[str], properties: Mapping[str, str]) -> Command:
    flags = conf_dir / "deploy" / "dataproc" / "batch.yaml"
    if not flags.is_file():
        raise UsageError(f"{flags} expected: gcloud's flags for the batch; conf/deploy/dataproc/ has one to copy")
    return [
        *("gcloud", "dataproc", "batches", "submit", "pyspark", str(package.run)),
        f"--flags-file={flags}",
        f"--py-files={','.join(map(str, package.zips))}",
        f"--properties={_gcloud_list([f'{key}={value}' for key, value in properties.items()])}",
        *("--", *arguments),
    ]


def _gcloud_list(items: Sequence[str]) -> str:
    """Items as gcloud reads a list: with a delimiter of its own (`^~^a~b`) where one holds a comma."""
    if not any("," in item for item in items):
        return ",".join(items)
    delimiter = next(sign for sign in _DELIMITERS if not any(sign in item for item in items))
    return f"^{delimiter}^{delimiter.join(items)}"


def _databricks(target: str, package: Package, arguments: Sequence[str]) -> list[Command]:
    """Deploy the bundle, then run its job `call` with these parameters. Both in the package's folder."""
    if not (package.folder / BUNDLE).is_file():
        raise UsageError(f"<conf-dir>/deploy/databricks/{BUNDLE} expected; conf/deploy/databricks/ has one to copy")
    quoted = io.StringIO()
    csv.writer(quoted, lineterminator="").writerow(arguments)
    bundle = ("databricks", "bundle")
    return [
        [*bundle, "deploy", "--target", target],
        [*bundle, "run", "--target", target, "--python-params", quoted.getvalue(), "call"],
    ]
