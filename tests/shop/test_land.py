from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from scorelake.dates import RunDates
from tests.shop import land


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    land.land(root)
    return root


def _sales(landing: Path) -> list[tuple[str, list[str]]]:
    """Drop and fields of every line that splits."""
    found = []
    for path in sorted(landing.glob("sales/*/sales.csv")):
        with path.open(encoding="latin-1", newline="") as file:
            lines = list(csv.reader(file, delimiter=";"))[1:]
        found += [(path.parent.name, line) for line in lines if len(line) >= len(land.HEADER)]
    return found


def test_the_same_call_writes_the_same_bytes_and_a_part_of_the_year_its_part(landing: Path, tmp_path: Path) -> None:
    land.land(tmp_path, RunDates(date(2024, 6, 17), date(2024, 6, 19)))
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 7

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert {file: digest(tmp_path / file) for file in files} == {file: digest(landing / file) for file in files}


def test_sales_arrive_on_weekdays_and_a_monday_brings_the_weekend(landing: Path) -> None:
    drops = [date.fromisoformat(path.name) for path in landing.glob("sales/*")]
    assert {day.weekday() for day in drops} == {0, 1, 2, 3, 4}
    assert {line[4][:10] for drop, line in _sales(landing) if drop == "2024-06-17"} >= {"2024-06-15", "2024-06-16"}


def test_keys_that_collide_when_glued_together_are_different_customers(landing: Path) -> None:
    with closing(sqlite3.connect(landing / "customers.db")) as database:
        customers = database.execute('SELECT DISTINCT country, "customer code" FROM customers').fetchall()
    glued = [f"{country}|{code}" for country, code in customers]
    assert sorted(glued).count("DE|C0|01") == 2
    assert len(customers) == 121


def test_sales_are_corrected_in_later_drops_also_to_another_customer(landing: Path) -> None:
    versions = defaultdict(dict)
    for drop, line in _sales(landing):
        versions[line[0], line[2]].setdefault(drop, line)
    corrected = [list(drops.values()) for drops in versions.values() if len(drops) > 1]
    assert len(corrected) > 50
    assert any(first[1] != last[1] for first, *_, last in corrected)
    assert all(first[6] != last[6] for first, *_, last in corrected)


def test_every_bad_sale_is_in_its_drop(landing: Path) -> None:
    for day, line in land.BAD_SALES.items():
        assert line in (landing / "sales" / str(day) / "sales.csv").read_text(encoding="latin-1")


def test_events_are_corrected_and_deleted_and_a_day_may_have_none(landing: Path) -> None:
    drops = {path.parent.name: json.loads(path.read_text("utf-8")) for path in landing.glob("events/*/events.json")}
    assert any(not events for events in drops.values())
    counts = defaultdict(int)
    for events in drops.values():
        for event in events:
            counts[event["event id"]] += 1
    assert sum(count > 1 for count in counts.values()) > 20
    assert sum(event["deleted"] for events in drops.values() for event in events) > 10
    assert any(
        event["recorded_at"] is not None and event["recorded_at"][:10] > drop
        for drop, events in drops.items()
        for event in events
    )


def test_no_event_and_no_sale_is_delivered_before_it_happened(landing: Path) -> None:
    assert all(line[4][:10] <= drop or line[4] == "yesterday" for drop, line in _sales(landing))
    for path in landing.glob("events/*/events.json"):
        assert all(event["happened_at"][:10] <= path.parent.name for event in json.loads(path.read_text("utf-8")))
