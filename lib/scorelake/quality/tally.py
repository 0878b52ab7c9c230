"""Yes-or-no answers of many rules on many rows, packed into whole numbers and counted by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from scorelake.quality.rules import JUDGED, Count, Rule
from scorelake.tables import SLICE_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_BITS = 62
"""Answers in one BIGINT; the sign is left alone."""


@dataclass(frozen=True)
class SliceCount:
    """Of one slice: rows that arrived, rows that expectations judged, rows that moved, and every rule's count."""

    rows: int
    judged: int
    quarantined: int
    by_rule: dict[str, Count]


@dataclass(frozen=True)
class Tally:
    """Where each answer of `rules` stands: bit n of the answers is bit n % 62 of column `__answers_<n // 62>`."""

    rules: tuple[Rule, ...]

    def answers(self, judged: Column) -> list[Column]:
        """The columns `__answers_0`, ... of a row."""
        from pyspark.sql import functions as F

        zero = F.lit(0).cast("bigint")
        words: list[Column] = []
        for position, answer in enumerate([judged, *(part for rule in self.rules for part in _answers(rule))]):
            bit = F.when(answer, F.lit(1 << position % _BITS).cast("bigint")).otherwise(zero)
            if position % _BITS == 0:
                words.append(bit)
            else:
                words[-1] = words[-1].bitwiseOR(bit)
        return [word.alias(f"__answers_{number}") for number, word in enumerate(words)]

    @property
    def words(self) -> list[str]:
        total = 1 + sum(_width(rule) for rule in self.rules)
        return [f"__answers_{number}" for number in range(-(-total // _BITS))]

    def moved(self) -> Column:
        """Whether a row failed a rule that quarantines; read from the answers, so that no rule is asked twice."""
        from pyspark.sql import functions as F

        pairs = zip(self.rules, self._positions(), strict=True)
        moving = [at for rule, at in pairs if rule.action == "quarantine"]
        masks = [sum(1 << at % _BITS for at in moving if at // _BITS == number) for number in range(len(self.words))]
        held = [
            F.col(word).bitwiseAND(F.lit(mask).cast("bigint")) != 0
            for word, mask in zip(self.words, masks, strict=True)
            if mask
        ]
        return reduce(lambda a, b: a | b, held, F.lit(False))

    def reasons(self) -> Column:
        """ARRAY<STRING>: the names of the rules that a row failed, in the order of the rules."""
        from pyspark.sql import functions as F

        named = [F.when(_bit(at), F.lit(rule.name)) for rule, at in zip(self.rules, self._positions(), strict=True)]
        return F.array_compact(F.array(*named)) if named else F.array().cast("array<string>")

    def by_slice(self, staged: DataFrame, moved: str) -> dict[date, SliceCount]:
        """Counts of each slice that has rows. Comes to the driver as a row a slice."""
        from pyspark.sql import functions as F

        patterns = staged.groupBy(SLICE_COLUMN, moved, *self.words).count()
        sums = [
            F.sum("count").alias("rows"),
            F.sum(F.when(_bit(0), F.col("count")).otherwise(0)).alias("judged"),
            F.sum(F.when(F.col(moved), F.col("count")).otherwise(0)).alias("moved"),
        ]
        bits = [
            F.sum(F.when(_any_bit(_within(at, first, _width(rule))), F.col("count")).otherwise(0)).alias(f"bit_{at}")
            for rule, first in zip(self.rules, self._positions(), strict=True)
            for at in range(first, first + _width(rule))
        ]
        rows = patterns.groupBy(SLICE_COLUMN).agg(*sums, *bits).collect()
        return {row[SLICE_COLUMN]: self._slice_count(row.asDict()) for row in rows}

    def nothing(self) -> SliceCount:
        """The count of a slice without rows."""
        return SliceCount(0, 0, 0, {rule.name: Count(0, 0, 0) for rule in self.rules})

    def _slice_count(self, row: dict[str, int]) -> SliceCount:
        counts: dict[str, Count] = {}
        for rule, at in zip(self.rules, self._positions(), strict=True):
            whole = row["rows"] if rule.expectation is None else row["judged"]
            scope = whole if rule.scope is None else row[f"bit_{at + 1}"]
            last = at + _width(rule) - 1
            counts[rule.name] = Count(scope, scope if rule.considered is None else row[f"bit_{last}"], row[f"bit_{at}"])
        return SliceCount(row["rows"], row["judged"], row["moved"], counts)

    def _positions(self) -> list[int]:
        """The bit of each rule's `failed`; its scope and what it considered follow."""
        positions, at = [], 1
        for rule in self.rules:
            positions.append(at)
            at += _width(rule)
        return positions


def _width(rule: Rule) -> int:
    """How many answers a rule gives."""
    return 1 + (rule.scope is not None) + (rule.considered is not None)


def _answers(rule: Rule) -> Sequence[Column]:
    from pyspark.sql import functions as F

    judged = F.col(JUDGED)
    scope = judged if rule.scope is None else judged & rule.scope
    parts = [rule.failed]
    if rule.scope is not None:
        parts.append(scope)
    if rule.considered is not None:
        parts.append(scope & rule.considered)
    return parts


def _within(at: int, first: int, width: int) -> Sequence[int]:
    """The answers that say that a row is in what answer `at` counts: a row that failed was considered, and a row that
    was considered is of the scope. With a row_condition that rolls dice each answer is a roll of its own, and GX takes
    no count of failed rows above that of its rows.
    """
    return [first] if at == first else [first, *range(at, first + width)]


def _any_bit(positions: Sequence[int]) -> Column:
    return reduce(lambda a, b: a | b, map(_bit, positions))


def _bit(position: int) -> Column:
    from pyspark.sql import functions as F

    word = F.col(f"__answers_{position // _BITS}")
    return word.bitwiseAND(F.lit(1 << position % _BITS).cast("bigint")) != 0
