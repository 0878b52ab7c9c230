from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.errors import ContractBroken, MissingInput, ScorelakeError
from scorelake.ingest import jdbc
from scorelake.ingest.databases import POSTGRESQL, SQLITE, bound
from scorelake.ingest.drops import Stamp
from scorelake.ingest.jdbc import Connection
from scorelake.tables import Bronze
from tests.ports import free_port

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

D1, D2 = date(2024, 1, 1), date(2024, 1, 2)
STAMP = Stamp("run-1", datetime(2024, 5, 1))


def contract(url: str, *columns: str, **source: Any) -> Bronze:
    described = {"kind": "jdbc", "url": url, "delivery": "events", "starts": D1, "delivers": "once", **source}
    return Bronze.model_validate(
        {"name": "bronze.t", "description": "t", "columns": list(columns), "source": described}
    )


def rows(spark: SparkSession, table: Bronze, connection: Connection, *days: date) -> list[tuple[Any, ...]]:
    """Contract columns and raw."""
    frame = jdbc.read(spark, table, days or [D1], connection, STAMP)
    return [tuple(row) for row in frame.select(*table.column_names, "raw").collect()]


# ------------------------------------------------------------------ SQLite


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("CREATE TABLE t (id INTEGER, at TIMESTAMP, amount REAL, note)")
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)",
            [
                (1, "2024-01-01 10:00:00", 0.1, "a"),
                (2, "2024-01-02 00:00:00", 0.1 + 0.2, b"\x00\xff"),
                ("zz", "2024-01-02", 1e300, 7),
                (None, None, None, ""),
            ],
        )
    return tmp_path


def of(folder: Path, name: str = "shop.db") -> Connection:
    return jdbc.located(Connection(f"jdbc:sqlite:{name}"), str(folder))


def test_sqlite_values_cross_as_exact_text(spark: SparkSession, shop: Path) -> None:
    table = contract("jdbc:sqlite:shop.db", "id STRING", "at STRING", "amount STRING", "note STRING", table="t")
    assert rows(spark, table, of(shop)) == [
        ("1", "2024-01-01 10:00:00", "0.1", "a", None),
        ("2", "2024-01-02 00:00:00", "0.30000000000000004", "00FF", None),
        ("zz", "2024-01-02", "1.0e+300", "7", None),
        (None, None, None, "", None),
    ]


def test_a_value_that_is_not_of_its_type_makes_a_malformed_row(spark: SparkSession, shop: Path) -> None:
    table = contract("jdbc:sqlite:shop.db", "id BIGINT", "at TIMESTAMP", "amount DOUBLE", "note STRING", table="t")
    assert rows(spark, table, of(shop)) == [
        (1, datetime(2024, 1, 1, 10), 0.1, "a", None),
        (2, datetime(2024, 1, 2), 0.1 + 0.2, "00FF", None),
        (None, None, None, None, '{"id":"zz","at":"2024-01-02","amount":"1.0e+300","note":"7"}'),
        (None, None, None, "", None),
    ]


def test_times_without_a_zone_are_local_to_the_source(spark: SparkSession, tmp_path: Path) -> None:
    times = ["2024-07-01 12:00:00", "2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-07-01T12:00:00Z"]
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("CREATE TABLE t (at TEXT)")
        db.executemany("INSERT INTO t VALUES (?)", [(time,) for time in times])
    table = contract("jdbc:sqlite:shop.db", "at TIMESTAMP", table="t", time_zone="America/New_York")
    assert rows(spark, table, of(tmp_path)) == [
        (datetime(2024, 7, 1, 16), None),
        (None, '{"at":"2024-03-10 02:30:00"}'),  # skipped when the clocks went forward
        (datetime(2024, 11, 3, 5, 30), None),  # shown twice: the first
        (datetime(2024, 7, 1, 12), None),
    ]


def test_a_query_is_bound_to_each_drop(spark: SparkSession, shop: Path) -> None:
    query = "SELECT id AS ID FROM t WHERE datetime(at) >= :data_start AND datetime(at) < :data_end -- ':data_end'"
    table = contract("jdbc:sqlite:shop.db", "id STRING", query=query, delivers="daily", rename={"ID": "id"})
    frame = jdbc.read(spark, table, [D1, D2], of(shop), STAMP)
    found = frame.select("id", "run_date", "available_at", "source_file", "source_row", "run_id").collect()
    assert sorted(map(tuple, found), key=str) == [
        ("1", D1, datetime(2024, 1, 2), "jdbc:sqlite:shop.db#query", 1, "run-1"),
        ("2", D2, datetime(2024, 1, 3), "jdbc:sqlite:shop.db#query", 1, "run-1"),
        ("zz", D2, datetime(2024, 1, 3), "jdbc:sqlite:shop.db#query", 2, "run-1"),
    ]


def test_partitions_hold_every_row_once(spark: SparkSession, shop: Path) -> None:
    with sqlite3.connect(shop / "shop.db") as db:
        db.execute("CREATE TABLE n (id INTEGER)")
        db.executemany("INSERT INTO n VALUES (?)", [(n,) for n in range(100)] + [(None,)])
    table = contract("jdbc:sqlite:shop.db", "id BIGINT", table="n", partition_column="id", partitions=3)
    frame = jdbc.read(spark, table, [D1], of(shop), STAMP).select("id", "source_file", "source_row").collect()
    assert sorted(row["id"] for row in frame if row["id"] is not None) == list(range(100))
    assert len(frame) == 101
    places = {(row["source_file"], row["source_row"]) for row in frame}
    assert len(places) == 101
    assert {file for file, _ in places} == {f"jdbc:sqlite:shop.db#n[{n}]" for n in (1, 2, 3)}


def test_columns_are_checked_before_a_row_is_read(spark: SparkSession, shop: Path) -> None:
    table = contract("jdbc:sqlite:shop.db", "id STRING", "gone STRING", table="t")
    with pytest.raises(ContractBroken, match="missing: gone; unknown: at, amount, note"):
        rows(spark, table, of(shop))


def test_new_columns_are_kept_where_the_source_says_so(spark: SparkSession, shop: Path) -> None:
    table = contract("jdbc:sqlite:shop.db", "id STRING", table="t", new_columns="keep")
    row = jdbc.read(spark, table, [D1], of(shop), STAMP).first()
    assert row is not None
    assert row["extra"] == {"at": "2024-01-01 10:00:00", "amount": "0.1", "note": "a"}


def test_a_missing_database_file_is_missing_input_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"none\.db is not there"):
        of(tmp_path, "none.db")
    assert list(tmp_path.iterdir()) == []


def test_the_database_is_not_written(spark: SparkSession, shop: Path) -> None:
    before = (shop / "shop.db").read_bytes()
    rows(spark, contract("jdbc:sqlite:shop.db", "id STRING", table="t", new_columns="keep"), of(shop))
    assert (shop / "shop.db").read_bytes() == before
    assert [path.name for path in shop.iterdir()] == ["shop.db"]


def test_a_table_that_is_not_there_is_told_in_one_line(spark: SparkSession, shop: Path) -> None:
    with pytest.raises(ScorelakeError, match=r"bronze\.t: the database refused: .*no such table: none"):
        rows(spark, contract("jdbc:sqlite:shop.db", "id STRING", table="none"), of(shop))


def test_markers_in_quotes_comments_and_casts_are_left_alone() -> None:
    query = "SELECT ':as_of', \":as_of\", x::date /* :as_of */ FROM t WHERE a < :as_of -- :as_of"
    expected = "SELECT ':as_of', \":as_of\", x::date /* :as_of */ FROM t WHERE a < {} -- :as_of"
    assert bound(query, D1, SQLITE) == expected.format("'2024-01-02 00:00:00'")
    assert bound(query, D1, POSTGRESQL) == expected.format("TIMESTAMP '2024-01-02 00:00:00'")


# ------------------------------------------------------------------ PostgreSQL


@dataclass(frozen=True)
class Server:
    url: str
    port: int

    def run(self, sql: str) -> None:
        command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        subprocess.run(command, input=sql, text=True, check=True, capture_output=True)


def _tool(name: str) -> str | None:
    installed = sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return shutil.which(name) or (installed[-1] if installed else None)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    initdb, pg_ctl = _tool("initdb"), _tool("pg_ctl")
    if initdb is None or pg_ctl is None or shutil.which("psql") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("postgres")
    as_owner: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        for parent in folder.parents:
            if parent.name.startswith(("pytest-", "popen-")):  # pytest's own, which are root's alone
                parent.chmod(0o755)
        as_owner = ["runuser", "-u", "postgres", "--"]
    port = free_port()
    subprocess.run(
        [*as_owner, initdb, "-A", "trust", "-U", "postgres", "-D", folder / "data"], check=True, capture_output=True
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    start = [*as_owner, pg_ctl, "-D", folder / "data", "-o", options, "-l", folder / "log", "-w"]
    subprocess.run([*start, "start"], check=True, capture_output=True)
    yield Server(f"jdbc:postgresql://127.0.0.1:{port}/postgres", port)
    subprocess.run(
        [*as_owner, pg_ctl, "-D", folder / "data", "-m", "immediate", "stop"], check=True, capture_output=True
    )


def test_postgresql_values_keep_their_meaning(spark: SparkSession, postgres: Server) -> None:
    postgres.run("""
        CREATE TABLE v
          (id int, amount numeric, at timestamp, zoned timestamptz, f float8, ok boolean, day date, j jsonb);
        INSERT INTO v VALUES
          (1, 1.10, '2024-01-01 10:00:00.000001', '2024-01-01 10:00:00+02', 0.1, true, '0001-01-01', '{"a": [1]}'),
          (2, 'NaN', NULL, NULL, 'Infinity', NULL, NULL, NULL),
          (3, 5, 'infinity', NULL, 'NaN', false, NULL, NULL),
          (4, 99999999999, NULL, NULL, NULL, NULL, 'infinity', NULL);
    """)
    table = contract(
        postgres.url,
        *("id BIGINT", "amount DECIMAL(10,2)", "at TIMESTAMP", "zoned TIMESTAMP", "f DOUBLE", "ok BOOLEAN"),
        *("day DATE", "j STRING"),
        table="v",
    )
    first, *malformed = rows(spark, table, Connection(postgres.url, "postgres"))
    at = datetime(2024, 1, 1, 10, 0, 0, 1)
    assert first == (1, Decimal("1.10"), at, datetime(2024, 1, 1, 8), 0.1, True, date(1, 1, 1), '{"a": [1]}', None)
    assert [row[:-1] for row in malformed] == [(None,) * 8] * 3
    told = [row[-1] for row in malformed]
    assert '"amount":"NaN"' in told[0]
    assert '"at":"infinity"' in told[1]
    assert '"day":"infinity"' in told[2]


def test_postgresql_increments_and_partitions(spark: SparkSession, postgres: Server) -> None:
    postgres.run("""
        CREATE TABLE e AS SELECT n AS id, TIMESTAMP '2024-01-01' + n * INTERVAL '1 hour' AS at
        FROM generate_series(0, 47) AS n;
    """)
    query = "SELECT id, at::text AS at FROM e WHERE at >= :data_start AND at < :data_end"
    table = contract(
        postgres.url, "id INT", "at STRING", query=query, delivers="daily", partition_column="id", partitions=2
    )
    frame = jdbc.read(spark, table, [D1, D2], Connection(postgres.url, "postgres"), STAMP)
    counts = frame.groupBy("run_date", "source_file").count().collect()
    assert sorted((row["run_date"], row["count"]) for row in counts) == [(D1, 12), (D1, 12), (D2, 12), (D2, 12)]


def test_postgresql_types_must_be_those_of_the_contract(spark: SparkSession, postgres: Server) -> None:
    postgres.run("CREATE TABLE w (a text, b bigint, c int)")
    table = contract(postgres.url, "a BIGINT", "b INT", "c BIGINT", table="w")
    with pytest.raises(ContractBroken, match=r"a is STRING, expected BIGINT; b is BIGINT, expected INT$"):
        rows(spark, table, Connection(postgres.url, "postgres"))


def test_postgresql_refuses_writes_through_the_reader(spark: SparkSession, postgres: Server) -> None:
    postgres.run("""
        CREATE TABLE log (n int);
        CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS 'INSERT INTO log VALUES (1) RETURNING n';
    """)
    table = contract(postgres.url, "n INT", query="SELECT sneak() AS n")
    with pytest.raises(Exception, match="read-only transaction"):
        rows(spark, table, Connection(postgres.url, "postgres"))


def test_secrets_are_never_shown(spark: SparkSession, postgres: Server) -> None:
    connection = Connection(postgres.url.replace(str(postgres.port), "1"), "postgres", "hush")
    assert "hush" not in repr(connection)
    with pytest.raises(ScorelakeError) as failure:
        rows(spark, contract(postgres.url, "n INT", table="t"), connection)
    assert "hush" not in str(failure.value)
