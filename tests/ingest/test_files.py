from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.dates import RunDates
from scorelake.errors import ContractBroken, DamagedFile, MissingInput
from scorelake.ingest import drops, files
from scorelake.ingest.drops import Stamp
from scorelake.tables import Bronze, FileSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

D1, D2, D3 = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
STAMP = Stamp("run-1", datetime(2024, 5, 1, 3, 4, 5))


def contract(path: str, kind: str = "csv", columns: Sequence[str] = ("a STRING", "b STRING"), **source: Any) -> Bronze:
    described = {"kind": kind, "path": path, "delivery": "events", "starts": D1, "delivers": "daily", **source}
    return Bronze.model_validate(
        {"name": "bronze.t", "description": "t", "columns": list(columns), "source": described}
    )


def landed(root: Path, name: str, content: bytes | str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def found(table: Bronze, root: Path, last: date = D1) -> drops.Drops:
    assert isinstance(table.source, FileSource)
    return drops.find(table.source, str(root), drops.due(table.source, RunDates(D1, last)))


def inspected(spark: SparkSession, table: Bronze, root: Path, last: date = D1) -> files.Inspection:
    return files.inspect(spark, table, found(table, root, last), landing_root=str(root))


def bronze(spark: SparkSession, table: Bronze, root: Path, last: date = D1) -> DataFrame:
    return files.read(spark, table, inspected(spark, table, root, last).sound(), STAMP)


def test_a_range_of_drops_is_read_with_provenance(spark: SparkSession, tmp_path: Path) -> None:
    table = contract("t/{run_date:%Y%m%d}/*.csv")
    landed(tmp_path, "t/20240101/x.csv", "b,a\n1,2\n")
    landed(tmp_path, "t/20240101/y.csv", gzip.compress(b'a,b\n3,"4\n5"\nbad\n'))
    landed(tmp_path, "t/20240102/x.csv", "a,b\n")
    landed(tmp_path, "t/20240103/x.csv", "a,b\n6,\n")
    landed(tmp_path, "t/20240103/_SUCCESS.csv", "")

    rows = bronze(spark, table, tmp_path, D3).orderBy("run_date", "source_file", "source_row").collect()

    assert [tuple(row) for row in rows] == [
        ("2", "1", None, None, "t/20240101/x.csv", 1, D1, datetime(2024, 1, 2), STAMP.ingested_at, "run-1"),
        ("3", "4\n5", None, None, "t/20240101/y.csv", 1, D1, datetime(2024, 1, 2), STAMP.ingested_at, "run-1"),
        (None, None, "bad", None, "t/20240101/y.csv", 2, D1, datetime(2024, 1, 2), STAMP.ingested_at, "run-1"),
        ("6", None, None, None, "t/20240103/x.csv", 1, D3, datetime(2024, 1, 4), STAMP.ingested_at, "run-1"),
    ]


def test_inspection_records_size_digest_and_rows_of_every_file(spark: SparkSession, tmp_path: Path) -> None:
    content = b"a,b\n1,2\nbad\n"
    landed(tmp_path, "2024-01-01.csv", content)
    (file,) = inspected(spark, contract("{run_date}.csv"), tmp_path).files
    assert (file.file, file.bytes, file.rows, file.malformed) == ("2024-01-01.csv", len(content), 2, 1)
    assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_a_ten_megabyte_line_and_a_day_of_only_bad_rows_arrive_whole(spark: SparkSession, tmp_path: Path) -> None:
    long = "x" * (10 << 20)
    landed(tmp_path, "2024-01-01.csv", f"a,b\n1,{long}\n2,{long},3\n")
    landed(tmp_path, "2024-01-02.csv", b'a,b\n\xff,1\n"\n1\n')
    rows = bronze(spark, contract("{run_date}.csv"), tmp_path, D2).selectExpr("length(b)", "length(raw)", "run_date")
    assert [tuple(row) for row in rows.collect()] == [
        (10 << 20, None, D1),
        (None, (10 << 20) + 4, D1),
        (None, 6, D2),
        (None, 1, D2),
        (None, 1, D2),
    ]


def test_no_files_are_no_rows(spark: SparkSession) -> None:
    assert files.read(spark, contract("{run_date}.csv"), [], STAMP).collect() == []


def test_a_problem_stops_its_date_and_no_other(spark: SparkSession, tmp_path: Path) -> None:
    landed(tmp_path, "2024-01-01.csv", "")
    landed(tmp_path, "2024-01-02.csv", "a,c\n1,2\n")
    landed(tmp_path, "2024-01-03.csv", "a,b\n1,2\n")
    inspection = inspected(spark, contract("{run_date}.csv"), tmp_path, D3)
    problems = inspection.problems()
    assert isinstance(problems[D1], DamagedFile)
    assert "2024-01-01.csv" in str(problems[D1])
    assert isinstance(problems[D2], ContractBroken)
    assert [file.run_date for file in inspection.sound()] == [D3]


def test_a_missing_drop_names_the_path_looked_for(tmp_path: Path) -> None:
    landed(tmp_path, "2024-01-01.csv", "a,b\n")
    looked = found(contract("{run_date}.csv"), tmp_path, D2)
    assert list(looked.found) == [D1]
    with pytest.raises(MissingInput, match=r"bronze\.t: the drop of 2024-01-02 is not there: .*2024-01-02\.csv"):
        looked.require("bronze.t")


def test_a_file_that_vanishes_before_inspection_is_missing(spark: SparkSession, tmp_path: Path) -> None:
    path = landed(tmp_path, "2024-01-01.csv", "a,b\n1,2\n")
    table = contract("{run_date}.csv")
    listed = found(table, tmp_path)
    path.unlink()
    problems = files.inspect(spark, table, listed, landing_root=str(tmp_path)).problems()
    assert isinstance(problems[D1], MissingInput)


@pytest.mark.parametrize(
    ("content", "error"), [(None, MissingInput), ("a,b\n1,2\n3,4\n", DamagedFile), ("a,b\n1,3\n", DamagedFile)]
)
def test_a_file_that_changes_after_inspection_fails_the_read(
    spark: SparkSession, tmp_path: Path, content: str | None, error: type[Exception]
) -> None:
    table = contract("{run_date}.csv")
    path = landed(tmp_path, "2024-01-01.csv", "a,b\n1,2\n")
    rows = bronze(spark, table, tmp_path)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(Exception, match="scorelake") as failure:
        rows.collect()
    assert isinstance(files.error_in(failure.value), error)


def test_json_lines_and_arrays(spark: SparkSession, tmp_path: Path) -> None:
    landed(tmp_path, "2024-01-01.jsonl", '{"a": 0.10, "b": {"x": null}}\nbad\n{"b": null, "a": "é"}\n')
    landed(tmp_path, "2024-01-01.json", gzip.compress(b'[{"a": 1e400, "b": ""}]'))
    of_lines = bronze(spark, contract("{run_date}.jsonl", "jsonl"), tmp_path)
    of_array = bronze(spark, contract("{run_date}.json", "json"), tmp_path)
    rows = of_lines.union(of_array).select("a", "b", "raw", "source_row").collect()
    assert [tuple(row) for row in rows] == [
        ("0.10", '{"x": null}', None, 1),
        (None, None, "bad", 2),
        ("é", None, None, 3),
        ("1e400", "", None, 1),
    ]


def test_new_columns_are_kept_in_extra(spark: SparkSession, tmp_path: Path) -> None:
    landed(tmp_path, "2024-01-01.csv", "a,new,b\n1,2,3\n")
    (row,) = bronze(spark, contract("{run_date}.csv", new_columns="keep"), tmp_path).collect()
    assert (row["a"], row["b"], row["extra"]) == ("1", "3", {"new": "2"})


def test_new_columns_are_reported_with_the_first_date_that_had_them(spark: SparkSession, tmp_path: Path) -> None:
    landed(tmp_path, "2024-01-01.csv", "a,b\n1,2\n")
    landed(tmp_path, "2024-01-02.csv", "a,new,b\n1,2,3\n")
    landed(tmp_path, "2024-01-03.csv", "a,new,b,other\n1,2,3,4\n")
    kept = contract("{run_date}.csv", new_columns="keep")
    assert inspected(spark, kept, tmp_path, D3).new_columns() == {"new": D2, "other": D3}


def write_parquet(root: Path, name: str, **columns: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), root / name, row_group_size=2)
    return root / name


def test_parquet_keeps_its_types_and_widens_integers(spark: SparkSession, tmp_path: Path) -> None:
    import pyarrow as pa

    write_parquet(
        tmp_path,
        "2024-01-01.parquet",
        n=pa.array([1, None, 3], pa.int32()),
        at=pa.array([datetime(1, 1, 1), datetime(9999, 12, 31), None], pa.timestamp("us")),
        amount=pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(6, 2)),
        tags=pa.array([["x"], [], None]),
    )
    columns = ["amount DECIMAL(10,2)", "n BIGINT", "at TIMESTAMP", "tags ARRAY<STRING>"]
    rows = bronze(spark, contract("{run_date}.parquet", "parquet", columns), tmp_path)
    picked = rows.selectExpr("amount", "n", "CAST(at AS STRING)", "tags", "source_row", "raw").collect()
    assert [tuple(row) for row in picked] == [
        (Decimal("1.10"), 1, "0001-01-01 00:00:00", ["x"], 1, None),
        (None, None, "9999-12-31 00:00:00", [], 2, None),
        (Decimal("-2.00"), 3, None, None, 3, None),
    ]


def test_parquet_of_another_type_or_truncated_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    write_parquet(tmp_path, "2024-01-01.parquet", a=["1", "2"])
    path = write_parquet(tmp_path, "2024-01-02.parquet", a=list(range(1000)))
    path.write_bytes(path.read_bytes()[:-30])
    landed(tmp_path, "2024-01-03.parquet", b"")
    table = contract("{run_date}.parquet", "parquet", ["a BIGINT"])
    problems = inspected(spark, table, tmp_path, D3).problems()
    assert "a is string, expected int64" in str(problems[D1])
    assert [type(problems[day]) for day in (D1, D2, D3)] == [ContractBroken, DamagedFile, DamagedFile]


def test_parquet_with_a_flipped_bit_is_damage(spark: SparkSession, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"a": list(range(100_000))})
    pq.write_table(table, tmp_path / "2024-01-01.parquet", write_page_checksum=True, compression="none")
    data = bytearray((tmp_path / "2024-01-01.parquet").read_bytes())
    data[len(data) // 3] ^= 1
    landed(tmp_path, "2024-01-01.parquet", bytes(data))
    problems = inspected(spark, contract("{run_date}.parquet", "parquet", ["a BIGINT"]), tmp_path).problems()
    assert isinstance(problems[D1], DamagedFile)


@pytest.mark.parametrize(
    ("template", "name"), [("d/{run_date}", "d/2024-01-01/x.csv"), ("**/*-{run_date}.csv", "q/r/s-2024-01-01.csv")]
)
def test_folders_and_patterns_name_files(tmp_path: Path, template: str, name: str) -> None:
    path = landed(tmp_path, name, "a,b\n")
    assert found(contract(template), tmp_path).found == {D1: (str(path),)}


def test_snapshots_read_only_the_newest_date() -> None:
    assert drops.snapshots([D1, D2, D3], stored=[D1]) == drops.Snapshots(read=(D3,), kept=(D1,), lost=(D2,))
    assert drops.snapshots([D1], stored=[D1, D3]) == drops.Snapshots(read=(), kept=(D1,), lost=())


def test_a_drop_is_there_when_its_manifest_is(tmp_path: Path) -> None:
    landed(tmp_path, "2024-01-01/x.csv", "a,b\n")
    table = contract("{run_date}/*.csv", manifest="{run_date}/manifest.csv")
    assert found(table, tmp_path).missing == {D1: str(tmp_path / "2024-01-01/manifest.csv")}
    landed(tmp_path, "2024-01-01/manifest.csv", "file,bytes,rows\nx.csv,4,0\n")
    assert found(table, tmp_path).found == {D1: (str(tmp_path / "2024-01-01/x.csv"),)}


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("x.csv,8,1\n", ""),
        ("x.csv,9,1\n", "bytes 8, expected 9"),
        ("x.csv,8,2\n", "rows 1, expected 2"),
        ("", "x.csv: it is not listed"),
        ("x.csv,8,1\ny.csv,8,1\n", "y.csv of 2024-01-01 is listed in .* and not there"),
        ("x.csv,many,1\n", "not a manifest"),
    ],
)
def test_files_are_as_the_manifest_says(spark: SparkSession, tmp_path: Path, listed: str, message: str) -> None:
    landed(tmp_path, "2024-01-01/x.csv", "a,b\n1,2\n")
    landed(tmp_path, "2024-01-01/manifest.csv", f"file,bytes,rows\n{listed}")
    table = contract("{run_date}/*.csv", manifest="{run_date}/manifest.csv")
    problems = inspected(spark, table, tmp_path).problems()
    assert bool(problems) == bool(message)
    for error in problems.values():
        assert re.search(message, str(error))
