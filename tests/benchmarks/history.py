"""The tables of the point-in-time benchmarks: events of entities over a year, late, corrected, and labels to join.

available_at is one day after the event, for one row in ten up to ten days; one row in a hundred is corrected later by a
version with other values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import duckdb

DAY = 86_400_000_000
START = 1_700_000_000_000_000
DAYS = 365
VALUES = tuple(f"v{number}" for number in range(1, 9))


@dataclass(frozen=True)
class Tables:
    """Parquet files of events and of labels."""

    events: Path
    labels: Path
    entities: int
    rows: int
    label_rows: int


def write(folder: Path, name: str, *, rows: int, labels: int, entities: int, seed: int = 7) -> Tables:
    """Write both tables; the same arguments write the same rows."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = (folder / f"{name}_events.parquet", folder / f"{name}_labels.parquet")
    tables = Tables(*parts, entities=entities, rows=rows, label_rows=labels)
    pq.write_table(events(np.random.default_rng(seed), rows, entities), tables.events, row_group_size=131_072)
    draw_labels(tables, seed=seed + 1)
    return tables


def draw_labels(tables: Tables, *, seed: int) -> None:
    """Write labels anew: entities and instants at random."""
    random = np.random.default_rng(seed)
    count = tables.label_rows
    labels = {
        "label_id": np.arange(count),
        "entity": random.integers(0, tables.entities, count),
        "event_timestamp": pa.array(START + random.integers(90 * DAY, DAYS * DAY, count), pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(labels), tables.labels, row_group_size=131_072)


def events(
    random: np.random.Generator, rows: int, entities: int, *, since: int = START, length: int = DAYS * DAY
) -> pa.Table:
    """Events that happen in `length` microseconds from `since` on, and their corrections, as drops would bring them."""
    corrected = rows // 100
    happened = since + random.integers(0, length, rows)
    delay = np.where(random.random(rows) < 0.1, random.integers(DAY, 10 * DAY, rows), DAY)
    again = random.choice(rows, corrected, replace=False)
    row = np.r_[np.arange(rows), again]
    known = np.r_[happened + delay, (happened + delay)[again] + random.integers(DAY, 20 * DAY, corrected)]
    order = np.argsort(known, kind="stable")  # as drops arrive
    row, known = row[order], known[order]
    stamp = pa.timestamp("us", "UTC")
    values = {name: np.round(random.gamma(2.0, 20.0, len(row)), 2) for name in VALUES[:4]}
    values |= {name: random.integers(0, 1000, len(row)) for name in VALUES[4:6]}
    values |= {name: random.normal(0.0, 1.0, len(row)) for name in VALUES[6:]}
    return pa.table(
        {
            "entity": random.integers(0, entities, rows)[row],
            "row_id": row,
            "event_time": pa.array(happened[row], stamp),
            "available_at": pa.array(known, stamp),
            **values,
        }
    )


def connect() -> duckdb.DuckDBPyConnection:
    """DuckDB on as many threads as the Spark side has cores, on UTC."""
    import duckdb

    database = duckdb.connect()
    database.execute("SET threads = 2; SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return database
