"""The commits of a Delta table below `lake.root`, from its log: one listing and one small file a commit, no Spark job.

`DESCRIBE HISTORY` says the same and costs half a second a table, which a night would pay hundreds of times. Delta's
protocol: commit N is `_delta_log/<N, 20 digits>.json`, a line an action, one of them `commitInfo`.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scorelake.places import opened

_COMMIT = re.compile(r"(\d{20})\.json")
_AT_ONCE = 16
"""Files read side by side, which hides the latency of object stores."""


def versions(location: str) -> dict[int, str]:
    """Version -> path of every commit that the log still holds; empty when there is no table."""
    from pyarrow import fs

    filesystem, path = opened(location)
    files = filesystem.get_file_info(fs.FileSelector(f"{path}/_delta_log", allow_not_found=True))
    found = {int(match[1]): file.path for file in files if (match := _COMMIT.fullmatch(file.base_name))}
    return dict(sorted(found.items()))


def is_alone(location: str) -> bool:
    """Whether nothing but the log lies there: a table that is being made, or whose maker was killed."""
    from pyarrow import fs

    filesystem, path = opened(location)
    files = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return all(file.base_name == "_delta_log" for file in files)


def remove_uncommitted(location: str) -> None:
    """Delete the log of a table that never got its first commit; one that has a commit stays."""
    filesystem, path = opened(location)
    if not versions(location):
        filesystem.delete_dir(f"{path}/_delta_log")


def commit_infos(location: str) -> list[tuple[int, dict[str, Any]]]:
    """Version and `commitInfo` of every commit, newest first; a commit without one is left out."""
    filesystem, _ = opened(location)

    def read(commit: tuple[int, str]) -> tuple[int, dict[str, Any] | None]:
        version, path = commit
        with filesystem.open_input_stream(path) as stream:
            return version, _info(stream.read().decode())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read_all = list(pool.map(read, versions(location).items()))
    return [(version, info) for version, info in reversed(read_all) if info is not None]


def _info(text: str) -> dict[str, Any] | None:
    for line in text.splitlines():
        if line.startswith('{"commitInfo"'):  # the first line of what Spark writes; other actions may be long
            return dict(json.loads(line)["commitInfo"])
    return None
