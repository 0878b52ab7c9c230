"""The gate of a silver table: every row judged once, then counted, refused, or split into accepted and quarantined.

    gate = prepare(frame, rules, table=..., expectations=..., dates=...)
    staged = stage(gate.judge(frame))            # the one evaluation, materialised by the caller
    verdicts = gate.verdicts(staged, due=...)    # nothing has been written yet
    quarantine first: gate.quarantined(staged, passed); then silver: gate.accepted(frame, staged, passed)

The staged rows hold the answers of all rules for all rows, but only the quarantined rows in full. Accepted rows are
`frame` once more without those that the stage holds as quarantined, told by their place in the source: no rule is
asked twice, so a rule that would answer differently the second time loses or doubles no row.
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
RECEIVED = "__received"
"""STRUCT column of the judged frame: the bronze row as it arrived, which quarantine keeps."""
PLACE = (SLICE_COLUMN, "source_file", "source_row")
"""Where a row stood in its source; no two rows of a bronze table have the same."""
MOVED = "is_quarantined"
MEASURED = "measured"
TEXTS = "texts"

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
) -> Gate:
    """The gate for `frame`: the subject's columns, the columns of PLACE and `__received`, of the slices `dates`.

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
    return Gate(subject, settling, Tally(rules), of_table, tuple(dates), shape, _Received.of(frame))


def whole(
    rows: DataFrame, subject: Subject, expectations: Sequence[Expectation], dates: Sequence[date], stage: Stage
) -> list[Verdict]:
    """The verdicts on slices that are written as a whole or not at all: none of `expectations` quarantines."""
    from pyspark.sql import functions as F

    placed = rows.withColumns({"source_file": F.lit(""), "source_row": F.lit(0)})
    placed = placed.withColumn(RECEIVED, F.struct(*PLACE))
    judge = prepare(placed, subject, expectations, [], dates)
    return judge.verdicts(judge.staged(placed, stage), due=())


@dataclass(frozen=True)
class _Received:
    """The bronze row as it is staged: its texts in one array, the rest in one struct, both null for accepted rows.

    A Parquet column costs something for every row, also where it is null; a slice of texts would have dozens.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, frame: DataFrame) -> _Received:
        fields = {field.name: field.dataType.simpleString() for field in frame.select(f"{RECEIVED}.*").schema}
        return cls(tuple(fields), tuple(n for n, kind in fields.items() if kind == "string" and n not in PLACE))

    def parts(self) -> dict[str, Column]:
        """Staged column -> its value, from a judged row."""
        from pyspark.sql import functions as F

        row = F.col(RECEIVED)
        others = F.struct(*(row[name].alias(name) for name in self.names if name not in self.texts))
        return {RECEIVED: others} | ({TEXTS: F.array(*(row[name] for name in self.texts))} if self.texts else {})

    def columns(self) -> list[Column]:
        """The bronze columns of a staged row that was quarantined."""
        from pyspark.sql import functions as F

        at = {name: position for position, name in enumerate(self.texts)}
        return [(F.col(TEXTS)[at[n]] if n in at else F.col(RECEIVED)[n]).alias(n) for n in self.names]


@dataclass(frozen=True, eq=False)
class Gate:
    """Judges the frame for which it was prepared."""

    subject: Subject
    settling: tuple[Rule, ...]
    tally: Tally
    table_level: tuple[Expectation, ...]
    dates: tuple[date, ...]
    shape: DataFrame
    received: _Received

    def judge(self, frame: DataFrame) -> DataFrame:
        """What to materialise: `run_date`, `is_quarantined`, every rule's answers, the quarantined rows as received,
        and of the accepted rows the columns that table-level expectations measure. One row an input row.
        """
        from pyspark.sql import functions as F

        answered = addressable(_flagged(frame, self.settling)).select("*", *self.tally.answers(F.col(JUDGED)))
        split = answered.withColumn(MOVED, self.tally.moved())
        measured = F.struct(*(F.col(quoted(name)) for name in self._measured()))
        return split.select(
            SLICE_COLUMN,
            MOVED,
            *self.tally.words,
            *(F.when(F.col(MOVED), part).alias(name) for name, part in self.received.parts().items()),
            *([F.when(~F.col(MOVED), measured).alias(MEASURED)] if self._measured() else []),
        )

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
        accepted = staged.where(f"NOT {MOVED}")
        measured = [f"{MEASURED}.*"] if self._measured() else []
        return aggregates.table_results(
            accepted.select(SLICE_COLUMN, *measured), self.shape, self.table_level, self.dates, self.subject.personal
        )

    def _newest_times(self, staged: DataFrame) -> dict[date, datetime]:
        """Of each slice with one the newest event time of its accepted rows, where freshness is judged."""
        from pyspark.sql import functions as F

        if self.subject.freshness is None or self.subject.event_time is None:
            return {}
        newest = F.max(F.col(MEASURED)[self.subject.event_time])
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

    def quarantined(self, staged: DataFrame, verdicts: Iterable[Verdict]) -> DataFrame:
        """Rows as received and `reasons`, the names of all rules that each failed; of the slices not refused."""
        moved = _of_slices(staged, verdicts).where(MOVED)
        return moved.select(*self.received.columns(), self.tally.reasons().alias("reasons"))

    def accepted(
        self, frame: DataFrame, staged: DataFrame, verdicts: Sequence[Verdict], columns: Sequence[str]
    ) -> DataFrame:
        """`columns` of the rows of `frame` that the stage holds as accepted; of the slices not refused."""
        from pyspark.sql import functions as F

        rows = _of_slices(frame, verdicts).select(*map(quoted, columns))
        moved = sum(verdict.quarantined for verdict in verdicts if not verdict.refused)
        if not moved:
            return rows
        gone = _of_slices(staged, verdicts).where(MOVED).select(*(f"{RECEIVED}.{name}" for name in PLACE))
        gone = gone.toDF(*(f"gone_{name}" for name in PLACE))
        if moved <= _BROADCAST_ROWS:
            gone = F.broadcast(gone)
        same = [F.col(name).eqNullSafe(F.col(f"gone_{name}")) for name in PLACE]
        return rows.join(gone, on=reduce(lambda a, b: a & b, same), how="left_anti")


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
