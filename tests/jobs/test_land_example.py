from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from jobs import land_example
from scorelake.dates import RunDates
from scorelake.errors import UsageError

NEW_YEAR = RunDates(date(2017, 1, 1), date(2017, 1, 2))
CHRISTMAS = RunDates.single(date(2017, 12, 25))


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("landing")
    land_example.land(root, NEW_YEAR)
    land_example.land(root, CHRISTMAS)
    return root


def _lines(landing: Path, day: str) -> list[dict[str, str]]:
    with (landing / "transactions" / day / "basket_lines.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _redemptions(landing: Path, day: str) -> list[dict[str, object]]:
    text = (landing / "coupon_redemptions" / f"{day}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def test_a_drop_holds_the_basket_lines_of_its_utc_day(landing: Path) -> None:
    days = {line["transaction_timestamp"][:10] for line in _lines(landing, "2017-01-02")}
    assert days == {"2017-01-02"}
    assert len(_lines(landing, "2017-01-01")) + len(_lines(landing, "2017-01-02")) > 3000


def test_amounts_are_cents(landing: Path) -> None:
    first = _lines(landing, "2017-01-01")[0]
    assert (first["sales_value"], first["retail_disc"]) == ("0.50", "0.00")
    assert {len(line["sales_value"].partition(".")[2]) for line in _lines(landing, "2017-01-02")} == {2}


def test_a_day_without_baskets_is_a_header(landing: Path) -> None:
    text = (landing / "transactions" / "2017-12-25" / "basket_lines.csv").read_text(encoding="utf-8")
    assert text.count("\n") == 1
    assert "basket_id" in text


def test_a_redemption_lands_in_the_drop_after_its_shop_day(landing: Path) -> None:
    assert {row["redemption_date"] for row in _redemptions(landing, "2017-01-02")} == {"2017-01-01"}


def test_a_day_without_redemptions_is_one_empty_line_and_not_zero_bytes(landing: Path) -> None:
    assert (landing / "coupon_redemptions" / "2017-01-01.jsonl").read_bytes() == b"\n"


def test_the_database_keeps_nulls_days_and_repeated_coupons(landing: Path) -> None:
    with closing(sqlite3.connect(landing / "store.db")) as database:

        def one(query: str) -> object:
            return database.execute(query).fetchone()

        assert one("SELECT count(*) FROM products WHERE product_category IS NULL") == (540,)
        assert one("SELECT start_date, end_date FROM campaigns WHERE campaign_id = 1") == ("2017-03-03", "2017-04-09")
        assert one("SELECT count(*) FROM campaign_households") == (6589,)
        assert one("SELECT count(*) FROM (SELECT DISTINCT * FROM coupons)") == (111332,)
        assert one("SELECT count(*), typeof(min(coupon_upc)) FROM coupons") == (116204, "integer")


def test_landing_again_writes_the_same_bytes_and_leaves_nothing_unfinished(landing: Path) -> None:
    def digests() -> dict[str, str]:
        files = [path for path in landing.rglob("*") if path.is_file()]
        return {str(path.relative_to(landing)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = digests()
    landed = land_example.land(landing, NEW_YEAR)
    assert digests() == before
    assert not [name for name in before if "unfinished" in name]
    assert landed.basket_lines == len(_lines(landing, "2017-01-01")) + len(_lines(landing, "2017-01-02"))
    assert f"{landed.basket_lines:,} basket lines" in str(landed)


def test_a_write_that_fails_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "drop.csv"
    path.write_text("former")

    def broken() -> None:
        with land_example._whole(path) as unfinished:
            unfinished.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        broken()
    assert path.read_text() == "former"


def test_a_landing_root_that_is_no_folder_is_refused() -> None:
    call = ["--env", "local", "--set", "landing.root=gs://bucket/landing", "--from", "2017-01-01", "--to", "2017-01-02"]
    with pytest.raises(UsageError, match=r"gs://bucket/landing.*local folder"):
        land_example.answer(call)
