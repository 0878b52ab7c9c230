"""What a feature view says about its source table, in plain values: keys, clocks, versions, features.

Nothing here starts a Spark job; a declaration that cannot be right is refused when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from scorelake.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FUNCTIONS = frozenset(
    {"sum", "count", "mean", "min", "max", "stddev", "variance", "count_distinct", "first", "last", "age"}
)
ROWS = "*"
"""The column of a window that looks at rows, not at values: `count` and `age`."""


@dataclass(frozen=True)
class Window:
    """One aggregation over the visible rows with event time in [t - length, t); no length: all before t.

    `name` is the output column. `age` is seconds from the last row to t and ignores `column`.
    """

    name: str
    function: str
    column: str = ROWS
    length: timedelta | None = None

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            known = ", ".join(sorted(FUNCTIONS))
            raise UsageError(f"window {self.name}: function {self.function} is not one of {known}")
        if self.column == ROWS and self.function not in ("count", "age"):
            raise UsageError(f"window {self.name}: {self.function} needs a column; only count and age look at rows")
        if self.length is not None and self.length <= timedelta(0):
            raise UsageError(f"window {self.name}: length is {self.length}, expected more than zero, or none at all")


@dataclass(frozen=True)
class View:
    """Features of one source table, either lookups (feature -> column) or windows, never both.

    rows          the source: every version of every row, partitioned in any way
    join_keys     spine column -> source column; empty for a view without an entity (a calendar)
    event_time    when it happened; null: the row is never seen
    available_at  when it could first be known; null in a row: never seen. None: the table has no such column,
                  the second clock is off, versions of a row are told apart by `event_time` and `order` alone
    row_keys      identity of a row across its versions; () means that every row is its own event
    order         what decides first between rows of equal clocks, greatest wins, null least; after it come the other
                  columns of `rows` in order, so that only equal rows are interchangeable
    deleted       boolean column: such a version makes its row invisible from its available_at on; of two versions that
                  are otherwise equal it counts
    until         timestamp column, for rows without row_keys: the row counts before it only; null: for ever. With the
                  second clock off, rows that end do not count at all
    ttl           lookups only: a row older than this at t gives nulls; None or zero: no limit
    second_clock  False: rows count from their event time on, `available_at` only tells the latest version
    prefix        is put before every feature name in the output
    is_scan       `rows` is all rows of some Parquet files as they stand there (no filter, no computed or renamed
                  column, no deletion vectors): workers may then read the files themselves, which is much cheaper
    """

    name: str
    rows: DataFrame
    join_keys: Mapping[str, str]
    event_time: str
    available_at: str | None
    row_keys: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    deleted: str | None = None
    until: str | None = None
    ttl: timedelta | None = None
    lookups: Mapping[str, str] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    second_clock: bool = True
    prefix: str = ""
    is_scan: bool = False

    def __post_init__(self) -> None:
        if bool(self.lookups) == bool(self.windows):
            raise UsageError(f"view {self.name}: give lookups or windows, exactly one of the two")
        if self.ttl is not None and self.ttl < timedelta(0):
            raise UsageError(f"view {self.name}: ttl is {self.ttl}, expected zero (no limit) or more")
        if self.ttl and self.windows:
            raise UsageError(f"view {self.name}: a ttl belongs to lookups; a window has its length")
        if self.deleted and not self.row_keys:
            raise UsageError(f"view {self.name}: deletes need row_keys, to say which row is deleted")
        if self.until and self.row_keys:
            raise UsageError(f"view {self.name}: rows with row_keys end with their next version; leave `until` out")
        self._require_columns()

    def _require_columns(self) -> None:
        known = set(self.rows.columns)
        missing = sorted(set(self.columns()) - known)
        if missing:
            raise UsageError(f"view {self.name}: the source has no column {', '.join(missing)}; it has {sorted(known)}")

    @property
    def is_clocked(self) -> bool:
        """Whether a row is hidden until its available_at."""
        return self.second_clock and self.available_at is not None

    @property
    def features(self) -> tuple[str, ...]:
        """Output columns in order, prefix included."""
        names = tuple(self.lookups) if self.lookups else tuple(window.name for window in self.windows)
        return tuple(self.prefix + name for name in names)

    def values(self) -> tuple[str, ...]:
        """Source columns that features are made of, each once."""
        used = self.lookups.values() if self.lookups else (w.column for w in self.windows if w.column != ROWS)
        return tuple(dict.fromkeys(used))

    def columns(self) -> tuple[str, ...]:
        """Every source column that the view names, each once."""
        clocks = (self.event_time, self.available_at, self.deleted, self.until)
        named = (*self.join_keys.values(), *filter(None, clocks), *self.row_keys, *self.order, *self.values())
        return tuple(dict.fromkeys(named))

    def maps(self) -> frozenset[str]:
        """Columns of `rows` that Spark itself does not compare: they compare by their sorted entries."""
        return frozenset(name for name, kind in self.rows.dtypes if kind.startswith("map<"))

    def tie_break(self) -> tuple[str, ...]:
        """Columns that decide between rows of equal clocks, most important first; whether one deletes comes last."""
        others = (name for name in self.rows.columns if name != self.deleted)
        return tuple(dict.fromkeys((*self.order, *others, *filter(None, [self.deleted]))))
