"""Frames under names that SQL can say, for the length of a query."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_numbers = itertools.count(1)


def named(frame: DataFrame) -> str:
    """A temporary view of `frame` under a name that nobody else has.

    It stays for the session: Spark Connect resolves names only when the query runs.
    """
    name = f"scorelake_view_{next(_numbers)}"
    frame.createOrReplaceTempView(name)
    return name


def union(frames: Iterable[DataFrame]) -> DataFrame:
    """All rows of frames with the same columns.

    One query over views: a chain of unions would be analysed again at every link, which for a year of slices takes
    longer than their rows.
    """
    parts = list(frames)
    columns = ", ".join(map(quoted, parts[0].columns))
    queries = (f"SELECT {columns} FROM {named(part)}" for part in parts)
    return parts[0].sparkSession.sql(" UNION ALL ".join(queries)) if len(parts) > 1 else parts[0]
