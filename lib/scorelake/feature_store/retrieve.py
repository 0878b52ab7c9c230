"""Features of any spine as of its instants: the one path that jobs, notebooks and Feast's own calls share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorelake.errors import UsageError
from scorelake.feature_store.on_demand import OnDemand, with_on_demand
from scorelake.feature_store.selection import Selection, Tables, engine_views, table_of
from scorelake.tables import quoted

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import DataFrame

    from scorelake.feature_store.histories import Stored

EVENT_TIMESTAMP = "event_timestamp"
FEW = 250_000
"""Keys and instants of so many rows fit the memory of every task."""


@dataclass(frozen=True)
class Request:
    """Features to fetch, in the order of the answer.

    `asked` are (alias, feature) of stored and on-demand views; `selections` hold every stored feature that is needed,
    inputs of on-demand views included.
    """

    asked: tuple[tuple[str, str], ...]
    selections: tuple[Selection, ...]
    on_demand: tuple[OnDemand, ...] = ()

    @property
    def join_keys(self) -> tuple[str, ...]:
        """Columns that the spine must have, each once, in the order of the views."""
        return tuple(dict.fromkeys(key for selection in self.selections for key in selection.join_keys))

    @property
    def tables(self) -> frozenset[str]:
        """Lake tables that an answer reads."""
        return frozenset(table for table in map(table_of, self.selections) if table is not None)


def features(
    spine: DataFrame,
    request: Request,
    *,
    tables: Tables,
    timestamp: str = EVENT_TIMESTAMP,
    full_feature_names: bool = False,
    audit: bool = False,
    between: tuple[datetime, datetime] | None = None,
    rows: int | None = None,
    conf_dir: str | None = None,
    stored: Stored = lambda _: None,
) -> DataFrame:
    """Every row of `spine` once, its columns, then the asked features as of `timestamp` (semantics 2 and 3).

    Features are called by their own name, or `<view>__<feature>` with `full_feature_names`. With `audit` follow, for
    each view of lookups, `<view>__event_time` and `<view>__age` (seconds) of the source row. `between` promises that
    every instant of the spine lies in it, and `rows` that it has no more of them, so that less is read and moved.
    `stored` finds interval tables of views; the answer is the same without. UsageError when names would meet or a join
    key is missing.
    """
    from pyspark.sql import functions as F

    from scorelake.features.answers import audit_names
    from scorelake.features.asof import as_of
    from scorelake.features.history import as_of_intervals

    names = _output_names(spine, request, full_feature_names=full_feature_names)
    _require_columns(spine.columns, (*request.join_keys, timestamp))
    views = engine_views(request.selections, tables, conf_dir=conf_dir)
    kept = [stored(selection) for selection in request.selections]
    direct = [view for view, table in zip(views, kept, strict=True) if table is None]
    questions = spine if rows is not None and rows <= FEW else None
    answered = as_of(spine, direct, timestamp=timestamp, audit=audit, between=between)
    for view, table, selection in zip(views, kept, request.selections, strict=True):
        if table is not None:
            keys = selection.join_keys
            answered = as_of_intervals(
                answered,
                view,
                table,
                timestamp=timestamp,
                audit=audit,
                keys=keys,
                between=between,
                questions=questions,
            )
    complete = with_on_demand(answered, request.on_demand)
    if audit:
        found = [view for view in views if view.lookups]
        names |= {old: old.removeprefix(view.prefix) for view in found for old in audit_names(view)}
    return complete.select(*map(quoted, spine.columns), *(F.col(quoted(old)).alias(new) for old, new in names.items()))


def _output_names(spine: DataFrame, request: Request, *, full_feature_names: bool) -> dict[str, str]:
    """From the internal name `<alias>__<feature>` to the one in the answer; the session tells which names are equal."""
    is_exact = spine.sparkSession.conf.get("spark.sql.caseSensitive") == "true"
    fold = str if is_exact else str.lower
    names = {f"{alias}__{name}": f"{alias}__{name}" if full_feature_names else name for alias, name in request.asked}
    used = Counter(map(fold, (*spine.columns, *names.values())))
    twice = sorted({name for name in names.values() if used[fold(name)] > 1})
    if twice:
        raise UsageError(
            f"two columns of the answer would be called {', '.join(twice)}; ask for full feature names, or rename "
            "the feature or the column of the entity frame"
        )
    return names


def _require_columns(found: Iterable[str], expected: Iterable[str]) -> None:
    missing = sorted(set(expected) - set(found))
    if missing:
        raise UsageError(f"the entity frame has no column {', '.join(missing)}; it has {', '.join(found)}")
