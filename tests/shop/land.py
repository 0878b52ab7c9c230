"""A year of a small shop, made up: two files a day and a database, with everything that makes data hard.

    sales/<date>/sales.csv      weekdays (a Monday brings the weekend), Latin-1, semicolons, local time of Berlin
    events/<date>/events.json   daily, one JSON array: visits of the web shop, with corrections and deletions
    customers.db                SQLite: every customer with the instant of registration

Customers are known by country and code together; codes repeat between countries and hold quotes, `|`, `;`, `\\` and
letters beyond ASCII, so that keys glued together as text would collide. The same call writes the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from scorelake.dates import ONE_DAY, RunDates, is_due

YEAR = RunDates(date(2024, 1, 1), date(2024, 12, 21))
HOLIDAYS = frozenset({date(2024, 5, 1), date(2024, 10, 3)})
"""Weekdays on which the shop is closed: their sales files are headers."""
NEW_COLUMN_FROM = date(2024, 6, 3)
"""From here on sales files have a column more, which no contract knows."""

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
HEADER = ("Land", "Kunde Nr", "Sale Id", "Version", "Verkauft", "Größe", "Betrag", "Menge", "run_id")
BAD_SALES = {
    date(2024, 2, 6): "DE;K001;900001;1;2024-02-06 10:00:00;M;12,50 EUR;1;t1",  # no decimal number
    date(2024, 3, 12): "FR;K002;900002;1;yesterday;M;12.50;1;t1",
    date(2024, 4, 1): "DE;K003;900003;1;2024-03-31 02:30:00;M;9.00;1;t1",  # an hour that Berlin skipped
    date(2024, 5, 14): "DE;K004;900004;1;2024-05-14 10:00:00",  # fields missing
    date(2024, 6, 18): 'FR;K005;900005;1;2024-06-18 10:00:00;"M;9.00;1;t1',  # quote never closed
    date(2024, 7, 9): "FR;K006;900006;1;2024-07-09 10:00:00;M;-250000.00;1;t1",
    date(2024, 8, 13): "DE;K007;;1;2024-08-13 10:00:00;M;5.00;1;t1",  # without its key
    date(2024, 9, 10): "DE;K008;900008;1;2024-09-10 10:00:00;M;5.00;40000;t1",  # more than a SMALLINT
}
_HARD_CODES = {
    "DE": ("C0|01", 'O\'Neil "Mac"', "semi;colon", "back\\slash"),
    "DE|C0": ("01",),  # with K: 'DE|C0|01' twice
    "FR": ("C0|01", "Zoë Ünïçøde", "space "),
    "Côte d'Ivoire": ("C0|01", "'' OR 1=1 --"),
}


@dataclass(frozen=True)
class Customer:
    """`weekly` is the mean number of purchases a week until `stops`."""

    country: str
    code: str
    registered_at: datetime
    weekly: float
    basket: float
    stops: date
    segment: str | None


@dataclass(frozen=True)
class Sale:
    country: str
    code: str
    sale_id: int
    version: int
    sold_at: datetime
    size: str
    amount: str
    quantity: int


def land(landing_root: Path, dates: RunDates = YEAR) -> None:
    """Write the drops of `dates` (within the year) and the database below `landing_root`."""
    customers = _customers()
    _land_database(landing_root / "customers.db", customers)
    sales, events = _sales_by_drop(customers), _events_by_drop(customers)
    for day in dates:
        if is_due(day, starts=YEAR.first, delivers="weekdays"):
            _write(landing_root / "sales" / str(day) / "sales.csv", _sales_file(day, sales[day]).encode("latin-1"))
        text = json.dumps(events[day], ensure_ascii=False, indent=1)
        _write(landing_root / "events" / str(day) / "events.json", text.encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# ------------------------------------------------------------------ customers


def _customers() -> list[Customer]:
    chance = random.Random("customers")
    plain = [(country, f"K{n:03}") for country in ("DE", "FR", "Côte d'Ivoire") for n in range(1, 38)]
    hard = [(country, code) for country, codes in _HARD_CODES.items() for code in codes]
    return [_customer(chance, country, code) for country, code in plain + hard]


def _customer(chance: random.Random, country: str, code: str) -> Customer:
    leaves = chance.random() < 0.55
    stops = YEAR.first + timedelta(days=chance.randint(100, 330)) if leaves else YEAR.last
    segment = chance.choice(["private", "private", "business", None])
    return Customer(
        country=country,
        code=code,
        registered_at=datetime(2023, 11, 1, 8) + timedelta(seconds=chance.randint(0, 100 * 86400)),
        weekly=min(4.0, chance.lognormvariate(-0.1, 0.7)),
        basket=chance.lognormvariate(3, 0.5) * (2 if segment == "business" else 1),
        stops=stops,
        segment=segment,
    )


def _land_database(path: Path, customers: list[Customer]) -> None:
    """Two rows that silver has to turn away: one stands twice, of another an older state was left in the table."""
    rows = [
        (
            customer.country,
            customer.code,
            str(customer.registered_at),
            customer.segment,
            1950 + number % 60 if number % 7 else None,
            f"{number}@example.org",
            number % 2,
        )
        for number, customer in enumerate(customers)
    ]
    older = (*rows[1][:2], "2023-10-01 00:00:00", "business", *rows[1][4:])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            'CREATE TABLE customers (country TEXT, "customer code" TEXT, "registered at" TEXT, segment TEXT,'
            ' "birth year" INTEGER, email TEXT, newsletter INTEGER)'
        )
        database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)", [*rows, rows[0], older])
        database.commit()


# ------------------------------------------------------------------ sales


def _sales_by_drop(customers: list[Customer]) -> dict[date, list[Sale]]:
    """Every sale in the drop of its day in Berlin, or of the next weekday; corrections 3 to 20 days later."""
    chance = random.Random("sales")
    drops: dict[date, list[Sale]] = defaultdict(list)
    for number, sale in enumerate(_sales(chance, customers)):
        due = _next_weekday(sale.sold_at.date())
        drops[due].append(sale)
        if number % 97 == 0:
            drops[due].append(sale)  # the till sent it twice
        if number % 131 == 0:
            drops[due].append(replace(sale, version=2, amount="1.00"))  # corrected within the drop
        if number % 50 == 0:
            drops[_next_weekday(due + timedelta(days=chance.randint(3, 20)))].append(_corrected(chance, sale))
    return drops


def _sales(chance: random.Random, customers: list[Customer]) -> Iterator[Sale]:
    """In order of time. Each 40th has a twin of the same instant, each 45th is of nobody the shop knows."""
    instants = sorted(
        (instant, number) for number, customer in enumerate(customers) for instant in _purchases(chance, customer)
    )
    counts: dict[str, int] = defaultdict(int)
    for number, (sold_at, at) in enumerate(instants):
        for _ in range(2 if number % 40 == 0 else 1):
            customer = customers[at]
            counts[customer.country] += 1
            yield Sale(
                country=customer.country,
                code="" if number % 45 == 7 else customer.code,
                sale_id=counts[customer.country],
                version=1,
                sold_at=sold_at,
                size=chance.choice(["S", "M", "L", "größer", ""]),
                amount=f"{chance.lognormvariate(0, 0.4) * customer.basket:.2f}",
                quantity=chance.randint(1, 9),
            )


def _purchases(chance: random.Random, customer: Customer) -> Iterator[datetime]:
    """Instants in Berlin's time without a zone, whole seconds, within opening hours."""
    day = max(customer.registered_at.date() + ONE_DAY, YEAR.first)
    while day <= min(customer.stops, YEAR.last):
        fades = 0.4 if (customer.stops - day).days < 30 and customer.stops != YEAR.last else 1.0
        if day not in HOLIDAYS and chance.random() < customer.weekly / 7 * fades:
            yield datetime(day.year, day.month, day.day, 8) + timedelta(seconds=chance.randint(0, 12 * 3600))
        day += ONE_DAY


def _corrected(chance: random.Random, sale: Sale) -> Sale:
    """Another amount; one in three turns out to be another customer's."""
    code = f"K{chance.randint(1, 37):03}" if chance.random() < 1 / 3 and sale.country in ("DE", "FR") else sale.code
    return replace(sale, version=3, code=code, amount=f"{float(sale.amount) * 1.5:.2f}")


def _next_weekday(day: date) -> date:
    while not is_due(day, starts=YEAR.first, delivers="weekdays") or day in HOLIDAYS:
        day += ONE_DAY
    return day


def _sales_file(day: date, sales: Iterable[Sale]) -> str:
    has_new_column = day >= NEW_COLUMN_FROM
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow((*HEADER, "Kanal") if has_new_column else HEADER)
    for sale in sales:
        fields = (sale.country, sale.code, sale.sale_id, sale.version, sale.sold_at, sale.size, sale.amount)
        writer.writerow((*fields, sale.quantity, "t1", *(["till"] if has_new_column else [])))
    if day in BAD_SALES:
        text.write(BAD_SALES[day] + (";till" if has_new_column else "") + "\r\n")
    return text.getvalue()


# ------------------------------------------------------------------ events


def _events_by_drop(customers: list[Customer]) -> dict[date, list[dict[str, object]]]:
    """Visits by their UTC day; some recorded a day later than delivered, some corrected or deleted afterwards."""
    chance = random.Random("events")
    drops: dict[date, list[dict[str, object]]] = defaultdict(list)
    for number, (happened_at, customer) in enumerate(_visits(chance, customers)):
        day = happened_at.date()
        embargo = timedelta(days=1) if number % 30 == 0 else timedelta(minutes=5)
        event: dict[str, object] = {
            "event id": f"e-{number}",
            "who": {"country": customer.country, "code": customer.code},
            "happened_at": happened_at.isoformat(timespec="microseconds") + "Z",
            "recorded_at": (happened_at + embargo).isoformat(timespec="microseconds") + "Z",
            "pages": chance.randint(1, 30),
            "deleted": False,
        }
        if day >= date(2024, 2, 1):
            event["Gerät"] = chance.choice(["mobil", "Schreibtisch"])
        drops[day].append(event)
        later = day + timedelta(days=chance.randint(1, 10))
        if number % 60 == 11:
            drops[later].append({**event, "pages": 99, "recorded_at": _instant_of(later)})
        elif number % 60 == 31:
            drops[later].append({**event, "deleted": True, "recorded_at": _instant_of(later)})
        elif number % 400 == 5:
            drops[day].append({**event, "event id": f"e-{number}-bad", "pages": "many"})
        elif number % 400 == 6:
            drops[day].append({**event, "event id": f"e-{number}-bad", "recorded_at": None})
    return drops


def _visits(chance: random.Random, customers: list[Customer]) -> list[tuple[datetime, Customer]]:
    """Half as many as purchases, mostly a little before them; each within the year."""
    visits = [
        (_utc(instant) - timedelta(seconds=chance.randint(0, 200_000), microseconds=chance.randint(0, 999_999)), at)
        for at, customer in enumerate(customers)
        for instant in _purchases(chance, customer)
        if chance.random() < 0.5
    ]
    return [(instant, customers[at]) for instant, at in sorted(visits) if instant.date() in YEAR]


def _utc(local: datetime) -> datetime:
    return local.replace(tzinfo=BERLIN).astimezone(UTC).replace(tzinfo=None)


def _instant_of(day: date) -> str:
    return f"{day}T06:00:00.000000Z"
