from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from scorelake.errors import UsageError
from scorelake.features.views import View, Window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BASE = {"join_keys": {"k": "k"}, "event_time": "e", "available_at": "a"}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([], "k int, e timestamp, a timestamp, v double, dead boolean")


def test_a_window_names_a_known_function_and_a_column() -> None:
    with pytest.raises(UsageError, match="median is not one of age, count"):
        Window("m", "median", "v")
    with pytest.raises(UsageError, match="sum needs a column"):
        Window("s", "sum")


@pytest.mark.parametrize("length", [timedelta(0), timedelta(days=-1)])
def test_a_window_has_a_length(length: timedelta) -> None:
    with pytest.raises(UsageError, match="expected more than zero"):
        Window("s", "sum", "v", length)


def test_a_view_has_lookups_or_windows(rows: DataFrame) -> None:
    with pytest.raises(UsageError, match="exactly one of the two"):
        View("x", rows, **BASE)
    with pytest.raises(UsageError, match="exactly one of the two"):
        View("x", rows, **BASE, lookups={"v": "v"}, windows=(Window("n", "count"),))


def test_a_negative_ttl_and_a_ttl_of_windows_are_refused(rows: DataFrame) -> None:
    with pytest.raises(UsageError, match="zero \\(no limit\\) or more"):
        View("x", rows, **BASE, lookups={"v": "v"}, ttl=timedelta(microseconds=-1))
    with pytest.raises(UsageError, match="a ttl belongs to lookups"):
        View("x", rows, **BASE, windows=(Window("n", "count"),), ttl=timedelta(days=1))


def test_deletes_need_the_identity_of_rows(rows: DataFrame) -> None:
    with pytest.raises(UsageError, match="deletes need row_keys"):
        View("x", rows, **BASE, lookups={"v": "v"}, deleted="dead")


def test_a_column_that_is_not_there_is_named(rows: DataFrame) -> None:
    with pytest.raises(UsageError, match="the source has no column w"):
        View("x", rows, **BASE, lookups={"v": "w"})
