"""Random small worlds: a few entities, rows and questions each, crowded on the instants where rules change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame, SparkSession

ROWS = (
    "world int, k string, place bigint, rid bigint, e timestamp, a timestamp, dead boolean, tie int, "
    "x double, n bigint, d decimal(10,2), wide decimal(30,3), s string, arr array<int>, st struct<p:int,q:string>, "
    "day date, flag boolean"
)
SPINE = "world int, q int, k string, place int, event_timestamp timestamp"

MICRO = timedelta(microseconds=1)
SHORT, DAY, THREE_DAYS, TTL = timedelta(seconds=7), timedelta(days=1), timedelta(days=3), timedelta(days=2)
STARTS = (
    datetime(2024, 3, 31, 0, 59, 59, 999999),  # clocks go forward in Europe
    datetime(2024, 11, 3, 5, 30),  # and back in America
    datetime(2024, 2, 29),
    datetime(1969, 12, 31, 23, 59, 59),
)
_STEPS = (timedelta(0), SHORT, DAY, TTL, THREE_DAYS, timedelta(hours=1))
_NUDGES = (timedelta(0), timedelta(0), MICRO, -MICRO)
_FLOATS = (0.0, -0.0, 1.5, -2.25, 0.1, 1e300, -1e300, 1e-300, float("nan"), 1e9, 1e9 + 1e-6, 3.0)


@dataclass(frozen=True)
class Worlds:
    """All rows and all questions, each with the number of its world first."""

    rows: list[dict[str, Any]]
    spine: list[dict[str, Any]]

    def of(self, world: int) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["world"] == world]


def build(seed: int, count: int) -> Worlds:
    """The same worlds for the same seed."""
    random = Random(seed)
    rows: list[dict[str, Any]] = []
    spine: list[dict[str, Any]] = []
    for world in range(count):
        start = random.choice(STARTS)
        some = [_row(random, world, start) for _ in range(random.choice((0, 1, 3, 6, 12)))]
        some += [_correction(random, row) for row in some if random.random() < 0.4]
        some += [dict(row) for row in some if random.random() < 0.05]  # delivered twice
        asked = [_question(random, world, start, number) for number in range(random.choice((0, 1, 3, 5)))]
        asked += [dict(question) for question in asked if random.random() < 0.2]
        rows += some
        spine += asked
    return Worlds(rows, spine)


def with_another_future(some: Worlds, seed: int, until: datetime) -> Worlds:
    """The same worlds with other rows in place of those that are not known at `until`, and other rows besides."""
    random = Random(seed)
    rows = [row for row in some.rows if row["a"] is not None and row["a"] <= until]
    later = [
        _row(random, row["world"], until) | {name: row[name] for name in ("k", "place", "rid")} for row in some.rows
    ]
    return Worlds(rows + [row | {"a": until + random.choice(_STEPS) + MICRO} for row in later], some.spine)


def frames(spark: SparkSession, some: Worlds) -> tuple[DataFrame, DataFrame]:
    """Rows and questions as frames."""

    def frame(rows: Sequence[Mapping[str, Any]], ddl: str) -> DataFrame:
        schema = StructType.fromDDL(ddl)
        return spark.createDataFrame([tuple(row[name] for name in schema.names) for row in rows], schema)

    return frame(some.rows, ROWS), frame(some.spine, SPINE)


def _instant(random: Random, start: datetime) -> datetime:
    return start + random.choice(_STEPS) * random.choice((-1, 1, 1)) + random.choice(_NUDGES)


def _maybe(random: Random, value: Any, share: float = 0.1) -> Any:
    return None if random.random() < share else value


def _row(random: Random, world: int, start: datetime) -> dict[str, Any]:
    happened = _instant(random, start)
    delay = random.choice((timedelta(0), timedelta(0), MICRO, timedelta(minutes=5), DAY, 4 * DAY, -DAY))
    calm = world % 3 == 0
    return {
        "world": world,
        "k": _maybe(random, random.choice(("a", "b|c", "b")), 0.05),
        "place": _maybe(random, random.choice((1, 2)), 0.05),
        "rid": _maybe(random, random.randrange(4)),
        "e": _maybe(random, happened, 0.05),
        "a": _maybe(random, happened + delay, 0.05),
        "dead": _maybe(random, random.random() < 0.1),
        "tie": _maybe(random, random.randrange(3), 0.3),
        "x": _maybe(random, random.gauss(50, 20) if calm else random.choice(_FLOATS)),
        "n": _maybe(random, random.choice((0, 1, -7, 2**40, random.randrange(100)))),
        "d": _maybe(random, Decimal(random.randrange(-500, 500)).scaleb(-2)),
        "wide": _maybe(random, Decimal(random.choice((1, -3, 10**26))).scaleb(-3)),
        "s": _maybe(random, random.choice(("", "a", "é", "\U0001f600", "zz"))),
        "arr": _maybe(random, random.choice(([], [1], [1, None], [2]))),
        "st": _maybe(random, {"p": random.choice((None, 1, 2)), "q": random.choice(("u", None))}),
        "day": _maybe(random, (start + random.choice((-1, 0, 1)) * DAY).date()),
        "flag": _maybe(random, random.random() < 0.5),
    }


def _correction(random: Random, row: dict[str, Any]) -> dict[str, Any]:
    """A later version of a row: often the same place and time, sometimes moved, sometimes at the same stamp."""
    other = _row(random, row["world"], row["e"] or STARTS[0])
    kept = {name: row[name] for name in ("rid", "k", "place", "e", "a") if name == "rid" or random.random() < 0.7}
    later = random.choice((timedelta(0), MICRO, DAY))
    return other | kept | {"a": row["a"] and row["a"] + later}


def _question(random: Random, world: int, start: datetime, number: int) -> dict[str, Any]:
    return {
        "world": world,
        "q": number,
        "k": _maybe(random, random.choice(("a", "b|c", "b", "nobody")), 0.05),
        "place": _maybe(random, random.choice((1, 2, 3)), 0.05),
        "event_timestamp": _maybe(random, _instant(random, start) + random.choice(_STEPS), 0.05),
    }
