"""From columns of values to the rows that Feast's online stores write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from feast.feature_view import FeatureView
    from feast.infra.online_stores.online_store import OnlineStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value
    from feast.repo_config import RepoConfig
    from feast.value_type import ValueType

    OnlineRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

EVENT, AVAILABLE = "__event", "__available"
"""Columns beside the features: the two clocks of the row behind them; null where there is no such row."""
BATCH = 10_000


class WritesAsOf(Protocol):
    """An online store that knows what a materialization's as-of instant means for what it already holds."""

    def write_as_of(
        self, config: RepoConfig, view: FeatureView, rows: Sequence[OnlineRow], as_of: datetime
    ) -> None: ...


def write(
    store: OnlineStore, config: RepoConfig, view: FeatureView, columns: Mapping[str, Sequence[Any]], as_of: datetime
) -> int:
    """Write one batch of answers as of an instant; a store of Feast's own gets them by its own rules."""
    rows = online_rows(view, columns, as_of)
    if hasattr(store, "write_as_of"):
        store.write_as_of(config, view, rows, as_of)
    else:
        dated = [(key, values, event or as_of, available) for key, values, event, available in rows]
        store.online_write_batch(config, view, dated, None)
    return len(rows)


def online_rows(view: FeatureView, columns: Mapping[str, Sequence[Any]], as_of: datetime) -> list[Any]:
    """(entity key, values, event time, available_at) a row; windows happen at their own end, `as_of`."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    fields = [*view.entity_columns, *view.features]
    protos = {field.name: _protos(columns[field.name], field.dtype.to_value_type()) for field in fields}
    keys = [field.name for field in view.entity_columns]
    names = [field.name for field in view.features]
    count = len(columns[fields[0].name])
    events = columns.get(EVENT) or [as_of] * count
    available = columns.get(AVAILABLE) or [None] * count
    return [
        (
            EntityKey(join_keys=keys, entity_values=[protos[key][row] for key in keys]),
            {name: protos[name][row] for name in names},
            _aware(events[row]),
            _aware(available[row]),
        )
        for row in range(count)
    ]


def columns_of(rows: Iterable[Any], names: Sequence[str]) -> dict[str, list[Any]]:
    """Spark rows turned by columns."""
    turned = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: list(values) for name, values in zip(names, turned, strict=True)}


def _protos(values: Sequence[Any], kind: ValueType) -> list[Value]:
    """Feast's conversion, except that NaN stays NaN, where Feast would make a null of it."""
    from feast.protos.feast.types.Value_pb2 import Value
    from feast.type_map import python_values_to_proto_values
    from feast.value_type import ValueType

    protos: list[Value] = python_values_to_proto_values(_plain(values), kind)
    if kind in (ValueType.DOUBLE, ValueType.FLOAT):
        nan = Value(double_val=math.nan) if kind == ValueType.DOUBLE else Value(float_val=math.nan)
        return [
            nan if value is not None and math.isnan(value) else proto
            for value, proto in zip(values, protos, strict=True)
        ]
    return protos


def _plain(values: Sequence[Any]) -> list[Any]:
    """Instants made aware, so that no conversion asks for the process zone; dates as their midnight."""
    return [_aware(value) if isinstance(value, date) else value for value in values]


def _aware(instant: Any) -> Any:
    if isinstance(instant, date) and not isinstance(instant, datetime):
        instant = datetime.combine(instant, time())
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
