"""Where Feast's saved datasets go: a Delta table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.saved_dataset import SavedDatasetStorage

from scorelake.feature_store.source import LakeSource

if TYPE_CHECKING:
    from feast.data_source import DataSource
    from feast.protos.feast.core.SavedDataset_pb2 import SavedDatasetStorage as StorageProto


class SavedTable(SavedDatasetStorage):
    """A Delta table that holds a saved dataset, by its name in SQL."""

    _proto_attr_name = "custom_storage"

    def __init__(self, table: str) -> None:
        self.table = table

    def to_proto(self) -> StorageProto:
        configuration = json.dumps({"table": self.table}).encode()
        return self._custom_storage_proto(DataSourceProto.CustomSourceOptions(configuration=configuration))

    @staticmethod
    def from_proto(storage_proto: StorageProto) -> SavedTable:
        return SavedTable(json.loads(storage_proto.custom_storage.configuration)["table"])

    def to_data_source(self) -> DataSource:
        return LakeSource(name=self.table, table=self.table, timestamp_field="event_timestamp")
