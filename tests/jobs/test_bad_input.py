"""Every kind of bad input through ingest and the gate: what it costs, by which rule, and that no row is lost.

Each case is the drop of one run date, so that all of them cost one ingest and one build.
"""

from __future__ import annotations

import gzip
import io
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import build_silver, ingest_bronze
from scorelake import runs
from scorelake.dates import RunDates, as_of
from scorelake.runs import Outcome
from scorelake.settings import load_settings
from scorelake.stores.lake import Lake
from scorelake.transform.visible import History, visible_at

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.tables import Silver

FIRST = date(2024, 3, 1)
HEADER = b"id,at,amount,d,n,day,nested\n"
SOUND = b"1,2024-03-01 10:00:00,1.50,0.5,7,2024-03-01,\n"
CONTRACTS = {
    "bronze/rows.yaml": """
description: Rows as they arrive.
source: {kind: csv, path: "rows/{run_date}/*", delivery: events, starts: 2024-03-01, delivers: daily}
columns: [id STRING, at STRING, amount STRING, d STRING, n STRING, day STRING, nested STRING]
""",
    "silver/rows.yaml": """
description: Rows, typed.
columns:
  - id BIGINT
  - at TIMESTAMP
  - amount DECIMAL(10,2)
  - d DOUBLE
  - n INT
  - day DATE
  - "nested STRUCT<a: INT, b: ARRAY<INT>>"
  - is_past BOOLEAN
keys: [id]
event_time: at
expectations:
  - type: expect_column_values_to_be_in_set
    kwargs: {column: is_past, value_set: [true]}
    action: quarantine
    meta: {name: in the past}
  - type: expect_column_values_to_be_between
    kwargs: {column: d, max_value: 1000}
    action: quarantine
    meta: {name: d in range}
""",
    "silver/rows.sql": "SELECT id, at, amount, d, n, day, nested, at <= :as_of AS is_past FROM bronze.rows",
    "bronze/local.yaml": """
description: Rows of a source that writes local times.
source:
  {kind: jsonl, path: "local/{run_date}.jsonl", delivery: events, starts: 2024-03-01, delivers: once,
   time_zone: America/New_York}
columns: [id STRING, at STRING]
""",
    "silver/local.yaml": "{description: Local times, columns: [id INT, at TIMESTAMP], keys: [id], event_time: at}",
    "silver/local.sql": "SELECT id, at FROM bronze.local",
    "bronze/typed.yaml": """
description: Typed rows.
source: {kind: parquet, path: "typed/{run_date}/*", delivery: events, starts: 2024-03-01, delivers: daily}
columns: [id BIGINT]
""",
}


@dataclass(frozen=True)
class Case:
    """Files of a drop, and of its rows how many are accepted and how many fail which rules together."""

    files: Mapping[str, bytes]
    accepted: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    refused: str = ""
    failed: str = ""


def csv(*rows: bytes, **more: object) -> Case:
    return Case({"a.csv": HEADER + b"".join(rows)}, **more)  # type: ignore[arg-type]


def row(**values: str) -> bytes:
    """A sound row with some values replaced."""
    names = HEADER.decode().strip().split(",")
    sound = dict(zip(names, SOUND.decode().strip().split(","), strict=True))
    return (",".join({**sound, **values}[name] for name in names) + "\n").encode()


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


MANY = b"".join(row(id=str(n), d=f"0.{n * 7919 % 99991}") for n in range(500))
NO_ROW = "at least one accepted row"
CASES = {
    "nothing bad": csv(SOUND, accepted=1),
    "empty file": csv(refused=NO_ROW),
    "zero bytes": Case({"a.csv": b""}, failed="holds no byte"),
    "truncated gzip": Case({"a.csv.gz": gzip.compress(HEADER + MANY)[:-20]}, failed="damaged gzip"),
    "flipped bit": Case({"a.csv.gz": flipped(gzip.compress(HEADER + MANY))}, failed="damaged gzip"),
    "byte order mark": Case({"a.csv": b"\xef\xbb\xbf" + HEADER + SOUND}, accepted=1),
    "invalid UTF-8": csv(SOUND, b"\xff\xfe,x\n", accepted=1, reasons={"malformed": 1}),
    "NUL bytes": csv(SOUND, b"2,\0,1,1,1,,\n", accepted=1, reasons={"malformed": 1}),
    "a 10 MB line": csv(SOUND, row(id="2", nested='"' + "x" * (10 << 20) + '"'), accepted=1, reasons={"nested": 1}),
    "unclosed quote": csv(b'"2,x\n', SOUND, accepted=1, reasons={"malformed": 1}),
    "embedded newline": csv(row(id="2", nested='"{""a"":\n1}"'), SOUND, accepted=2),
    "extra field": csv(SOUND, SOUND.strip() + b",x\n", accepted=1, reasons={"malformed": 1}),
    "missing fields": csv(SOUND, b"2,2024-03-01\n", b"3\n", accepted=1, reasons={"malformed": 2}),
    "swapped header": Case({"a.csv": b"at,id,amount,d,n,day,nested\n2024-03-01,1,,,,,\n"}, accepted=1),
    "renamed column": Case({"a.csv": HEADER.replace(b"day", b"date") + SOUND}, failed="missing: day; unknown: date"),
    "NaN and infinity": csv(
        row(d="-Infinity"),
        *(row(id=str(n), d=d) for n, d in enumerate(("NaN", "Infinity", "inf"), 2)),
        row(id="9", amount="NaN"),
        accepted=1,
        reasons={"d in range": 3, "amount": 1},
    ),
    "1e400": csv(SOUND, row(id="2", d="1e400"), row(id="3", amount="1e400"), accepted=1, reasons={"d": 1, "amount": 1}),
    "integer overflow": csv(
        SOUND,
        row(id="9223372036854775808"),
        row(id="3", n="2147483648"),
        accepted=1,
        reasons={"id": 1, "n": 1},
    ),
    "years 0001 and 9999": csv(
        row(id="2", at="0001-01-01 00:00:00", day="0001-01-01"),
        row(id="3", day="9999-12-31"),
        row(id="4", at="9999-12-31 23:59:59"),
        row(id="5", day="10000-01-01"),
        row(id="6", day="0000-12-31"),
        accepted=2,
        reasons={"in the past": 1, "day": 2},
    ),
    "nested nulls": csv(
        row(id="2", nested='"{""a"":null,""b"":[null]}"'),
        row(id="3", nested="null"),
        row(id="4", nested='"{""a"":""x""}"'),
        row(id="5", nested="{"),
        accepted=1,
        reasons={"nested": 3},
    ),
    "a day without rows": csv(refused=NO_ROW),
    "a day of only bad rows": csv(row(n="x"), row(id="2", n="x", day="x"), b"3\n", refused=NO_ROW),
    "the same file twice": Case(
        {"a.csv": HEADER + SOUND + row(id="2"), "b.csv": HEADER + SOUND + row(id="2")},
        accepted=2,
        reasons={"duplicate": 2},
    ),
    "same key, newer stamp": csv(
        SOUND, row(at="2024-03-01 11:00:00", amount="0"), accepted=1, reasons={"superseded_in_drop": 1}
    ),
    "an exact tie": csv(SOUND, row(amount="1.51"), SOUND, accepted=1, reasons={"superseded_in_drop": 2}),
    "a timestamp in the future": csv(SOUND, row(id="2", at="2031-01-01"), accepted=1, reasons={"in the past": 1}),
}
DAY_OF = {name: FIRST + timedelta(days=number) for number, name in enumerate(CASES)}
DAYS = RunDates(FIRST, FIRST + timedelta(days=len(CASES) - 1))
TYPES = {"id": "BIGINT", "amount": "DECIMAL(10,2)", "d": "DOUBLE", "n": "INT", "day": "DATE"}


@dataclass(frozen=True)
class World:
    home: Path
    lake: Lake
    ingested: Outcome
    built: Outcome


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("bad")
    for name, text in {"base.yaml": "", "local.yaml": f"local: {{home: {home}}}"}.items():
        (home / "conf").mkdir(exist_ok=True)
        (home / "conf" / name).write_text(text)
    for name, text in CONTRACTS.items():
        path = home / "conf" / "tables" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, case in CASES.items():
        folder = home / "landing" / "rows" / str(DAY_OF[name])
        folder.mkdir(parents=True)
        for file, content in case.files.items():
            (folder / file).write_bytes(content)
    local = home / "landing" / "local" / f"{FIRST}.jsonl"
    local.parent.mkdir()
    times = ("2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-07-10 12:00:00")
    local.write_text("".join(f'{{"id": {n}, "at": "{time}"}}\n' for n, time in enumerate(times)))
    _land_parquet(home / "landing" / "typed")
    for layer in ("bronze", "silver", "quarantine", "ops"):
        spark.sql(f"DROP SCHEMA IF EXISTS {layer} CASCADE")  # another test's lake may be attached
    settings = load_settings(home / "conf", "local")
    runs.begin()
    ingested = ingest_bronze.run(spark, settings, DAYS)
    return World(home, Lake(spark, settings.lake), ingested, build_silver.run(spark, settings, DAYS))


def _land_parquet(folder: Path) -> None:
    """Day 1 sound, 2 truncated, 3 a flipped bit, 4 retyped, 5 narrower; the others sound."""
    for number, day in enumerate(DAYS):
        kind = {3: pa.string(), 4: pa.int32()}.get(number, pa.int64())
        buffer = io.BytesIO()
        ids = pa.array([str(n) if number == 3 else n for n in range(1000)], kind)
        pq.write_table(pa.table({"id": ids}), buffer, write_page_checksum=True, use_dictionary=False)
        content = buffer.getvalue()
        content = {1: content[:-50], 2: flipped(content)}.get(number, content)
        (folder / str(day)).mkdir(parents=True)
        (folder / str(day) / "part.parquet").write_bytes(content)


def reason_of(rule: str) -> str:
    return f"{rule} parses as {TYPES[rule]}" if rule in TYPES else rule


@pytest.mark.parametrize("name", CASES)
def test_what_a_bad_drop_costs(world: World, name: str) -> None:
    case, day = CASES[name], DAY_OF[name]
    ingest = [text for text in world.ingested.failed if f"rows of {day}" in text]
    refusal = [text for text in world.built.refused if f"of {day} is refused" in text]
    accepted = world.lake.read_slices("silver.rows", [day]).count()
    rejected = world.lake.read_slices("quarantine.rows", [day]).select("reasons").collect()
    reasons = Counter(reason.partition(" parses as STRUCT")[0] for row in rejected for reason in row["reasons"])
    assert (accepted, dict(reasons)) == (
        case.accepted,
        {reason_of(rule): count for rule, count in case.reasons.items()},
    )
    assert bool(ingest) == bool(case.failed)
    assert bool(refusal) == bool(case.refused)
    assert case.failed in "".join(ingest)
    assert case.refused in "".join(refusal)


def test_rows_of_the_files_are_rows_of_bronze_and_of_silver_and_quarantine(world: World) -> None:
    _, mark = world.lake.marks("bronze.rows", "ingest_bronze")[FIRST]
    recorded: Counter[date] = Counter()
    for file, (_, _, rows) in mark.notes["files"].items():
        recorded[date.fromisoformat(file.split("/")[1])] += rows
    assert {day: rows for day, rows in recorded.items() if rows} == counts(world, "bronze.rows")
    refused = {DAY_OF[name] for name, case in CASES.items() if case.refused}
    split = counts(world, "silver.rows") + counts(world, "quarantine.rows")
    assert split == Counter({day: rows for day, rows in recorded.items() if rows and day not in refused})


def counts(world: World, table: str) -> Counter[date]:
    return Counter({row[0]: row[1] for row in world.lake.read(table).groupBy("run_date").count().collect()})


def test_a_file_that_vanishes_between_listing_and_reading_is_missing_and_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorelake.ingest import drops

    place = world.home / "landing" / "rows" / str(FIRST) / "a.csv"
    content = place.read_bytes()
    listed = drops.find

    def listed_then_gone(*arguments: object) -> drops.Drops:
        found = listed(*arguments)  # type: ignore[arg-type]
        os.remove(place)
        return found

    monkeypatch.setattr(drops, "find", listed_then_gone)
    settings = load_settings(world.home / "conf", "local")
    try:
        outcome = ingest_bronze.run(world.lake.spark, settings, RunDates.single(FIRST), frozenset(["bronze.rows"]))
    finally:
        place.write_bytes(content)
    assert outcome.exit_code == 1
    assert f"rows/{FIRST}/a.csv: it was listed and is gone" in outcome.failed[0]


@pytest.mark.parametrize(
    ("number", "problem"),
    [(0, ""), (1, "cannot be read as Parquet"), (2, "cannot be read as Parquet"), (3, "id is string"), (4, "")],
)
def test_parquet_is_read_whole_or_not_at_all(world: World, number: int, problem: str) -> None:
    day = FIRST + timedelta(days=number)
    failed = [text for text in world.ingested.failed if f"typed of {day}" in text]
    assert bool(failed) == bool(problem)
    assert problem in "".join(failed)
    assert world.lake.read_slices("bronze.typed", [day]).count() == (0 if problem else 1000)


def test_local_times_that_the_clocks_skipped_are_quarantined(world: World) -> None:
    rejected = world.lake.read("quarantine.local").select("id", "reasons").collect()
    assert [(row["id"], list(row["reasons"])) for row in rejected] == [("0", ["at parses as TIMESTAMP"])]
    kept = world.lake.read("silver.local").orderBy("id").select("at").collect()
    assert [row["at"] for row in kept] == [datetime(2024, 11, 3, 5, 30), datetime(2024, 7, 10, 16)]


@pytest.mark.parametrize("late_days", [3, 29, 400])
def test_a_late_row_is_seen_from_the_drop_that_brought_it_on(world: World, late_days: int) -> None:
    from scorelake.definitions import load_definitions

    contract: Silver = load_definitions(world.home / "conf").silver["silver.rows"]
    day = DAY_OF["nothing bad"]
    row = world.lake.read_slices("silver.rows", [day])
    late = row.selectExpr(*(f"at - INTERVAL {late_days} DAY AS at" if name == "at" else name for name in row.columns))
    history = History(late, contract)
    assert visible_at(history, as_of(day)).count() == 1
    assert visible_at(history, as_of(day) - timedelta(microseconds=1)).count() == 0
