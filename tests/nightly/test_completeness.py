"""No slice is built over a hole: which slices each one needs, by what delivers them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import completeness, graph
from scorelake.nightly.graph import Node
from scorelake.tables import Source

SHOP = Path(__file__).parents[1] / "shop" / "conf"
MONDAY = date(2024, 1, 8)
STARTS = date(2024, 1, 1)
VALUE = Node("build_gold", "gold.customer_value", "gold.customer_value", (), ("silver.sales",), "h")


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load_definitions(SHOP)


def days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


def test_weekend_without_a_drop_is_no_hole(definitions: Definitions) -> None:
    weekdays = set(graph.due_dates(definitions, "silver.sales", RunDates(STARTS, MONDAY)))
    assert date(2024, 1, 6) not in weekdays
    assert completeness.holes(definitions, VALUE, [MONDAY], {"silver.sales": weekdays}) == {}


def test_hole_stops_its_own_date_and_every_later_one(definitions: Definitions) -> None:
    written = set(days(STARTS, 8)) - {date(2024, 1, 3)}
    found = completeness.holes(definitions, VALUE, days(STARTS, 5), {"silver.sales": written})
    assert found == dict.fromkeys(days(date(2024, 1, 3), 3), "silver.sales has no slice 2024-01-03")


def test_many_holes_are_told_by_the_newest_three(definitions: Definitions) -> None:
    found = completeness.holes(definitions, VALUE, [date(2024, 1, 5)], {"silver.sales": set()})
    assert found[date(2024, 1, 5)] == "silver.sales has no slice 2024-01-03, 2024-01-04, 2024-01-05 and 2 more"


def test_of_a_snapshot_only_the_newest_is_needed(definitions: Definitions) -> None:
    source: Source = definitions.bronze["bronze.customers"].source.model_copy(update={"delivers": "daily"})
    daily = definitions.bronze["bronze.customers"].model_copy(update={"source": source})
    definitions = replace(definitions, tables={**definitions.tables, "bronze.customers": daily})
    node = replace(VALUE, history=("silver.customers",))
    found = completeness.holes(definitions, node, days(STARTS, 3), {"silver.customers": {date(2024, 1, 2)}})
    assert found == {
        date(2024, 1, 1): "silver.customers has no slice 2024-01-01",
        date(2024, 1, 3): "silver.customers has no slice 2024-01-03",
    }


def test_gold_is_needed_at_the_dates_at_which_it_is_read(definitions: Definitions) -> None:
    node = Node("build_features", "shop_v1", "features.shop_v1", (), ("gold.customer_value",), "h")
    written = {"gold.customer_value": {MONDAY}}
    assert set(completeness.holes(definitions, node, days(MONDAY, 2), written)) == {date(2024, 1, 9)}
    training = Node("build_training_set", "churn", "training.churn", (), ("gold.customer_value",), "h")
    # The first cut-off, 2024-07-21, is known at the end of 2024-09-22, 60 + 3 days after its instant.
    assert set(completeness.holes(definitions, training, [date(2024, 9, 21), date(2024, 9, 22)], written)) == {
        date(2024, 9, 22)
    }


def test_every_label_slice_with_cutoffs_is_needed_for_training(definitions: Definitions) -> None:
    node = Node("build_training_set", "churn", "training.churn", (), ("gold.churn_60d",), "h")
    found = completeness.holes(definitions, node, [date(2024, 10, 18)], {"gold.churn_60d": {date(2024, 9, 22)}})
    assert found == {date(2024, 10, 18): "gold.churn_60d has no slice 2024-10-07"}


def test_table_that_is_allowed_to_lack_slices_is_not_asked(definitions: Definitions) -> None:
    assert completeness.holes(definitions, VALUE, [MONDAY], {}) == {}
