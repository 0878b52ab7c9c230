"""On-demand feature views, run inside Spark: row-wise Python over Arrow batches, nothing comes to the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorelake.errors import ConfigError
from scorelake.feature_store.selection import alias_of

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.on_demand_feature_view import OnDemandFeatureView
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class OnDemand:
    """Outputs of one on-demand view, as one request uses it; its inputs must already stand in the frame."""

    view: OnDemandFeatureView
    alias: str
    features: tuple[str, ...]

    def inputs(self) -> list[tuple[str, str]]:
        """(alias, feature) of every stored feature that the view reads."""
        projections = self.view.source_feature_view_projections.values()
        return [(alias_of(source), feature.name) for source in projections for feature in source.features]

    def output(self) -> pa.Schema:
        """Columns that it adds, `<alias>__<feature>`."""
        import pyarrow as pa

        types = {feature.name: feature.dtype for feature in self.view.features}
        return pa.schema([(f"{self.alias}__{name}", arrow_type(types[name])) for name in self.features])


def with_on_demand(frame: DataFrame, on_demand: Sequence[OnDemand]) -> DataFrame:
    """`frame` and the outputs of all views. Features in it are called `<alias>__<feature>`, request data as it is.

    Views see one Arrow batch at a time, so a function that looks across rows has no defined result.
    """
    if not on_demand:
        return frame
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    _require_request_data(frame, on_demand)
    steps = [_step(wanted, frame.columns) for wanted in on_demand]
    added = [field for wanted in on_demand for field in wanted.output()]

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ready = [(_restored(step["view"]), step) for step in steps]
        for batch in batches:
            outputs = [column for view, step in ready for column in _transformed(view, step, batch)]
            schema = pa.schema([*batch.schema, *added])
            yield pa.RecordBatch.from_arrays([*batch.columns, *outputs], schema=schema)

    types = StructType([*frame.schema.fields, *from_arrow_schema(pa.schema(added)).fields])
    return frame.mapInArrow(run, types)


def arrow_type(feast_type: Any) -> pa.DataType:
    """Arrow type of a declared output; Feast itself has none for bytes and says text for decimals."""
    import pyarrow as pa
    from feast.types import Bytes, Decimal, from_feast_to_pyarrow_type

    special = {Bytes: pa.binary(), Decimal: pa.decimal128(38, 18)}
    return special.get(feast_type) or from_feast_to_pyarrow_type(feast_type)


def _require_request_data(frame: DataFrame, on_demand: Iterable[OnDemand]) -> None:
    for wanted in on_demand:
        missing = sorted(set(wanted.view.get_request_data_schema()) - set(frame.columns))
        if missing:
            raise ConfigError(
                f"on-demand view {wanted.view.name} needs request data {', '.join(missing)}: "
                "give these columns in the entity frame"
            )


def _step(wanted: OnDemand, columns: Sequence[str]) -> dict[str, Any]:
    """What a worker needs, as plain data: the view as bytes and which columns it reads under which names.

    Feast looks for `<view>__<feature>` by the view's own name, also where the request knows it by another.
    """
    view = wanted.view
    projections = list(view.source_feature_view_projections.values())
    inputs = {f"{alias_of(p)}__{f.name}": f"{p.name}__{f.name}" for p in projections for f in p.features}
    plain = {name: name for name in columns if "__" not in name}
    return {
        "view": view.to_proto().SerializeToString(),
        "inputs": plain | inputs,
        "features": wanted.features,
        "types": [field.type for field in wanted.output()],
    }


def _restored(blob: bytes) -> OnDemandFeatureView:
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView as Proto

    view: OnDemandFeatureView = OnDemandFeatureView.from_proto(Proto.FromString(blob))
    return view


def _transformed(view: OnDemandFeatureView, step: dict[str, Any], batch: pa.RecordBatch) -> list[pa.Array]:
    import pyarrow as pa

    inputs = pa.table({new: batch.column(old) for old, new in step["inputs"].items()})
    outputs = view.transform_arrow(inputs, full_feature_names=False)
    return [
        _one_array(outputs.column(name)).cast(kind) for name, kind in zip(step["features"], step["types"], strict=True)
    ]


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if column.num_chunks else combined.slice(0, 0)
