"""Frames under names that SQL can say, for the length of a query."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

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
