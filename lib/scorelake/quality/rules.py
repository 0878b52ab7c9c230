"""A rule says of each row whether it fails; expectations of row level and the engine's own rules are alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scorelake.tables import Expectation, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Action = Literal["fail", "quarantine", "warn"]

JUDGED = "__judged"
"""Boolean column that rules may read: true unless the row failed a rule that `settles` it."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Count:
    """Of one rule in one slice: rows in its scope, rows it could decide, rows that failed."""

    rows: int
    considered: int
    unexpected: int


@dataclass(frozen=True, eq=False)
class Rule:
    """`failed` is true where a row fails; null is false.

    scope       rows the rule speaks of (a row_condition); None is every judged row
    considered  rows of the scope that it can decide, the denominator of `mostly`; None is the whole scope
    settles     a row that fails it is not judged by expectations any more: a malformed line, the loser of a key
    evidence    what Great Expectations makes of the counts, as its validation result; None for the engine's own rules
    """

    name: str
    action: Action
    failed: Column
    scope: Column | None = None
    considered: Column | None = None
    settles: bool = False
    expectation: Expectation | None = None
    evidence: Callable[[Count], Any] | None = None


def implied(name: str, failed: Column, *, settles: bool = False) -> Rule:
    """A rule of the engine itself, such as `parses as BIGINT: quantity` or `duplicate`; its rows are quarantined."""
    return Rule(name, "quarantine", failed, settles=settles)


def aliases(columns: Iterable[str]) -> dict[str, str]:
    """Column -> the name under which rules find it. GX does not quote names, so odd ones get a plain alias."""
    return {name: name if _PLAIN.fullmatch(name) else f"__column_{position}" for position, name in enumerate(columns)}


def addressable(frame: DataFrame) -> DataFrame:
    """`frame` with the aliases of its odd column names beside them."""
    from pyspark.sql import functions as F

    added = {alias: F.col(quoted(name)) for name, alias in aliases(frame.columns).items() if alias != name}
    return frame.select("*", *(column.alias(alias) for alias, column in added.items()))
