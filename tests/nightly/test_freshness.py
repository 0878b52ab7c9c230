"""Which slices must be built again, and why."""

from __future__ import annotations

from datetime import date

from scorelake.dates import RunDates
from scorelake.nightly.freshness import Marks, ranges, reasons
from scorelake.nightly.graph import Node
from scorelake.stores.marks import Mark

D1, D2, D3 = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
NODE = Node("build_gold", "gold.g", "gold.g", ("bronze.b",), ("silver.s",), "hash")


def marked(version: int, *days: date, digest: str = "hash", **inputs: int) -> dict[date, tuple[int, Mark]]:
    versions = {name.replace("_", "."): at for name, at in inputs.items()}
    return {day: (version, Mark("r", "s", days, digest, versions)) for day in days}


def why(own: Marks, bronze: Marks, silver: Marks) -> dict[date, str]:
    return reasons(NODE, [D1, D2, D3], {"gold.g": own, "bronze.b": bronze, "silver.s": silver})


def test_a_slice_without_a_mark_is_missing() -> None:
    own = marked(5, D1, D2, bronze_b=1, silver_s=1)
    assert why(own, marked(1, D1, D2, D3), marked(1, D1, D2, D3)) == {D3: "missing"}


def test_a_changed_definition_makes_every_slice_stale() -> None:
    own = marked(5, D1, D2, D3, digest="other", bronze_b=1, silver_s=1)
    assert set(why(own, {}, {}).values()) == {"definition changed: other -> hash"}


def test_an_input_of_the_same_date_makes_only_that_date_stale() -> None:
    own = marked(5, D1, D2, D3, bronze_b=1, silver_s=1)
    bronze = {**marked(1, D1, D3), **marked(2, D2)}
    assert why(own, bronze, marked(1, D1, D2, D3)) == {D2: "input changed: bronze.b"}


def test_history_that_changed_makes_its_date_and_all_later_ones_stale() -> None:
    own = marked(5, D1, D2, D3, bronze_b=1, silver_s=1)
    silver = {**marked(1, D1, D3), **marked(7, D2)}
    assert set(why(own, marked(1, D1, D2, D3), silver)) == {D2, D3}


def test_a_slice_built_after_its_inputs_is_current() -> None:
    own = marked(5, D1, D2, D3, bronze_b=9, silver_s=9)
    assert why(own, marked(9, D1, D2, D3), marked(9, D1, D2, D3)) == {}


def test_a_later_night_leaves_earlier_slices_current() -> None:
    own = marked(5, D1, D2, bronze_b=1, silver_s=1)
    later = {**marked(1, D1, D2), **marked(2, D3)}
    assert why(own, later, later) == {D3: "missing"}


def test_dates_become_contiguous_ranges_over_days_that_are_not_due() -> None:
    friday, monday, wednesday = date(2024, 3, 1), date(2024, 3, 4), date(2024, 3, 6)
    assert ranges([monday, friday, wednesday]) == [RunDates.single(d) for d in (friday, monday, wednesday)]
    weekdays = [date(2024, 3, day) for day in (1, 4, 5, 6)]
    assert ranges([monday, friday, wednesday], weekdays) == [RunDates(friday, monday), RunDates.single(wednesday)]
    assert ranges([]) == []
