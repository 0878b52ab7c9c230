"""The verdict on one night, and how many nights make an alert."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from scorelake.drift.cells import AnyCells, CategoricalCells, NumericCells, ValueCells
from scorelake.drift.compare import Comparison, compare, moments_now, share_above
from scorelake.drift.counts import CellTotals
from scorelake.drift.profile import FeatureProfile
from scorelake.drift.status import Status, Verdict, firing, is_muted, judge, worst
from scorelake.models.watching import DriftLimits, Mute

LIMITS = DriftLimits()
TWO = ValueCells(values=(0, 1))
TOWNS = CategoricalCells(top=("a", "b"))


def totals(rows: list[int]) -> CellTotals:
    counts = np.array(rows)
    return CellTotals(counts, counts.astype(float), counts.astype(float))


def compared(before: list[int], now: list[int], cells: AnyCells = TWO) -> Comparison:
    feature = FeatureProfile(name="x", type="bigint", cells=cells, counts=(tuple(before),), mean=0.5, std=0.5)
    return compare(feature, totals(before), totals(now), alpha=LIMITS.alpha)


def judged(
    before: list[int], now: list[int], *, cells: AnyCells = TWO, p: float | None = 0.0, limits: DriftLimits = LIMITS
) -> Verdict:
    return judge(compared(before, now, cells), limits, fdr=0.05, adjusted_p=p)


# Cells of TWO: 0, 1, unseen, NaN, null; of TOWNS: a, b, other, unseen, null.


@pytest.mark.parametrize(
    ("now", "status", "rule"),
    [
        ([5000, 5000, 0, 0, 0], Status.OK, "psi"),
        ([4000, 6000, 0, 0, 0], Status.OK, "psi"),  # PSI 0.04
        ([3200, 6800, 0, 0, 0], Status.WARN, "psi"),  # 0.136
        ([2500, 7500, 0, 0, 0], Status.ALERT, "psi"),  # 0.27
        ([5000, 5000, 0, 0, 102], Status.ALERT, "null_change"),  # just over one per cent
        ([5000, 5000, 0, 0, 100], Status.OK, "psi"),
        ([0, 0, 0, 0, 0], Status.NO_DATA, "rows"),
        ([999, 0, 0, 0, 0], Status.INSUFFICIENT, "min_rows"),
        ([0, 1000, 0, 0, 0], Status.ALERT, "psi"),
    ],
)
def test_a_night_against_an_even_reference(now: list[int], status: Status, rule: str) -> None:
    verdict = judged([5000, 5000, 0, 0, 0], now)
    assert (verdict.status, verdict.rule) == (status, rule)


def test_a_problem_comes_before_everything() -> None:
    verdict = judge(compared([9, 9, 0, 0, 0], [0] * 5), LIMITS, fdr=0.05, adjusted_p=None, problem="column is gone")
    assert verdict == Verdict(Status.ERROR, "comparable", None, None, "column is gone")


def test_a_large_psi_of_few_rows_is_insufficient() -> None:  # V10
    assert judged([500, 500, 0, 0, 0], [2, 1, 0, 0, 0]).status is Status.INSUFFICIENT


def test_a_reference_too_small_is_insufficient_too() -> None:
    verdict = judged([90, 90, 0, 0, 0], [500, 9500, 0, 0, 0])
    assert verdict.status is Status.INSUFFICIENT
    assert "in the reference" in verdict.reason


def test_size_without_significance_is_no_alert() -> None:
    night = [20, 80, 0, 0, 0]
    small = DriftLimits(min_rows=50)
    assert judged([100, 100, 0, 0, 0], night, limits=small).status is Status.ALERT
    assert judged([100, 100, 0, 0, 0], night, limits=small, p=0.05).status is Status.OK
    assert judged([100, 100, 0, 0, 0], night, limits=small, p=None).status is Status.OK


def test_psi_over_its_level_but_below_the_critical_one_is_no_alert() -> None:
    verdict = judged([60, 60, 0, 0, 0], [13, 27, 0, 0, 0], limits=DriftLimits(min_rows=10))
    assert verdict.status is Status.OK
    assert "chance" in verdict.reason


def test_significance_without_size_is_no_alert() -> None:
    verdict = judged([5_000_000, 5_000_000, 0, 0, 0], [4_900_000, 5_100_000, 0, 0, 0])
    assert verdict.status is Status.OK


def test_new_categories_alert_by_their_share() -> None:
    reference = [600_000, 400_000, 0, 0, 0]
    assert judged(reference, [5880, 3920, 0, 200, 0], cells=TOWNS).rule == "unseen"
    assert judged(reference, [5950, 3950, 0, 100, 0], cells=TOWNS).status is Status.OK


def test_fewer_nulls_than_before_alert_too() -> None:
    assert judged([5000, 4000, 0, 0, 1000], [5550, 4450, 0, 0, 0]).rule == "null_change"


def test_a_share_that_moved_by_chance_does_not_alert() -> None:
    verdict = judged([4900, 4900, 0, 0, 200], [485, 483, 0, 0, 32])  # 2.0 to 3.2 per cent of a thousand
    assert verdict.status is Status.OK


def test_limits_are_those_of_the_case() -> None:
    loose = DriftLimits(warn=0.3, alert=0.5)
    assert judged([5000, 5000, 0, 0, 0], [2500, 7500, 0, 0, 0], limits=loose).status is Status.OK


def test_equal_shares_give_the_reference_moments_and_a_shift_moves_them() -> None:
    assert moments_now(compared([50, 50, 0, 0, 0], [7, 7, 0, 0, 3])) == (0.5, 0.5)
    mean, std = moments_now(compared([50, 50, 0, 0, 0], [0, 80, 0, 0, 0]))
    assert (mean, std) == (1.0, 0.0)
    assert moments_now(compared([50, 50, 0, 0, 0], [0, 0, 0, 0, 9])) == (None, None)


def test_the_share_above_a_cut_takes_the_bin_that_holds_it_in_part() -> None:
    bins = NumericCells(low=0.0, edges=(0.4,), high=1.0)
    night = compared([0, 50, 50, 0, 0, 0], [0, 20, 60, 20, 0, 0], bins)
    assert share_above(night, 0.55) == (pytest.approx(0.5 * 0.75), pytest.approx(0.6 * 0.75 + 0.2))
    assert share_above(compared([50, 50, 0, 0, 0], [10, 30, 0, 0, 9]), 1.0) == (0.5, 0.75)
    assert share_above(compared([5, 5, 0, 0, 0], [1, 3, 0, 0, 9], TOWNS), 1.0) is None


def test_a_column_that_became_constant_is_noticed() -> None:
    assert compared([50, 50, 0, 0, 0], [0, 80, 0, 0, 0]).became_constant
    assert not compared([0, 50, 0, 0, 0], [0, 80, 0, 0, 0]).became_constant


LETTERS = {
    "O": Status.OK,
    "W": Status.WARN,
    "A": Status.ALERT,
    "E": Status.ERROR,
    "N": Status.NO_DATA,
    "I": Status.INSUFFICIENT,
}


@pytest.mark.parametrize(
    ("nights", "level"),
    [
        ("", None),
        ("O", None),
        ("A", None),  # one night of three
        ("AA", Status.ALERT),
        ("OAA", Status.ALERT),
        ("AOA", Status.ALERT),
        ("AOOA", None),  # the first is out of the window
        ("AAO", None),  # the latest must be one of them
        ("ANA", Status.ALERT),  # nights without data neither count
        ("ANNNIA", Status.ALERT),
        ("AAN", Status.ALERT),  # nor reset
        ("AAI", Status.ALERT),
        ("AONA", Status.ALERT),
        ("AOONA", None),
        ("NNN", None),
        ("W", None),
        ("WW", Status.WARN),
        ("AW", Status.WARN),
        ("WA", Status.WARN),
        ("WAA", Status.ALERT),
        ("AAW", Status.WARN),
        ("WWO", None),
        ("E", Status.ERROR),  # a fact, not a sample
        ("OOE", Status.ERROR),
        ("EO", None),
        ("EA", None),
        ("EN", Status.ERROR),
    ],
)
def test_two_of_three_nights_raise_an_alert(nights: str, level: Status | None) -> None:
    assert firing([LETTERS[letter] for letter in nights], k=2, n=3) == level


def test_one_of_one_is_every_night_by_itself() -> None:
    assert firing([Status.ALERT], k=1, n=1) is Status.ALERT
    assert firing([Status.ALERT, Status.OK], k=1, n=1) is None


def test_three_of_five() -> None:
    assert firing([LETTERS[letter] for letter in "AOAOA"], k=3, n=5) is Status.ALERT
    assert firing([LETTERS[letter] for letter in "AOOAOA"], k=3, n=5) is None


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    assert worst([Status.OK, Status.WARN, Status.INSUFFICIENT]) is Status.WARN
    assert worst([Status.ALERT, Status.ERROR]) is Status.ERROR
    assert worst([Status.OK, Status.INSUFFICIENT, Status.NO_DATA]) is Status.NO_DATA
    assert worst([]) is Status.NO_DATA


def test_a_mute_holds_up_to_and_including_its_date() -> None:
    muted = DriftLimits(mute=Mute(until=dt.date(2020, 5, 3), reason="known campaign"))
    assert is_muted(muted, dt.date(2020, 5, 3))
    assert not is_muted(muted, dt.date(2020, 5, 4))
    assert not is_muted(LIMITS, dt.date(2020, 5, 3))
