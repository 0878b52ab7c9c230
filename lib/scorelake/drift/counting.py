"""The one pass a night: how many rows of a slice fall into each frozen cell.

Three ways with equal answers. In order of cost: the scoring pass hands its batches to `kernel.Counter`
(fused); `of_files` reads Parquet inside the Python workers, so that no value crosses from the JVM;
`of_frame` takes any frame. All sources of a night are one Spark job for any number of columns, and each
task sends only its integers, keyed by its partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from scorelake.drift.counts import Counts, zero
from scorelake.drift.kernel import Counter, merge, problems
from scorelake.drift.parquet import read
from scorelake.drift.profile import Profile
from scorelake.packing import Batch, Packing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PART = "part binary"
_BATCH_ROWS = 65_536

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Source:
    """Rows yet to be counted: `parts` is a frame of what each task will send, in the cells of `counted`, a part of
    `profile`; `wrong` are the columns that cannot be counted."""

    profile: Profile
    counted: Profile
    parts: DataFrame | None
    wrong: Mapping[str, str]


def count(frame: DataFrame, profile: Profile, *, weight: str | None = None) -> Counts:
    """Counts of a frame's rows, one Spark job; a missing or retyped column is a problem, not an error."""
    return collected([of_frame(frame, profile, weight=weight)])[0]


def count_files(
    spark: SparkSession,
    files: Sequence[str],
    profile: Profile,
    *,
    types: Mapping[str, str],
    tasks: int,
    weight: str | None = None,
) -> Counts:
    """Counts of Parquet files, one Spark job; see `of_files`."""
    return collected([of_files(spark, files, profile, types=types, tasks=tasks, weight=weight)])[0]


def of_frame(frame: DataFrame, profile: Profile, *, weight: str | None = None) -> Source:
    """The rows of any frame. Segment columns that it lacks leave its rows in `all` alone."""
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    wrong = problems(profile, types)
    wanted = [name for name in profile.columns if name in types and name not in wrong]
    if len(wrong) == len(profile.features):
        return Source(profile, profile, None, wrong)
    packing = Packing.of(list(dict.fromkeys([*wanted, *([weight] if weight else [])])), types)
    task = _frame_task(profile, packing, weight)
    return Source(profile, profile, frame.select(*packing.columns()).mapInArrow(task, _PART), wrong)


def of_files(
    spark: SparkSession,
    files: Sequence[str],
    profile: Profile,
    *,
    types: Mapping[str, str],
    tasks: int,
    weight: str | None = None,
) -> Source:
    """Parquet files that hold exactly the rows of a slice, read inside `tasks` Python workers.

    Only for files that are the whole truth: a Delta slice without deletion vectors and column mapping
    qualifies (its `inputFiles`). Paths are local or URIs that pyarrow opens on a worker. `types` are the
    table's own (simpleString by column): a column that one file lacks is null in it, as Delta reads it.
    """
    wrong = problems(profile, types)
    if not files or len(wrong) == len(profile.features):
        return Source(profile, profile, None, wrong)
    sound = profile.only(set(profile.offsets) - set(wrong))
    task = _file_task(sound, list(files), tasks, weight)
    return Source(profile, sound, spark.range(0, tasks, 1, tasks).mapInArrow(task, _PART), wrong)


def collected(sources: Sequence[Source]) -> list[Counts]:
    """The counts of each source, all of them in one Spark job."""
    from pyspark.sql import functions as F

    frames = [s.parts.select(F.lit(i).alias("source"), "part") for i, s in enumerate(sources) if s.parts is not None]
    parts: list[list[bytes]] = [[] for _ in sources]
    for row in reduce(lambda one, other: one.unionAll(other), frames).collect() if frames else ():
        parts[row["source"]].append(bytes(row["part"]))
    return [_merged_parts(source, sent) for source, sent in zip(sources, parts, strict=True)]


def _merged_parts(source: Source, parts: list[bytes]) -> Counts:
    if source.counted is source.profile:
        return merge(source.profile, parts, problems=source.wrong)
    return zero(source.profile, source.wrong).replaced(merge(source.counted, parts))


def _frame_task(profile: Profile, packing: Packing, weight: str | None) -> Callable[[Batches], Batches]:
    def task(batches: Batches) -> Batches:
        from pyspark import TaskContext

        counter = Counter(profile, weight=weight)
        for batch in _large(batches):
            counter.add(Batch(batch, packing).columns(packing.names))
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


def _large(batches: Batches) -> Batches:
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
