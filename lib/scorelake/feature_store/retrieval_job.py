"""An answer that Feast's callers take where they need it: a Spark frame, an Arrow table, pandas, a saved table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from scorelake.errors import UsageError
from scorelake.feature_store.saved_table import SavedTable
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.saved_dataset import SavedDatasetStorage, ValidationReference
    from pyspark.sql import DataFrame


class LakeRetrievalJob(RetrievalJob):
    """Nothing runs until the answer is taken. `to_spark_df` never leaves Spark; the others come to the driver."""

    def __init__(
        self,
        answer: DataFrame,
        *,
        spine: DataFrame,
        timestamp: str,
        features: Sequence[str],
        keys: Sequence[str],
        full_names: bool = False,
    ) -> None:
        self._answer = answer
        self._spine = spine
        self._timestamp = timestamp
        self._features = list(features)
        self._keys = list(keys)
        self._full_names = full_names

    def to_spark_df(self) -> DataFrame:
        """The answer, on-demand features included."""
        return self._answer

    def to_df(
        self, validation_reference: ValidationReference | None = None, timeout: int | None = None
    ) -> pd.DataFrame:
        """In pandas; an integer column that holds nulls stays integer (Int64), where pandas would make floats."""
        table = self.to_arrow(validation_reference=validation_reference, timeout=timeout)
        return _with_nullable_integers(table)

    @property
    def full_feature_names(self) -> bool:
        return self._full_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None: they are in the answer already, and Feast's base class would apply them again."""
        return []

    @cached_property
    def _metadata(self) -> RetrievalMetadata:
        from pyspark.sql import functions as F

        at = F.col(quoted(self._timestamp))
        first, last = self._spine.agg(F.min(at), F.max(at)).collect()[0]  # one row
        return RetrievalMetadata(self._features, self._keys, first, last)

    @property
    def metadata(self) -> RetrievalMetadata:
        """Reads the spine once, when somebody asks: saved datasets keep the first and last timestamp."""
        return self._metadata

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the answer as a Delta table. UsageError for a storage that is not a SavedTable."""
        if not isinstance(storage, SavedTable):
            raise UsageError(f"expected storage=SavedTable(table), found {type(storage).__name__}")
        writer = self._answer.write.format("delta").mode("overwrite" if allow_overwrite else "error")
        writer.option("overwriteSchema", str(allow_overwrite)).saveAsTable(storage.table)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._answer.toArrow()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return _with_nullable_integers(self._to_arrow_internal(timeout))


def _with_nullable_integers(table: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable: dict[Any, Any] = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }
    frame: pd.DataFrame = table.to_pandas()
    for column in table.schema:
        if column.type in nullable and table.column(column.name).null_count:
            frame[column.name] = table.column(column.name).to_pandas(types_mapper=nullable.get)
    return frame
