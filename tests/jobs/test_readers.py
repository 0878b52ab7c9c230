"""People read scores without Spark, with it, and while nights are being published."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml
from deltalake import DeltaTable

from jobs import score_batch
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.models import Model
from tests.shop.night import NIGHTS, Shop

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
# The query of the drift report has a test of its own.
QUERIES = [query for query in re.findall(r"```sql\n(SELECT .*?)```", README, re.DOTALL) if "monitoring." not in query]


def of_the_shop(query: str) -> str:
    return query.replace("lapse_xgboost", "churn").replace("household_id = 1", "customer_code = 'c1'")


def test_the_readme_shows_a_history_and_a_manifest() -> None:
    assert ["served AND household_id" in query for query in QUERIES] == [True, False]
    assert "FROM ops.score_runs" in QUERIES[1]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_of_the_readme_answer_alike_in_spark_and_duckdb(shop: Shop, query: str) -> None:
    entity = shop.lake.read("scores.churn").first()
    assert entity is not None
    assert shop.lake.exists("ops.score_runs")  # attached again, since other tests' lakes have a table of that name
    query = of_the_shop(query).replace("'c1'", f"'{entity['customer_code']}'")
    in_spark = [tuple(row)[:3] for row in shop.spark.sql(query).collect()]
    with duckdb.connect() as connection:
        for table in ("scores.churn", "ops.score_runs"):
            layer, name = table.split(".")
            connection.sql(f"CREATE SCHEMA IF NOT EXISTS {layer}")
            connection.register(f"_{name}", DeltaTable(shop.lake.location(table)).to_pyarrow_dataset())
            connection.sql(f"CREATE VIEW {table} AS SELECT * FROM _{name}")
        without_spark = [row[:3] for row in connection.sql(query).fetchall()]
    assert in_spark
    assert in_spark == without_spark


def test_pandas_reads_the_current_night(shop: Shop) -> None:
    scores = DeltaTable(shop.lake.location("scores.churn")).to_pandas()
    tonight = scores[scores["served"] & (scores["score_date"] == scores["score_date"].max())]
    assert not tonight.duplicated(["country", "customer_code"]).any()
    assert len(tonight) == shop.lake.read_slices("features.shop_v1", [NIGHTS.last]).count()


def test_the_readmes_words_for_a_model_load() -> None:
    [text] = re.findall(r"```yaml\n# conf/models/churn.yaml\n(.*?)```", README, re.DOTALL)
    plain = yaml.safe_load(text)
    further = [
        yaml.safe_load(t) for t in re.findall(r"```yaml\n# in conf/models/churn.yaml\n(.*?)```", README, re.DOTALL)
    ]
    judged, scored = (Model.model_validate({"name": "churn", **plain, **words}) for words in further)
    assert judged.promotion.rollback is not None
    assert judged.retrain is not None
    assert scored.scoring.canary is not None
    assert (scored.scoring.canary.percent, scored.scoring.reasons, scored.scoring.limits.null_rate) == (10, 3, 0.5)


@pytest.mark.slow
def test_a_polling_reader_sees_complete_nights_while_twenty_are_published(shop: Shop) -> None:
    """Every snapshot holds, for each night, exactly one run's rows, and of these all."""
    population = Counter(row["run_date"] for row in shop.lake.read("features.shop_v1").select("run_date").collect())
    published = threading.Event()
    seen: list[tuple[int, dict[object, set[str]]]] = []

    def poll() -> None:
        while not published.is_set():
            seen.extend(_snapshot(shop, population))

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for number in range(20):
            runs.begin()
            night = list(NIGHTS)[number % len(NIGHTS)]
            score_batch.run(shop.spark, shop.settings, RunDates.single(night), frozenset(["churn"]))
    finally:
        published.set()
        reader.join()
    assert len({version for version, _ in seen}) >= 5
    assert all(len(of_night) == 1 for _, nights in seen for of_night in nights.values())


def _snapshot(shop: Shop, population: Counter[object]) -> Iterator[tuple[int, dict[object, set[str]]]]:
    table = DeltaTable(shop.lake.location("scores.churn"))
    rows = table.to_pyarrow_table(columns=["score_date", "run_id", "served"]).to_pylist()
    assert Counter(row["score_date"] for row in rows if row["served"]) == population
    by_night: dict[object, set[str]] = {}
    for row in rows:
        by_night.setdefault(row["score_date"], set()).add(row["run_id"])
    yield table.version(), by_night
