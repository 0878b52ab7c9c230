"""Paths and URIs as pyarrow opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyarrow.fs import FileSystem
    from pyarrow.parquet import ParquetFile


def opened(place: str) -> tuple[FileSystem, str]:
    """The file system of a local path or a URI, and what the place is called there."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    is_uri = "://" in place or place.startswith("file:")
    return FileSystem.from_uri(place) if is_uri else (LocalFileSystem(), place)


def parquet_file(place: str, texts: Iterable[str] = ()) -> ParquetFile:
    """A Parquet file; its columns `texts` keep the dictionary they are stored with, so that who reads them looks at
    each distinct one once."""
    from pyarrow.parquet import ParquetFile, read_metadata

    system, path = opened(place)
    metadata = read_metadata(path, filesystem=system)
    present = set(metadata.schema.names)
    dictionaries = [text for text in texts if text in present]
    return ParquetFile(system.open_input_file(path), metadata=metadata, read_dictionary=dictionaries)
