"""The sample table in Spark, and Great Expectations itself as the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from scorelake.quality.catalogue import built, load
from scorelake.tables import Expectation
from tests.quality.samples import DDL, FIRST, SECOND, rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ByGx = Callable[["DataFrame", Sequence[Expectation]], list[Any]]


@pytest.fixture(scope="session")
def deliveries(spark: SparkSession) -> DataFrame:
    """Two slices that differ."""
    frame = spark.createDataFrame([*rows_of(FIRST), *rows_of(SECOND)[:-1]], DDL).coalesce(1)
    return frame.localCheckpoint()


@pytest.fixture(scope="session")
def by_gx() -> ByGx:
    """GX's own answers for a frame, in the order of the expectations, which `meta: {name: ...}` tells apart."""
    context = load().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    numbers = iter(range(1000))

    def validate(frame: DataFrame, expectations: Sequence[Expectation]) -> list[Any]:
        source = context.data_sources.add_spark(f"frame {next(numbers)}", persist=False)
        whole = source.add_dataframe_asset("asset").add_batch_definition_whole_dataframe("all")
        batch = whole.get_batch(batch_parameters={"dataframe": frame})
        suite = load().ExpectationSuite(name="suite", expectations=[built(each) for each in expectations])
        found = batch.validate(suite, result_format="BASIC").results
        by_name = {result.expectation_config.meta["name"]: result for result in found}
        return [by_name[each.meta["name"]] for each in expectations]

    return validate
