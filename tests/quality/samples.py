"""A small table with two slices and every kind of value that a predicate can trip over."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal

from scorelake.tables import Expectation

FIRST, SECOND, EMPTY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
DAYS = (FIRST, SECOND, EMPTY)
ODD = "odd.name ``x`` é".replace("``", "`")
COLUMNS = ("id", "code", "amount", "price", "other", "note", "payload", "at", ODD)
DDL = (
    "id BIGINT, code STRING, amount DOUBLE, price DECIMAL(10,2), other DECIMAL(10,2), note STRING, "
    "payload STRING, at TIMESTAMP, `odd.name ``x`` é` STRING, run_date DATE, source_file STRING, source_row BIGINT"
)


def rows_of(day: date) -> list[tuple[object, ...]]:
    at = datetime(day.year, day.month, day.day, 12)
    shift = Decimal(day.day)
    contents: list[tuple[object, ...]] = [
        (1, "a1", 1.0, Decimal("1.50"), Decimal("1.50"), "2024-01-01", '{"k": 1}', at, "x"),
        (2, "b2", 2.0, Decimal("2.50") + shift, Decimal("2.00"), "2024-02-30", '{"k": "x"}', at, "y"),
        (2, "b2", 3.0, Decimal("0.00"), Decimal("3.00"), "", "[]", None, "x"),
        (None, "c", math.nan, None, Decimal("1.00"), None, None, at, None),
        (None, None, None, None, None, "no date", "{}", at, "y y"),
        (5, "a1", -50.0 * day.day, Decimal("9.00"), None, "2024-12-31", '{"k": 2}', None, ""),
        (6, "é🙂", math.inf, Decimal("9.00"), Decimal("8.00"), "x" * 40, '{"k": 3}', at, "x"),
        (7, "b2", 2.5, Decimal("-1.00"), Decimal("-1.00"), "2024-01-05", '{"j": 3}', at, "z.z"),
    ]
    return [(*values, day, f"{day}.csv", place) for place, values in enumerate(contents, start=1)]


def expect(kind: str, action: str = "warn", meta: dict[str, object] | None = None, **kwargs: object) -> Expectation:
    """An expectation, in the words of a contract."""
    return Expectation.model_validate(
        {"type": f"expect_{kind}", "kwargs": kwargs, "action": action, "meta": meta or {}}
    )
