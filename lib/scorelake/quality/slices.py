"""Great Expectations on Spark, answering for each slice of a frame: its own metrics, one scan for all slices."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

from scorelake.errors import ExpectationRaised
from scorelake.quality.catalogue import load
from scorelake.tables import SLICE_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NOT_OF_ROWS = (
    *(".condition", ".map", "table.columns", "table.column_types", "table.column_count"),
    *("table.row_count", "table.row_count.aggregate_fn"),
)
"""Metrics that no value of a row enters; GX asks for the row count beside every condition, which does not use it."""


@cache
def _engine_class() -> Any:
    load()
    from great_expectations.core.id_dict import IDDict
    from great_expectations.execution_engine.sparkdf_execution_engine import SparkDFExecutionEngine
    from great_expectations.util import convert_to_json_serializable
    from pyspark.sql import functions as F

    class SlicedSparkEngine(SparkDFExecutionEngine):
        """GX's engine, pointed at one slice after the other.

        Column aggregates are computed for all slices in one scan, when the first slice asks for them.
        """

        current: date | None = None

        def __init__(self, frame: DataFrame) -> None:
            super().__init__(persist=False, spark=frame.sparkSession, caching=False)
            self.aggregates: dict[Any, dict[date, Any]] = {}
            self.load_batch_data("slices", frame)

        def get_domain_records(self, domain_kwargs: dict[str, Any]) -> DataFrame:
            records: DataFrame = super().get_domain_records(domain_kwargs)
            return records if self.current is None else records.where(F.col(SLICE_COLUMN) == F.lit(self.current))

        def resolve_metric_bundle(self, metric_fn_bundle: Iterable[Any]) -> dict[Any, Any]:
            wanted = list(metric_fn_bundle)
            day = self.current
            if day is None:  # conditions alone are asked for: what GX wants to count beside them is never read
                return dict.fromkeys(each.metric_configuration.id for each in wanted)
            domains: dict[Any, list[Any]] = {}
            for each in wanted:
                if each.metric_configuration.id not in self.aggregates:
                    domains.setdefault(IDDict(each.compute_domain_kwargs or {}).to_id(), []).append(each)
            for same_domain in domains.values():
                self._aggregate(same_domain)
            found = {each.metric_configuration.id: self.aggregates[each.metric_configuration.id] for each in wanted}
            empty = [each for each in wanted if day not in found[each.metric_configuration.id]]
            of_empty = super().resolve_metric_bundle(empty) if empty else {}
            return {**{id_: by_day.get(day) for id_, by_day in found.items()}, **of_empty}

        def _aggregate(self, same_domain: list[Any]) -> None:
            current, self.current = self.current, None
            try:
                records = self.get_domain_records(copy.deepcopy(same_domain[0].compute_domain_kwargs or {}))
            finally:
                self.current = current
            named = [each.metric_fn.alias(f"metric_{n}") for n, each in enumerate(same_domain)]
            rows = records.groupBy(SLICE_COLUMN).agg(*named).collect()  # a row a slice
            for n, each in enumerate(same_domain):
                values = {row[0]: convert_to_json_serializable(data=row[n + 1]) for row in rows}
                self.aggregates[each.metric_configuration.id] = values

    return SlicedSparkEngine


class Slices:
    """The metrics of a frame that has a column `run_date`, slice by slice."""

    def __init__(self, frame: DataFrame) -> None:
        self.engine = _engine_class()(frame)

    def metrics(self, wanted: Sequence[Any], *, of: date | None, subject: str) -> dict[Any, Any]:
        """Metric id -> value for the slice `of`, or for the whole frame. ExpectationRaised names `subject`."""
        from great_expectations.exceptions.exceptions import MetricError

        self.engine.current = of
        try:
            found, _ = self._calculator().compute_metrics(
                metric_configurations=list(wanted), runtime_configuration={"catch_exceptions": False}
            )
        except MetricError as error:
            raise raised(subject, error.__cause__ or error) from error
        finally:
            self.engine.current = None
        return dict(found)

    def together(self, wanted: Mapping[str, Sequence[Any]], *, of: date | None) -> dict[Any, Any]:
        """The metrics of all subjects at once, so that they share a scan; an error still names its subject."""
        try:
            return self.metrics([metric for metrics in wanted.values() for metric in metrics], of=of, subject="a rule")
        except ExpectationRaised:
            for subject, metrics in wanted.items():
                self.metrics(metrics, of=of, subject=subject)
            raise

    def reads_data(self, metric: Any) -> bool:
        """Whether GX has to aggregate rows before it can compute the metric."""
        graph = self._calculator().build_metric_dependency_graph(metric_configurations=[metric])
        names = {edge.left.metric_name for edge in graph.edges} | {
            edge.right.metric_name for edge in graph.edges if edge.right is not None
        }
        return any(not name.endswith(_NOT_OF_ROWS) for name in names)

    def _calculator(self) -> Any:
        from great_expectations.validator.metrics_calculator import MetricsCalculator

        return MetricsCalculator(execution_engine=self.engine, show_progress_bars=False)


def raised(subject: str, error: BaseException) -> ExpectationRaised:
    """The error of an expectation that could not be judged.

    Of Spark's errors only the condition is told, since their texts quote values of rows.
    """
    from pyspark.errors import PySparkException

    text = error.getCondition() if isinstance(error, PySparkException) else str(error)
    kind = type(error).__name__
    return ExpectationRaised(
        f"{subject} could not be judged: {kind}{': ' + text if text else ''}; mend the expectation"
    )
