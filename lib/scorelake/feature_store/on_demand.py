"""On-demand feature views, run inside Spark: row-wise Python over Arrow batches, nothing comes to the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        for batch in batches:
            outputs = [column for step in steps for column in step.outputs(batch)]
            schema = pa.schema([*batch.schema, *added])
            yield pa.RecordBatch.from_arrays([*batch.columns, *outputs], schema=schema)

    types = StructType([*frame.schema.fields, *from_arrow_schema(pa.schema(added)).fields])
    return frame.mapInArrow(run, types)


@dataclass(frozen=True)
class Step:
    """What a worker needs of one view. It holds nothing of Feast's: importing that costs a worker seconds.

    `inputs` are (column of the frame, name that the function sees); `types` Arrow's, by name of the output.
    """

    view: str
    function: Callable[[Any], Any]
    mode: str
    inputs: tuple[tuple[str, str], ...]
    types: Mapping[str, pa.DataType]

    def outputs(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The function's answer to one batch, a column an output. ConfigError when it is not a row an input row."""
        import pyarrow as pa

        inputs = pa.table({name: batch.column(column) for column, name in self.inputs})
        answer = self._answer(inputs)
        columns = [pa.array(answer[name], type=kind, from_pandas=True) for name, kind in self.types.items()]
        for name, column in zip(self.types, columns, strict=True):
            if len(column) != batch.num_rows:
                raise ConfigError(f"on-demand view {self.view}: {len(column)} values of {name}, {batch.num_rows} rows")
        return columns

    def _answer(self, inputs: pa.Table) -> Any:
        if self.mode == "pandas":
            return self.function(inputs.to_pandas())
        if self.mode == "singleton":
            rows = [self.function(row) for row in inputs.to_pylist()]
            return {name: [row[name] for row in rows] for name in self.types}
        return self.function(inputs.to_pydict())


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


def _step(wanted: OnDemand, columns: Sequence[str]) -> Step:
    """Functions see request data, and every input as `<view>__<feature>` and, as in Feast, as `<feature>`."""
    view = wanted.view
    transformation = view.feature_transformation
    mode = "singleton" if view.singleton else str(getattr(view.mode, "value", view.mode))
    if mode not in ("pandas", "python", "singleton") or view.aggregations or transformation is None:
        raise ConfigError(f"on-demand view {view.name}: only row-wise functions in mode pandas or python are run")
    requested = view.get_request_data_schema()
    names = {name: name for name in columns if "__" not in name or name in requested}
    for projection in view.source_feature_view_projections.values():
        for feature in projection.features:
            column = f"{alias_of(projection)}__{feature.name}"
            names |= {f"{projection.name}__{feature.name}": column, feature.name: column}
    return Step(
        view=view.name,
        function=transformation.udf,
        mode=mode,
        inputs=tuple((column, name) for name, column in names.items()),
        types={field.name.removeprefix(f"{wanted.alias}__"): field.type for field in wanted.output()},
    )
