"""The gate of a silver table: every row judged once, then counted, refused, or split into accepted and quarantined.

    gate = prepare(frame, subject, expectations, implied, dates, kept=columns)
    staged = gate.staged(frame, stage)           # the one evaluation, materialised by the caller
    verdicts = gate.verdicts(staged, due=...)    # nothing has been written yet
    quarantine first: gate.quarantined(staged, verdicts, bronze); then silver: gate.accepted(staged, verdicts, columns)

The staged rows are the typed rows with the answers of all rules. Accepted rows are copied from there, so that what is
written is what was judged; quarantined rows are those of bronze that stand in their places. Nothing is computed twice,
so a rule or a transform that would answer differently the second time loses or doubles no row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import reduce
from typing import TYPE_CHECKING

from scorelake.errors import ContractBroken
from scorelake.quality import aggregates, history, results
from scorelake.quality.catalogue import classify, rule_name
from scorelake.quality.conditions import row_rules
from scorelake.quality.rules import JUDGED, Rule, addressable
from scorelake.quality.slices import raised
from scorelake.quality.tally import SliceCount, Tally
from scorelake.quality.verdicts import Result, Verdict
from scorelake.tables import SLICE_COLUMN, Expectation, Freshness, Silver, Versioned, Volume, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Stage = Callable[["DataFrame"], "DataFrame"]
"""Materialises a frame, so that it is evaluated once."""
PLACE = (SLICE_COLUMN, "source_file", "source_row")
"""Where a row stood in its source; no two rows of a bronze table have the same."""
MOVED = "__is_quarantined"

_BROADCAST_ROWS = 200_000
"""Quarantined rows whose places every task may hold in memory (some 20 MB)."""


@dataclass(frozen=True)
class Subject:
    """What is judged: the contract's columns in order, those that are personal, and what a slice must keep.

    `freshness` is of the column `event_time`.
    """

    table: str
    columns: tuple[str, ...]
    personal: frozenset[str] = frozenset()
    max_quarantined: float | None = None
    allow_empty: bool = False
    volume: Volume | None = None
    freshness: Freshness | None = None
    event_time: str | None = None

    @classmethod
    def of(cls, contract: Versioned) -> Subject:
        if not isinstance(contract, Silver):
            return cls(contract.name, tuple(contract.column_names), frozenset(contract.personal))
        return cls(
            contract.name,
            tuple(contract.column_names),
            frozenset(contract.personal),
            contract.max_quarantined,
            contract.allow_empty,
            contract.volume,
            contract.freshness,
            contract.event_time,
        )


def prepare(
    frame: DataFrame,
    subject: Subject,
    expectations: Sequence[Expectation],
    implied: Sequence[Rule],
    dates: Sequence[date],
    kept: Sequence[str] = (),
) -> Gate:
    """The gate for `frame`: the subject's columns, of the slices `dates`.

    `kept`: the columns that accepted rows are written with, PLACE among them; none where a slice is only judged.
    Implied rules are over the columns of `frame`. Triggers no action but what `row_rules` says.
    """
    from pyspark.sql import functions as F

    settling = tuple(rule for rule in implied if rule.settles)
    settled = [replace(rule, failed=F.col(_settled(number))) for number, rule in enumerate(settling)]
    open_rules = [rule for rule in implied if not rule.settles]
    by_row = [expectation for expectation in expectations if classify(expectation) == "row"]
    of_table = tuple(expectation for expectation in expectations if classify(expectation) == "table")
    judged = row_rules(_flagged(frame, settling), by_row, dates)
    rules = (*settled, *open_rules, *judged)
    _require_own_names([*(rule.name for rule in rules), *map(rule_name, of_table)])
    shape = frame.select(*(F.col(quoted(name)) for name in subject.columns))
    return Gate(subject, settling, Tally(rules), of_table, tuple(dates), shape, tuple(kept))


def whole(
    rows: DataFrame, subject: Subject, expectations: Sequence[Expectation], dates: Sequence[date], stage: Stage
) -> list[Verdict]:
    """The verdicts on slices that are written as a whole or not at all: none of `expectations` quarantines."""
    judge = prepare(rows, subject, expectations, [], dates)
    return judge.verdicts(judge.staged(rows, stage), due=())


@dataclass(frozen=True, eq=False)
class Gate:
    """Judges the frame for which it was prepared."""

    subject: Subject
    settling: tuple[Rule, ...]
    tally: Tally
    table_level: tuple[Expectation, ...]
    dates: tuple[date, ...]
    shape: DataFrame
    kept: tuple[str, ...]

    def judge(self, frame: DataFrame) -> DataFrame:
        """What to materialise, one row an input row: `run_date`, the kept columns and those that table-level
        expectations measure, the answers of every rule, and whether the row is quarantined.
        """
        from pyspark.sql import functions as F

        answered = addressable(_flagged(frame, self.settling)).select("*", *self.tally.answers(F.col(JUDGED)))
        split = answered.withColumn(MOVED, self.tally.moved())
        names = dict.fromkeys([SLICE_COLUMN, *self.kept, *self._measured()])
        return split.select(*map(quoted, names), *self.tally.words, MOVED)

    def staged(self, frame: DataFrame, stage: Stage) -> DataFrame:
        """`stage(judge(frame))`; when a rule breaks on a row, ExpectationRaised names it (at the cost of a search)."""
        from pyspark.errors import PySparkException

        try:
            return stage(self.judge(frame))
        except PySparkException as error:
            raise self._blame(frame, error) from error

    def _blame(self, frame: DataFrame, error: Exception) -> Exception:
        """The first rule that breaks on its own, as an ExpectationRaised; else the error itself."""
        from pyspark.errors import PySparkException
        from pyspark.sql import functions as F

        rows = addressable(_flagged(frame, self.settling))
        for rule in self.tally.rules:
            try:
                rows.select(rule.failed.alias("failed")).agg(F.max("failed")).collect()
            except PySparkException as found:
                return raised(rule.name, found)
        return error

    def verdicts(
        self, staged: DataFrame, due: Collection[date], earlier: Mapping[date, int] | None = None
    ) -> list[Verdict]:
        """Of every date the verdict, in order. On `due` dates the source delivers: there a row must be accepted.

        `earlier`: accepted rows of due slices that the table holds, for volume; slices judged here join them.
        """
        counts = self.tally.by_slice(staged, MOVED)
        found = self._table_results(staged)
        newest = self._newest_times(staged)
        verdicts = [
            self._verdict(day, counts.get(day, self.tally.nothing()), found[day], day in due) for day in self.dates
        ]
        if self.subject.freshness is not None:
            verdicts = [history.with_freshness(each, self.subject.freshness, newest) for each in verdicts]
        if self.subject.volume is not None:
            verdicts = history.with_volume(verdicts, self.subject.volume, earlier or {}, due)
        return verdicts

    def _table_results(self, staged: DataFrame) -> dict[date, list[Result]]:
        names = dict.fromkeys([SLICE_COLUMN, *self._measured()])
        accepted = staged.where(f"NOT {MOVED}").select(*map(quoted, names))
        return aggregates.table_results(accepted, self.shape, self.table_level, self.dates, self.subject.personal)

    def _newest_times(self, staged: DataFrame) -> dict[date, datetime]:
        """Of each slice with one the newest event time of its accepted rows, where freshness is judged."""
        from pyspark.sql import functions as F

        if self.subject.freshness is None or self.subject.event_time is None:
            return {}
        newest = F.max(F.col(quoted(self.subject.event_time)))
        rows = staged.where(f"NOT {MOVED}").groupBy(SLICE_COLUMN).agg(newest).collect()  # a row a slice
        return {row[0]: row[1] for row in rows if row[1] is not None}

    def _measured(self) -> list[str]:
        names = aggregates.measured_columns(self.table_level, self.subject.columns)
        clock = self.subject.event_time
        return [*names, clock] if self.subject.freshness is not None and clock and clock not in names else names

    def _verdict(self, day: date, counts: SliceCount, of_table: Iterable[Result], is_due: bool) -> Verdict:
        by_row = [results.row_result(rule, counts.by_rule[rule.name]) for rule in self.tally.rules]
        floor = (
            [] if self.subject.allow_empty or not is_due else [results.floor_result(counts.rows - counts.quarantined)]
        )
        limit = self.subject.max_quarantined
        return Verdict(self.subject.table, day, counts.rows, counts.quarantined, (*floor, *by_row, *of_table), limit)

    def quarantined(self, staged: DataFrame, verdicts: Sequence[Verdict], received: DataFrame) -> DataFrame:
        """The rows of bronze (`received`) that are quarantined, with `reasons`, the names of all rules that each
        failed; of the slices not refused.
        """
        from pyspark.sql import functions as F

        names = list(map(quoted, received.columns))
        moved = sum(verdict.quarantined for verdict in verdicts if not verdict.refused)
        if not moved:
            return received.where(F.lit(False)).select(*names, F.array().cast("array<string>").alias("reasons"))
        words = self.tally.words
        places = _of_slices(staged, verdicts).where(MOVED).select(*PLACE, *words)
        places = places.toDF(*(f"__at_{name}" for name in PLACE), *words)
        if moved <= _BROADCAST_ROWS:
            places = F.broadcast(places)
        same = [F.col(name).eqNullSafe(F.col(f"__at_{name}")) for name in PLACE]
        rows = received.join(places, on=reduce(lambda a, b: a & b, same), how="inner")
        return rows.select(*names, self.tally.reasons().alias("reasons"))

    def accepted(self, staged: DataFrame, verdicts: Iterable[Verdict], columns: Sequence[str]) -> DataFrame:
        """`columns` (kept ones) of the rows that are not quarantined; of the slices not refused."""
        return _of_slices(staged, verdicts).where(f"NOT {MOVED}").select(*map(quoted, columns))


def _require_own_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContractBroken(f"several rules are called {', '.join(twice)}; tell them apart with meta: {{name: ...}}")


def _settled(number: int) -> str:
    return f"__settled_{number}"


def _flagged(frame: DataFrame, settling: Sequence[Rule]) -> DataFrame:
    """`frame` with a column for each rule that settles a row's fate, and `__judged`: none of them holds."""
    from pyspark.sql import functions as F

    flags = [F.coalesce(rule.failed, F.lit(False)).alias(_settled(number)) for number, rule in enumerate(settling)]
    names = [F.col(_settled(number)) for number in range(len(settling))]
    judged: Column = ~reduce(lambda a, b: a | b, names, F.lit(False))
    return frame.select("*", *flags).withColumn(JUDGED, judged)


def _of_slices(frame: DataFrame, verdicts: Iterable[Verdict]) -> DataFrame:
    """The rows of the slices that are not refused; nearly always that is all of them, and costs nothing."""
    from pyspark.sql import functions as F

    refused = [verdict.run_date for verdict in verdicts if verdict.refused]
    return frame.where(~F.col(SLICE_COLUMN).isin(refused)) if refused else frame
