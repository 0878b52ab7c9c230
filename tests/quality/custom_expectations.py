"""Expectation classes as a team would write them: one of the row alone, one that compares a row with its slice."""

from __future__ import annotations

from typing import Any

from great_expectations.compatibility.pyspark import functions as F
from great_expectations.execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)
from great_expectations.validator.metric_configuration import MetricConfiguration


class ColumnValuesEven(ColumnMapMetricProvider):
    condition_metric_name = "column_values.even"

    @column_condition_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Any, **kwargs: Any) -> Any:  # noqa: N805  GX calls it with the class
        return column % F.lit(2) == F.lit(0)


class ExpectColumnValuesToBeEven(ColumnMapExpectation):
    """Expect whole numbers to be even."""

    map_metric = "column_values.even"


class ColumnValuesAboveAverage(ColumnMapMetricProvider):
    condition_metric_name = "column_values.above_average"

    @column_condition_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Any, _metrics: dict[str, Any], **kwargs: Any) -> Any:  # noqa: N805
        return column > F.lit(_metrics["column.mean"])

    @classmethod
    def _get_evaluation_dependencies(cls, metric: Any, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super()._get_evaluation_dependencies(metric=metric, **kwargs)
        if metric.metric_name == "column_values.above_average.condition":
            found["column.mean"] = MetricConfiguration("column.mean", metric_domain_kwargs=metric.metric_domain_kwargs)
        return found


class ExpectColumnValuesToBeAboveAverage(ColumnMapExpectation):
    """Expect values above the average of their slice."""

    map_metric = "column_values.above_average"
