"""Where cells lie: exact quantiles of the data, in the data's own type."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorelake.drift import measures
from scorelake.drift.build import build_arrow
from scorelake.drift.cells import AnyCells, CategoricalCells, NumericCells, ValueCells
from scorelake.drift.freeze import Cutting
from scorelake.drift.kernel import Counter, merge
from scorelake.drift.profile import Profile

QUANTILES = Cutting(max_values=0)


def profiled(values: list[Any], kind: pa.DataType | None = None, **cutting: int) -> Profile:
    return build_arrow(pa.table({"x": pa.array(values, kind)}), ["x"], cutting=Cutting(**cutting))


def cells(values: list[Any], kind: pa.DataType | None = None, **cutting: int) -> AnyCells:
    return profiled(values, kind, **cutting)["x"].cells


def rows(profile: Profile, values: list[Any]) -> list[int]:
    counter = Counter(profile)
    from scorelake.drift.physical import arrow_type

    counter.add(pa.record_batch({"x": pa.array(values, arrow_type(profile["x"].type))}))
    return merge(profile, [counter.part(0)]).of("x").rows.tolist()  # type: ignore[no-any-return]


def psi(profile: Profile, current: list[int]) -> float:
    c, d = np.array(profile["x"].counts[0]), np.array(current)
    eps = measures.epsilon(c.sum(), d.sum())
    return measures.psi(measures.smoothed(c, eps), measures.smoothed(d, eps))


def close(expected: float) -> object:
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_edges_are_elements_of_the_data() -> None:  # P1
    profile = profiled(list(range(1, 21)), bins=4, max_values=0)
    assert profile["x"].cells == NumericCells(low=1, edges=(5, 10, 15), high=20)
    assert profile["x"].counts == ((0, 5, 5, 5, 5, 0, 0, 0),)


def test_infinity_nan_and_null_have_places_of_their_own() -> None:  # P2
    profile = profiled([float(x) for x in range(1, 21)], bins=4, max_values=0)
    now = [0.0, 1.0, 5.0, 5.0000001, 20.0, 21.0, math.inf, -math.inf, math.nan, -0.0, None, None]
    assert rows(profile, now) == [3, 2, 1, 0, 1, 2, 1, 2]
    assert psi(profile, rows(profile, now)) == close(1.433593031931651)


def test_a_value_that_many_rows_share_gets_a_cell_of_its_own() -> None:  # P3
    profile = profiled([0] * 6 + [1, 2, 3, 4], bins=5, max_values=0)
    assert profile["x"].cells == NumericCells(low=0, edges=(0, 2), high=4)
    assert profile["x"].counts == ((0, 6, 2, 2, 0, 0, 0),)


def test_a_shift_and_an_outlier() -> None:  # P4, P4b, P4c
    profile = profiled(list(range(1, 1001)), bins=10, max_values=0)
    shifted = [value + 100 for value in range(1, 1001)]
    assert psi(profile, rows(profile, shifted)) == close(1.053287965850859)
    assert psi(profile, rows(profile, [*shifted, 1_000_000])) == close(1.058916325238527)
    assert psi(profile, rows(profile, [*range(1, 1001), 1_000_000])) == close(0.001090211269710)


@pytest.mark.parametrize("outlier", [1e6, 1e12, -1e12, math.inf])
@pytest.mark.parametrize("drift", [1.0, 1.3, 2.0], ids=["none", "some", "large"])
def test_an_outlier_is_one_row_beyond_the_range_and_moves_no_cell(outlier: float, drift: float) -> None:
    profile = profiled([float(value) for value in range(1, 1001)], bins=20, max_values=0)
    now = [value * drift for value in range(1, 1001)]
    before, after = psi(profile, rows(profile, now)), psi(profile, rows(profile, [*now, outlier]))
    just_beyond = 1000.1 if outlier > 0 else 0.9
    assert rows(profile, [*now, outlier]) == rows(profile, [*now, just_beyond])
    assert -before / 1000 <= after - before < 0.01  # at most what one of 1,001 rows dilutes


ZEROS = [0.0] * 900 + [float(value) for value in range(1, 101)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([7.0] * 1000, pa.float64()),
        ([None] * 1000, pa.float64()),
        ([True, False] * 500, pa.bool_()),
        (ZEROS, pa.float64()),
        (["only"] * 1000, pa.string()),
        ([None] * 1000, pa.string()),
    ],
    ids=["constant", "null", "two values", "mostly zero", "one category", "null text"],
)
@pytest.mark.parametrize("max_values", [0, 20])
def test_odd_columns_have_a_profile_and_a_finite_psi(values: list[Any], kind: pa.DataType, max_values: int) -> None:
    profile = profiled(values, kind, max_values=max_values)
    assert sum(profile["x"].counts[0]) == 1000
    other = "new" if kind == pa.string() else None if kind == pa.bool_() else 1e300
    for now in (values, values[:1] * 1000, [None] * 1000, [other] * 1000):
        found = psi(profile, rows(profile, now))
        assert math.isfinite(found)
        assert found == 0 or now != values


def test_zeros_of_a_column_that_is_mostly_zero_share_a_cell() -> None:
    profile = profiled(ZEROS, max_values=0)
    assert profile["x"].counts[0][:2] == (0, 900)
    assert psi(profile, rows(profile, [0.0] * 500 + ZEROS[-100:] * 5)) > 0.2


@pytest.mark.parametrize("missing", [None, math.nan])
def test_half_the_rows_missing_is_drift(missing: float | None) -> None:  # P5
    profile = profiled([float(value) for value in range(1, 1001)], bins=10, max_values=0)
    now = [*map(float, range(1, 1000, 2)), *[missing] * 500]
    assert psi(profile, rows(profile, now)) == close(3.772065129360991)


def test_a_constant_column() -> None:  # V13
    profile = profiled([7] * 50, max_values=0)
    assert profile["x"].counts == ((0, 50, 0, 0, 0),)
    assert rows(profile, [7] * 49 + [8]) == [0, 49, 1, 0, 0]
    assert psi(profile, [0, 49, 1, 0, 0]) == close(0.021306913435710)


def test_few_values_have_a_cell_each() -> None:
    profile = profiled([3, 1, 1, None, 3, 2])
    assert profile["x"].cells == ValueCells(values=(1, 2, 3))
    assert profile["x"].counts == ((2, 1, 2, 0, 0, 1),)
    assert rows(profile, [2, 4, 0, None]) == [0, 1, 0, 2, 0, 1]


def test_twenty_values_have_a_cell_each_and_twenty_one_have_not() -> None:
    assert isinstance(cells(list(range(20))), ValueCells)
    assert isinstance(cells(list(range(21))), NumericCells)


def test_minus_zero_is_zero() -> None:
    assert cells([-0.0, 0.0, 1.0]) == ValueCells(values=(0.0, 1.0))
    assert math.copysign(1, cells([-0.0, -0.0]).values[0]) == 1


def test_edges_keep_integers_that_doubles_cannot_tell_apart() -> None:
    large = [2**53 + value for value in range(40)]
    profile = profiled(large, bins=40, max_values=0)
    assert profile["x"].cells == NumericCells(low=2**53, edges=tuple(large[:-1]), high=2**53 + 39)
    assert rows(profile, [2**53 + 1]) == [0, 0, 1, *[0] * 41]


def test_a_float32_edge_is_compared_as_float32() -> None:
    tenths = [float(np.float32(value / 10)) for value in range(1, 31)]
    profile = profiled(tenths, pa.float32(), bins=30, max_values=0)
    assert rows(profile, tenths) == [0, *[1] * 30, 0, 0, 0]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([Decimal("1.10"), Decimal("2.20")], pa.decimal128(10, 2), ValueCells(values=(110, 220))),
        ([Decimal(10**30), Decimal(5)], pa.decimal128(38, 0), ValueCells(values=(5, 10**30))),
        ([dt.date(1970, 1, 2), dt.date(1969, 12, 31)], pa.date32(), ValueCells(values=(-1, 1))),
        ([dt.datetime(1970, 1, 1, 0, 0, 1)], pa.timestamp("us", "UTC"), ValueCells(values=(1_000_000,))),
        ([True, False, None], pa.bool_(), ValueCells(values=(0, 1))),
        ([None, None], pa.float64(), ValueCells(values=())),
        ([math.nan, math.inf, None], pa.float64(), ValueCells(values=())),
        (["b", "a", "b", None], pa.string(), CategoricalCells(top=("b", "a"))),
        ([None, None], pa.string(), CategoricalCells(top=())),
    ],
    ids=["decimal", "wide decimal", "date", "timestamp", "boolean", "null", "not finite", "text", "null text"],
)
def test_each_type_is_cut_in_its_physical_values(values: list[Any], kind: pa.DataType, expected: AnyCells) -> None:
    profile = profiled(values, kind)
    assert profile["x"].cells == expected
    assert profile["x"].n == len(values)
    assert math.isfinite(psi(profile, list(profile["x"].counts[0])))


def test_wide_decimals_are_exact_beyond_64_bits() -> None:
    wide = [Decimal(10**30 + value) for value in range(30)]
    profile = profiled(wide, pa.decimal128(38, 0), bins=30, max_values=0)
    assert profile["x"].counts == ((0, *[1] * 30, 0, 0, 0),)
    assert rows(profile, [Decimal(5), Decimal(10**30 + 3), Decimal(10**31)]) == [1, 0, 0, 0, 1, *[0] * 26, 1, 0, 0]


def test_texts_beyond_the_top_are_other_and_new_ones_unseen() -> None:
    profile = profiled(["a"] * 3 + ["b"] * 2 + ["c", "d"], categories=2)
    assert profile["x"].counts == ((3, 2, 2, 0, 0),)  # a, b, other, unseen, null
    assert rows(profile, ["c", "d", "a", "new", None]) == [1, 0, 2, 1, 1]


def test_ties_between_texts_go_by_the_text() -> None:
    assert cells(["z", "y", "x"], categories=2) == cells(["x", "y", "z"], categories=2)
    assert cells(["z", "y", "x"], categories=2).top == ("x", "y")


def test_too_many_texts_to_remember_leave_nothing_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorelake.drift.freeze.SEEN_LIMIT", 10)
    profile = profiled([f"id {value}" for value in range(50)], categories=3)
    assert profile["x"].cells.is_open
    assert rows(profile, ["id 49", "never seen"]) == [0, 0, 0, 2, 0, 0]


@settings(deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=80),
    st.integers(2, 25),
)
def test_edges_are_the_inverted_cdf_in_exact_arithmetic(values: list[int], bins: int) -> None:
    found = cells(values, pa.int64(), bins=bins, max_values=0)
    ordered, n = sorted(values), len(values)
    # The j/bins quantile is the least value whose rank is at least n * j / bins.
    ranks = (next(rank for rank in range(1, n + 1) if rank * bins >= n * j) for j in range(1, bins))
    expected = sorted({ordered[rank - 1] for rank in ranks} - {ordered[-1]})
    assert found == NumericCells(low=ordered[0], edges=tuple(expected), high=ordered[-1])
