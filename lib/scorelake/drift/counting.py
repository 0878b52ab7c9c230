"""The one pass a night: how many rows of a slice fall into each frozen cell.

Three ways with equal answers. In order of cost: the scoring pass hands its batches to `kernel.Counter`
(fused); `count_files` reads Parquet inside the Python workers, so that no value crosses from the JVM;
`count` takes any frame. Each is one Spark job for any number of columns, and each task sends only
its integers, keyed by its partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from scorelake.drift.counts import Counts, zero
from scorelake.drift.kernel import Counter, merge, problems
from scorelake.drift.parquet import read
from scorelake.drift.profile import Profile
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PART = "part binary"
_BATCH_ROWS = 65_536

Batches = Iterable[pa.RecordBatch]


def count(frame: DataFrame, profile: Profile, *, weight: str | None = None) -> Counts:
    """Counts of a frame's rows, one Spark job; a missing or retyped column is a problem, not an error."""
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    wrong = problems(profile, types)
    wanted = [name for name in profile.columns if name in types and name not in wrong]
    if not wanted:
        return zero(profile, wrong)
    selected = frame.select(*map(quoted, dict.fromkeys([*wanted, *([weight] if weight else [])])))
    return _collected(selected.mapInArrow(_frame_task(profile, weight), _PART), profile, wrong)


def count_files(
    spark: SparkSession,
    files: Sequence[str],
    profile: Profile,
    *,
    types: Mapping[str, str],
    tasks: int,
    weight: str | None = None,
) -> Counts:
    """Counts of Parquet files that hold exactly the rows of a slice, read inside `tasks` Python workers.

    Only for files that are the whole truth: a Delta slice without deletion vectors and column mapping
    qualifies (its `inputFiles`). Paths are local or URIs that pyarrow opens on a worker. `types` are the
    table's own (simpleString by column): a column that one file lacks is null in it, as Delta reads it.
    """
    wrong = problems(profile, types)
    if not files or len(wrong) == len(profile.features):
        return zero(profile, wrong)
    sound = profile.only(set(profile.offsets) - set(wrong))
    task = _file_task(sound, list(files), tasks, weight)
    counts = _collected(spark.range(0, tasks, 1, tasks).mapInArrow(task, _PART), sound, {})
    return zero(profile, wrong).replaced(counts)


def _collected(parts: DataFrame, profile: Profile, wrong: Mapping[str, str]) -> Counts:
    return merge(profile, [bytes(row["part"]) for row in parts.collect()], problems=wrong)


def _frame_task(profile: Profile, weight: str | None) -> Callable[[Batches], Batches]:
    def task(batches: Batches) -> Batches:
        from pyspark import TaskContext

        counter = Counter(profile, weight=weight)
        for batch in _merged(batches):
            counter.add(batch)
        context = TaskContext.get()
        yield _part(context.partitionId() if context else 0, counter)

    return task


def _file_task(profile: Profile, files: Sequence[str], tasks: int, weight: str | None) -> Callable[[Batches], Batches]:
    def task(batches: Batches) -> Batches:
        for part in [part for batch in batches for part in batch.column(0).to_pylist()]:
            counter = Counter(profile, weight=weight)
            for batch in read(files, profile, part=part, parts=tasks, weight=weight):
                counter.add(batch)
            yield _part(part, counter)

    return task


def _merged(batches: Batches) -> Batches:
    """Batches of at least `_BATCH_ROWS` rows but the last: Spark's are small and numpy calls have a price."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _BATCH_ROWS:
            yield _one(waiting)
            waiting = []
    if waiting:
        yield _one(waiting)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _part(partition: int, counter: Counter) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([counter.part(partition)], pa.binary())], ["part"])
