"""What a source says of its own drop, checked against what landed.

A manifest is a CSV of file, bytes, rows and, if it likes, sha256.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from scorelake.ingest import storage
from scorelake.ingest.landed import LandedFile

_REQUIRED = ("file", "bytes", "rows")


@dataclass(frozen=True)
class Entry:
    """`sha256` is empty when the manifest does not say."""

    file: str
    bytes: int
    rows: int
    sha256: str = ""


def load(path: str) -> list[Entry]:
    """The entries of a manifest, one a file of a drop. ValueError says what is wrong with it."""
    with storage.open_binary(path) as stream:
        rows = csv.DictReader(stream.read().decode("utf-8-sig").splitlines())
    missing = [name for name in _REQUIRED if name not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}")
    return [Entry(row["file"], int(row["bytes"]), int(row["rows"]), row.get("sha256") or "") for row in rows]


def checked(files: Sequence[LandedFile], path: str, day: date) -> list[LandedFile]:
    """The inspected files of one drop; each that is not as the manifest says has it as its problem.

    A file that is listed and not there is added, as MissingInput; one that is there and not listed is no part of
    the drop and stops it.
    """
    try:
        entries = {_name(entry.file): entry for entry in load(path)}
    except (OSError, ValueError, TypeError) as error:
        return [*files, LandedFile(day, path, path, problem=f"DamagedFile: {path}: not a manifest: {error}")]
    by_name = {_name(file.path): file for file in files}
    absent = [
        LandedFile(day, path, name, problem=f"MissingInput: {name} of {day} is listed in {path} and not there")
        for name in sorted(entries.keys() - by_name.keys())
    ]
    return [*(_compared(file, entries.get(name), path) for name, file in by_name.items()), *absent]


def _compared(file: LandedFile, entry: Entry | None, path: str) -> LandedFile:
    if file.problem:
        return file
    if entry is None:
        return replace(file, problem=f"DamagedFile: {file.file}: it is not listed in {path}")
    differences = "; ".join(_differences(file, entry))
    return (
        replace(file, problem=f"DamagedFile: {file.file}: not as {path} says: {differences}") if differences else file
    )


def _differences(file: LandedFile, entry: Entry) -> Iterator[str]:
    for what in ("bytes", "rows", "sha256"):
        said, found = getattr(entry, what), getattr(file, what)
        if said not in ("", found):
            yield f"{what} {found}, expected {said}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]
