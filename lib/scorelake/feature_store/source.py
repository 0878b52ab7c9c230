"""A table of the lake as Feast sees it: lookups of its latest row, or windows over its events.

    LakeSource(name="baskets", table="silver.transactions", aggregations=[
        Aggregation(column="sales_value", function="sum", time_window=timedelta(days=28), name="spend_28d"),
    ])

Keys, clocks, order and types are the contract's (`conf/tables/<layer>/<table>.yaml`) and are looked up when needed,
so the feature repo repeats nothing and `feast apply` starts no Spark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.type_map import spark_to_feast_value_type
from feast.value_type import ValueType

from scorelake.errors import ConfigError
from scorelake.feature_store import aggregations as windows
from scorelake.feature_store.contracts import AVAILABLE_AT, contract_of, event_time_of, types_of
from scorelake.tables import Versioned

if TYPE_CHECKING:
    from feast.aggregation import Aggregation
    from feast.repo_config import RepoConfig


class LakeSource(DataSource):
    """Rows of `table`, seen through both clocks.

    With `aggregations` a view of this source holds windows, without them the latest visible row. `available_at=False`
    switches the second clock off: corrections then leak into the past, which manifests record and a warning says.
    `timestamp_field` is for a table whose contract names another event time than this view should use.
    """

    def __init__(
        self,
        *,
        name: str,
        table: str,
        aggregations: Sequence[Aggregation] = (),
        available_at: bool = True,
        timestamp_field: str | None = None,
        field_mapping: dict[str, str] | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
    ) -> None:
        self.table = table
        self.aggregations = tuple(aggregations)
        self.available_at = available_at
        self._applied_clocks: tuple[str, str] | None = None
        super().__init__(
            name=name,
            timestamp_field=timestamp_field,
            field_mapping=field_mapping,
            description=description,
            tags=tags,
            owner=owner,
        )

    # Feast reads and assigns these two. They follow from the contract; an object from the registry keeps what was
    # applied. Without a contract they are empty: `problems` says why, and nothing that reads rows goes on.

    @property
    def timestamp_field(self) -> str:
        return self._timestamp_field or self._clocks()[0]

    @timestamp_field.setter
    def timestamp_field(self, column: str) -> None:
        self._timestamp_field = column

    @property
    def created_timestamp_column(self) -> str:
        return self._clocks()[1]

    @created_timestamp_column.setter
    def created_timestamp_column(self, column: str) -> None:
        if column not in ("", AVAILABLE_AT):
            raise ConfigError(f"LakeSource {self.name}: the second clock is {AVAILABLE_AT}, not {column}")

    def timestamp_field_in(self, contract: Versioned) -> str:
        """The event time: the declared column, else the contract's."""
        return self._timestamp_field or event_time_of(contract)

    def _clocks(self) -> tuple[str, str]:
        if self._applied_clocks is not None:
            return self._applied_clocks
        try:
            event_time = self.timestamp_field_in(self.contract())
        except ConfigError:
            return "", ""
        return event_time, AVAILABLE_AT if self.available_at and event_time != AVAILABLE_AT else ""

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        return DataSourceProto.CUSTOM_SOURCE

    def contract(self, conf_dir: str | Path | None = None) -> Versioned:
        """What the table promises; ConfigError when it has no contract."""
        return contract_of(self.table, conf_dir)

    def outputs(self, conf_dir: str | Path | None = None) -> dict[str, str]:
        """Spark's simple type of every column that a view of this source may call a feature or a join key."""
        types = types_of(self.contract(conf_dir))
        if not self.aggregations:
            return {self.field_mapping.get(name, name): kind for name, kind in types.items()}
        found = (
            (windows.name_of(a), windows.output_type(a.function, types.get(a.column, ""))) for a in self.aggregations
        )
        return {name: kind for name, kind in found if kind is not None}

    def problems(self, conf_dir: str | Path | None = None) -> Iterator[str]:
        """Everything that the contract says against this source."""
        try:
            types = types_of(self.contract(conf_dir))
        except ConfigError as error:
            yield str(error)
            return
        if self._timestamp_field and types.get(self._timestamp_field) != "timestamp":
            yield f"timestamp_field {self._timestamp_field} is no TIMESTAMP column of {self.table}"
        for column in sorted(set(self.field_mapping) - set(types)):
            yield f"field_mapping: no column {column} in {self.table}"
        if self.field_mapping and self.aggregations:
            yield "field_mapping has no meaning for windows; give the aggregation a name"
        for aggregation in self.aggregations:
            yield from windows.problems(aggregation, types)
        names = [windows.name_of(aggregation) for aggregation in self.aggregations]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"two aggregations are called {name}"

    # ------------------------------------------------------------ what Feast asks of a source

    def validate(self, config: RepoConfig) -> None:
        found = list(self.problems(_conf_dir(config)))
        if found:
            raise ConfigError("\n".join(f"LakeSource {self.name}: {problem}" for problem in found))

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Columns that Feast infers a view's schema from.

        A windowed source gives its outputs only, since Feast would take any other column for a feature; entities
        of such views therefore declare their value_type.
        """
        return list(self.outputs(_conf_dir(config)).items())

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        return feast_type

    def get_table_query_string(self) -> str:
        return self.table

    def __eq__(self, other: object) -> bool:
        """`feast apply` sees a change only where this says so."""
        return (
            isinstance(other, LakeSource)
            and bool(super().__eq__(other))  # type: ignore[no-untyped-call]
            and self._options() == other._options()
        )

    __hash__ = DataSource.__hash__

    def _options(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "aggregations": [windows.to_json(aggregation) for aggregation in self.aggregations],
            "available_at": self.available_at,
            "timestamp_field": self._timestamp_field,
        }

    def _to_proto_impl(self) -> DataSourceProto:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{LakeSource.__module__}.{LakeSource.__qualname__}",
            custom_options=DataSourceProto.CustomSourceOptions(configuration=json.dumps(self._options()).encode()),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            field_mapping=self.field_mapping,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> LakeSource:
        options = json.loads(data_source.custom_options.configuration)
        source = LakeSource(
            name=data_source.name,
            table=options["table"],
            aggregations=[windows.from_json(data) for data in options["aggregations"]],
            available_at=options["available_at"],
            timestamp_field=options["timestamp_field"],
            field_mapping=dict(data_source.field_mapping),
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )
        source._applied_clocks = (data_source.timestamp_field, data_source.created_timestamp_column)
        return source


def feast_type(spark_type: str) -> ValueType:
    """Feast's type of a column: decimals stay decimals, where Feast's own mapping makes doubles of them."""
    if spark_type.startswith("decimal("):
        return ValueType.DECIMAL
    if spark_type.startswith("array<decimal("):
        return ValueType.DECIMAL_LIST
    if spark_type == "binary":
        return ValueType.BYTES
    return spark_to_feast_value_type(spark_type)


def _conf_dir(config: RepoConfig) -> str | None:
    return getattr(config.offline_store, "conf_dir", None) or None
