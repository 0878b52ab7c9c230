"""A file read in parts gives the rows, and the numbers of the rows, of the file read as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorelake.errors import DamagedFile
from scorelake.ingest import parts
from scorelake.ingest.landed import LandedFile, Look, Reader, Rows, Share
from scorelake.ingest.records import Shape
from scorelake.tables import FileSource

D1 = date(2024, 1, 1)
CSV_LINES = ["1,2\n", "1\n", "\n", '"a\n\nb",2\n', '"open,1\n', 'x"y,2\r\n', '"a""b",é\n', '"",\n', "\ufeff1,2\n"]
JSON_LINES = ['{"a": 1, "b": 2}\n', "\n", "{\n", '{"a": "é", "b": null}\r\n', "[]\n"]
TEXT = pa.string()


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 24)


def reader(kind: str, kinds: pa.DataType = TEXT) -> Reader:
    source = {"kind": kind, "path": "{run_date}", "delivery": "events", "starts": D1, "delivers": "daily"}
    schema = pa.schema([("a", kinds), ("b", kinds)])
    return Reader(FileSource.model_validate(source), Shape(("a", "b"), {}), schema)


def read(of: Reader, shares: Sequence[Share]) -> list[tuple[Any, ...]]:
    names = ("source_row", "a", "b", "raw")
    found = [row for share in shares for batch in Rows(of)(share) for row in batch.to_pylist()]
    return [tuple(row[name] for name in names) for row in found]


def check(of: Reader, path: Path) -> int:
    """How many parts the file has, having read them as the whole is."""
    seen = Look(of).inspected(LandedFile(D1, str(path), path.name))
    assert seen.problem == ""
    shares = seen.shares()
    assert read(of, shares) == read(of, [Share(seen)])
    assert sum(share.bytes for share in shares) <= seen.bytes
    return len(shares)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.sampled_from(CSV_LINES), max_size=40), mark=st.booleans())
def test_csv(tmp_path: Path, lines: list[str], mark: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" * mark + "b,a\n" + "".join(lines)).encode())
    assert check(reader("csv"), path) >= 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.sampled_from(JSON_LINES), max_size=40), mark=st.booleans())
def test_json_lines(tmp_path: Path, lines: list[str], mark: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(("\ufeff" * mark + '{"a": 0, "b": 0}\n' + "".join(lines)).encode())
    assert check(reader("jsonl"), path) >= 1


def test_long_files_are_cut(tmp_path: Path) -> None:
    text = tmp_path / "a.csv"
    text.write_text("a,b\n" + "1,2\n" * 30)
    assert check(reader("csv"), text) == 6
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"a": 1, "b": 2}\n' * 4)
    assert check(reader("jsonl"), lines) == 2
    table = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(100), "b": range(100)}), table, row_group_size=10)
    assert check(reader("parquet", pa.int64()), table) == 10


def test_what_is_packed_or_one_document_is_read_whole(tmp_path: Path) -> None:
    import gzip

    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 30))
    assert check(reader("csv"), packed) == 1
    document = tmp_path / "a.json"
    document.write_text("[" + ",".join(['{"a": 1, "b": 2}'] * 30) + "]")
    assert check(reader("json"), document) == 1


def test_a_change_after_inspection_stops_a_file_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 30)
    of = reader("csv")
    seen = Look(of).inspected(LandedFile(D1, str(path), path.name))
    path.write_text("a,b\n" + "1,2\n" * 29 + "1,3\n")
    with pytest.raises(DamagedFile, match="changed while it was read"):
        read(of, seen.shares())
    path.write_text("a,b\n" + "1,2\n" * 27)
    with pytest.raises(DamagedFile, match="changed while it was read"):
        read(of, seen.shares()[-1:])
