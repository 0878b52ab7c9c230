"""Where drops lie: local paths, file:// and object stores behind one way to list, open and fingerprint a file."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import io
import os
import re
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    import pyarrow.fs

_WILDCARD = re.compile(r"[*?\[]")
_BLOCK = 1 << 20


def is_local(place: str) -> bool:
    return "://" not in place or place.startswith("file://")


def local_path(place: str) -> str:
    """The path behind a plain path or a file:// URI."""
    return unquote(place.removeprefix("file://")) if place.startswith("file://") else place


def join(root: str, relative: str) -> str:
    """`relative` below `root`; an absolute path or a URI stays as it is."""
    return relative if "://" in relative or os.path.isabs(relative) else f"{root.rstrip('/')}/{relative}"


def matches(pattern: str) -> list[str]:
    """Files that `pattern` names, sorted; a folder stands for the files in it.

    Names that start with '.' or '_' are not data (unless the pattern says so): writers hide unfinished files there.
    """
    found = _local_matches(local_path(pattern)) if is_local(pattern) else _remote_matches(pattern)
    hidden_wanted = os.path.basename(pattern)[:1] in ("_", ".")
    return sorted(path for path in found if hidden_wanted or os.path.basename(path)[:1] not in ("_", "."))


def _local_matches(pattern: str) -> list[str]:
    names = glob.glob(pattern, recursive=True) if _WILDCARD.search(pattern) else [pattern]
    files = [name for name in names if os.path.isfile(name)]
    for folder in filter(os.path.isdir, names):
        files += [entry.path for entry in os.scandir(folder) if entry.is_file()]
    return list(dict.fromkeys(files))


def _remote_matches(pattern: str) -> list[str]:
    import pyarrow.fs

    scheme = pattern.split("://", 1)[0]
    system, path = pyarrow.fs.FileSystem.from_uri(pattern.replace("*", "%2A").replace("[", "%5B"))
    path = unquote(path)
    wildcard = _WILDCARD.search(path)
    folder = path[: wildcard.start()].rpartition("/")[0] if wildcard else path
    if wildcard is None and system.get_file_info(path).type == pyarrow.fs.FileType.File:
        return [pattern]
    selector = pyarrow.fs.FileSelector(folder, allow_not_found=True, recursive=wildcard is not None)
    files = [entry.path for entry in system.get_file_info(selector) if entry.is_file]
    if wildcard is not None:
        depth = path.count("/")
        files = [name for name in files if name.count("/") == depth and fnmatch.fnmatchcase(name, path)]
    return [f"{scheme}://{name}" for name in files]


def open_binary(path: str) -> IO[bytes]:
    """The bytes of a file, seekable. FileNotFoundError when it is not there (any more)."""
    if is_local(path):
        return open(local_path(path), "rb")
    system, name = _remote(path)
    stream: IO[bytes] = io.BufferedReader(system.open_input_file(name), _BLOCK)
    return stream


def create_binary(path: str) -> IO[bytes]:
    """A new file (an old one of that name goes), its folder made where there are folders."""
    if is_local(path):
        place = local_path(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return open(place, "wb")
    system, name = _remote(path)
    stream: IO[bytes] = io.BufferedWriter(system.open_output_stream(name), _BLOCK)
    return stream


def _remote(path: str) -> tuple[pyarrow.fs.FileSystem, str]:
    import pyarrow.fs

    system, name = pyarrow.fs.FileSystem.from_uri(path)
    return system, name


class Fingerprinted(io.RawIOBase):
    """A stream that counts and digests the bytes that pass through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._source.read(len(buffer))
        buffer[: len(block)] = block
        self._digest.update(block)
        self.size += len(block)
        return len(block)

    def drain(self) -> str:
        """Read what is left; the sha256 of the whole file in hexadecimal digits."""
        while self.read(_BLOCK):
            pass
        return self._digest.hexdigest()


class Digested(io.RawIOBase):
    """A stream that hands on what is written to it, counting and digesting the bytes."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        data = bytes(block)
        self._target.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def sha256(self) -> str:
        return self._digest.hexdigest()
