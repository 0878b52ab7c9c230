"""How many rows of a night fell into each cell: small integers that add up over tasks, nights and weeks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np

from scorelake.drift.profile import Profile
from scorelake.errors import ScorelakeError

Sums = np.ndarray
"""[segments, cells of all features]; rows in `Profile.segments` order, columns from `Profile.offsets`."""


@dataclass(frozen=True, eq=False)
class CellTotals:
    """Rows, sum of weights and sum of squared weights of one feature in one segment, a number a cell."""

    rows: np.ndarray
    sum_w: np.ndarray
    sum_w2: np.ndarray

    @classmethod
    def none(cls, width: int) -> CellTotals:
        """The totals of no rows in so many cells."""
        return cls(np.zeros(width, dtype=np.int64), np.zeros(width), np.zeros(width))

    @property
    def size(self) -> float:
        """Effective number of rows, (sum w)^2 / sum w^2; the number of rows when unweighted."""
        squared = float(self.sum_w2.sum())
        return float(self.sum_w.sum()) ** 2 / squared if squared > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of one slice against one profile; without weights the three matrices are the same.

    `problems` names features that could not be counted and why (a column gone, its type changed); their
    cells are 0 and their verdict is ERROR.
    """

    profile: Profile
    rows: Sums
    sum_w: Sums
    sum_w2: Sums
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_weighted(self) -> bool:
        return not np.array_equal(self.rows, self.sum_w)

    def of(self, feature: str, segment: int = 0) -> CellTotals:
        start = self.profile.offsets[feature]
        cells = slice(start, start + self.profile[feature].width)
        return CellTotals(self.rows[segment, cells], self.sum_w[segment, cells], self.sum_w2[segment, cells])

    def __add__(self, other: Counts) -> Counts:
        """The counts of both slices together, exactly as if their rows had been counted as one."""
        if other.profile.hash != self.profile.hash:
            raise ScorelakeError("counts of different profiles cannot be added: count again with one of them")
        return Counts(
            self.profile,
            self.rows + other.rows,
            self.sum_w + other.sum_w,
            self.sum_w2 + other.sum_w2,
            {**self.problems, **other.problems},
        )

    def disagreeing(self, rows: int) -> list[str]:
        """Features whose cells do not sum to the number of rows written, so that they are counted again."""
        names = [feature.name for feature in self.profile.features]
        return [name for name in names if name not in self.problems and int(self.of(name).rows.sum()) != rows]

    def replaced(self, again: Counts) -> Counts:
        """These counts with the features of `again` (of a part of the profile) in place of their own."""
        rows, sum_w, sum_w2 = self.rows.copy(), self.sum_w.copy(), self.sum_w2.copy()
        for feature in again.profile.features:
            start = self.profile.offsets[feature.name]
            cells = slice(start, start + feature.width)
            theirs = slice(again.profile.offsets[feature.name], again.profile.offsets[feature.name] + feature.width)
            rows[:, cells] = again.rows[:, theirs]
            sum_w[:, cells] = again.sum_w[:, theirs]
            sum_w2[:, cells] = again.sum_w2[:, theirs]
        kept = {name: why for name, why in self.problems.items() if name not in again.profile.offsets}
        return Counts(self.profile, rows, sum_w, sum_w2, {**kept, **again.problems})


def unweighted(profile: Profile, rows: Sums, problems: Mapping[str, str] | None = None) -> Counts:
    """Counts of rows that weigh 1 each."""
    ones = rows.astype(np.float64)
    return Counts(profile, rows, ones, ones, problems or {})


def zero(profile: Profile, problems: Mapping[str, str] | None = None) -> Counts:
    """The counts of no rows."""
    return unweighted(profile, np.zeros((len(profile.segments), profile.width), dtype=np.int64), problems)


def reference(profile: Profile) -> Counts:
    """The profile's own counts, so that a night compares with training as with any other night."""
    rows = np.hstack([np.array(feature.counts, dtype=np.int64) for feature in profile.features])
    weights = np.hstack([np.array(feature.sum_w or feature.counts, dtype=np.float64) for feature in profile.features])
    squares = np.hstack([np.array(feature.sum_w2 or feature.counts, dtype=np.float64) for feature in profile.features])
    return Counts(profile, rows, weights, squares)


def total(profile: Profile, parts: list[Counts]) -> Counts:
    """The counts of a period: a week is the sum of its nights."""
    return reduce(add, parts, zero(profile))
