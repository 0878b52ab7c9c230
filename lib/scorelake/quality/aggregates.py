"""Expectations about a slice as a whole, judged by Great Expectations on the accepted rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from scorelake.quality.catalogue import built, rule_name
from scorelake.quality.conditions import WITHOUT_VALUES, addressed
from scorelake.quality.results import table_result
from scorelake.quality.rules import addressable, aliases
from scorelake.quality.slices import Slices, raised
from scorelake.quality.verdicts import Result
from scorelake.tables import Expectation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA_METRICS = frozenset({"table.columns", "table.column_types", "table.column_count"})
"""What GX reads from a frame's schema alone."""


def measured_columns(expectations: Sequence[Expectation], columns: Sequence[str]) -> list[str]:
    """The columns whose values the expectations may read: those that occur anywhere in their kwargs."""
    text = " ".join(str(expectation.kwargs) for expectation in expectations)
    return [name for name in columns if name in text]


def table_results(
    accepted: DataFrame,
    shape: DataFrame,
    expectations: Sequence[Expectation],
    dates: Sequence[date],
    personal: Collection[str],
) -> dict[date, list[Result]]:
    """Of every date the results in the order of the expectations.

    `accepted` has `run_date` and the measured columns; `shape` has exactly the table's columns and answers what needs
    no rows. Column aggregates of all dates cost one scan of `accepted`; quantiles and sets of values one a date.
    """
    if not expectations:
        return {day: [] for day in dates}
    names = aliases(accepted.columns)
    rows, schema = Slices(addressable(accepted)), Slices(shape)
    judges = [_Judge.of(expectation, names, rows, schema) for expectation in expectations]
    by_schema = _metrics(schema, judges, None)
    found: dict[date, list[Result]] = {}
    for day in dates:
        by_rows = _metrics(rows, judges, day)
        results = [judge.result(by_rows if judge.slices is rows else by_schema) for judge in judges]
        pairs = zip(expectations, results, strict=True)
        found[day] = [table_result(expectation, result, personal) for expectation, result in pairs]
    return found


class _Judge:
    """One expectation, and the frame that answers it."""

    def __init__(self, expectation: Expectation, gx: Any, slices: Slices, needed: Mapping[str, Any]) -> None:
        self.expectation, self.gx, self.slices, self.needed = expectation, gx, slices, needed
        self.name = rule_name(expectation)

    @classmethod
    def of(cls, expectation: Expectation, names: Mapping[str, str], rows: Slices, schema: Slices) -> _Judge:
        plain = built(expectation)
        needed = _needed(plain, schema, rule_name(expectation))
        if all(metric.metric_name in SCHEMA_METRICS for metric in needed.values()):
            return cls(expectation, plain, schema, needed)
        gx = addressed(expectation, names)
        return cls(expectation, gx, rows, _needed(gx, rows, rule_name(expectation)))

    def result(self, metrics: Mapping[Any, Any]) -> dict[str, Any]:
        """GX's validation result as plain data, told of the expectation as its author wrote it."""
        try:
            found = self.gx.metrics_validate(
                metrics, runtime_configuration=dict(WITHOUT_VALUES), execution_engine=self.slices.engine
            )
        except Exception as error:  # the class may be a team's own: whatever it raises, it cannot be judged
            raise raised(self.name, error) from error
        found.expectation_config = built(self.expectation).configuration
        plain: dict[str, Any] = found.to_json_dict()
        return plain


def _needed(gx: Any, slices: Slices, subject: str) -> Mapping[str, Any]:
    try:
        needed = gx.get_validation_dependencies(
            execution_engine=slices.engine, runtime_configuration=dict(WITHOUT_VALUES)
        )
    except Exception as error:  # see above
        raise raised(subject, error) from error
    found: Mapping[str, Any] = needed.metric_configurations
    return found


def _metrics(slices: Slices, judges: Sequence[_Judge], day: date | None) -> dict[Any, Any]:
    """What the judges on `slices` need of a day."""
    wanted = {judge.name: list(judge.needed.values()) for judge in judges if judge.slices is slices}
    return slices.together(wanted, of=day)
