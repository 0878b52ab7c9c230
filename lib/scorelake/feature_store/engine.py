"""Feast's compute engine: what the online store holds is the offline answer as of the end of the interval.

batch_engine:
    type: scorelake.feature_store.engine.LakeEngine
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from feast.infra.common.materialization_job import MaterializationJobStatus
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.repo_config import FeastConfigBaseModel

from scorelake.errors import UsageError
from scorelake.feature_store import online_rows
from scorelake.feature_store.offline_store import lake_of
from scorelake.feature_store.online_rows import AVAILABLE, BATCH, EVENT
from scorelake.feature_store.retrieve import EVENT_TIMESTAMP
from scorelake.feature_store.selection import Selection, engine_view
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.entity import Entity
    from feast.feature_view import FeatureView
    from feast.infra.common.materialization_job import MaterializationTask
    from feast.infra.registry.base_registry import BaseRegistry
    from pyspark.sql import DataFrame

    from scorelake.features.views import View


class LakeEngineConfig(FeastConfigBaseModel):
    type: str = "scorelake.feature_store.engine.LakeEngine"


class LakeEngine(ComputeEngine):
    """Writes every entity of a view's source, whatever the start of the interval: windows empty, values expire and
    corrections arrive for entities without a new row too. Repeating an interval, killed or not, changes nothing.
    """

    def update(
        self,
        project: str,
        views_to_delete: Sequence[Any],
        views_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
    ) -> None:
        """Nothing to prepare: the lake and the online store exist without the engine."""

    def teardown_infra(self, project: str, fvs: Sequence[Any], entities: Sequence[Entity]) -> None:
        """Nothing to take down."""

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        """A job that has ended. Feast raises its error and then records no interval."""
        name, error = f"{task.feature_view.name}-{task.end_time:%Y%m%dT%H%M%S.%f}", None
        try:
            self._materialize(task)
        except Exception as raised:
            error = raised
        status = MaterializationJobStatus.ERROR if error else MaterializationJobStatus.SUCCEEDED
        return LocalMaterializationJob(job_id=name, status=status, error=error)

    def _materialize(self, task: MaterializationTask) -> None:
        now = datetime.now(UTC)
        instant = now if task.disable_event_timestamp else task.end_time.astimezone(UTC)
        view = task.feature_view
        if instant > now:
            raise UsageError(
                f"feature view {view.name}: the end {instant.isoformat()} lies in the future; what will be known "
                "then is not known now, and the next incremental run would start there"
            )
        conf_dir = getattr(self.repo_config.offline_store, "conf_dir", None)
        selection = Selection(view, view.name, tuple(feature.name for feature in view.features))
        answers = answers_as_of(engine_view(selection, lake_of(self.repo_config), conf_dir=conf_dir), view, instant)
        if "sqlite" in str(self.repo_config.online_store.type).lower():
            self._write_from_driver(answers, view, instant)  # the file lies on the driver's machine
        else:
            self._write_from_executors(answers, view, instant)

    def _write_from_driver(self, answers: DataFrame, view: FeatureView, instant: datetime) -> None:
        """Partition by partition: the driver holds one partition at a time."""
        rows = answers.toLocalIterator()
        while batch := list(islice(rows, BATCH)):
            columns = online_rows.columns_of(batch, answers.columns)
            online_rows.write(self.online_store, self.repo_config, view, columns, instant)

    def _write_from_executors(self, answers: DataFrame, view: FeatureView, instant: datetime) -> None:
        """Each task writes its own rows; a task that runs twice writes the same again."""
        config, blob = self.repo_config, view.to_proto().SerializeToString()

        def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            import pyarrow as pa
            from feast.feature_view import FeatureView
            from feast.infra.online_stores.helpers import get_online_store_from_config
            from feast.protos.feast.core.FeatureView_pb2 import FeatureView as Proto

            store, restored = (
                get_online_store_from_config(config.online_store),
                FeatureView.from_proto(Proto.FromString(blob)),
            )
            count = 0
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH):
                    columns = batch.slice(start, BATCH).to_pydict()
                    count += online_rows.write(store, config, restored, columns, instant)
            yield pa.record_batch({"rows": pa.array([count], pa.int64())})

        answers.mapInArrow(write, "rows BIGINT").groupBy().sum("rows").collect()  # one row


def answers_as_of(engine: View, view: FeatureView, instant: datetime) -> DataFrame:
    """One row for every entity with a row that is visible or past: join keys, features, and the clocks of lookups."""
    from pyspark.sql import functions as F

    from scorelake.features.asof import as_of

    at = F.lit(instant)
    seen = engine.rows.where(F.col(quoted(engine.event_time)) <= at)
    if engine.is_clocked:
        seen = seen.where(F.col(quoted(str(engine.available_at))) <= at)
    keys = [F.col(quoted(source)).alias(key) for key, source in engine.join_keys.items()]
    entities = seen.select(*keys).na.drop().distinct() if keys else seen.sparkSession.range(1).select()
    clocks = {}
    if engine.lookups:
        clocks = {EVENT: engine.event_time} | ({AVAILABLE: engine.available_at} if engine.available_at else {})
        engine = dataclasses.replace(engine, lookups={**engine.lookups, **clocks})
    answers = as_of(entities.withColumn(EVENT_TIMESTAMP, at), [engine], timestamp=EVENT_TIMESTAMP)
    features = [F.col(quoted(engine.prefix + name)).alias(name) for name in (*(f.name for f in view.features), *clocks)]
    missing = [F.lit("").alias(field.name) for field in view.entity_columns if field.name not in engine.join_keys]
    return answers.select(*(quoted(key) for key in engine.join_keys), *missing, *features)
