"""Feature rows on their way to a model: from any frame by way of the JVM, or from Parquet files read in the workers.

Either way a task gets Arrow batches of a few megabytes, and there are few tasks: each one costs as much as scoring
twenty thousand rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from scorelake.packing import Batch, Packing
from scorelake.places import parquet_file
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    Batches = Iterable[pa.RecordBatch]
    Task = Callable[[Iterable[Batch]], Iterator[pa.RecordBatch]]

BATCH_BYTES = 8 * 2**20
_VALUE_BYTES = 8
_MANY = 4
"""So many files a part are spread evenly enough."""


class Rows(Protocol):
    """Rows with named columns; `types` are Spark's (simpleString) by column."""

    @property
    def types(self) -> Mapping[str, str]: ...

    @property
    def frame(self) -> DataFrame:
        """The same rows by way of Spark, for models that answer frames."""
        ...

    @property
    def tasks(self) -> int: ...

    def map(self, task: Task, columns: Sequence[str], schema: str, *, together: int | None = None) -> DataFrame:
        """`task` over batches of `columns`, in that order, as a frame of `schema`.

        `together`: so many tasks at most, which all run at once or not at all (Spark's barrier mode).
        """
        ...

    def first(self, columns: Sequence[str], count: int) -> pa.Table:
        """At most `count` rows, on the driver."""
        ...


def batch_rows(columns: int) -> int:
    """How many rows of so many columns make a batch of `BATCH_BYTES`."""
    return max(1_000, min(100_000, BATCH_BYTES // (_VALUE_BYTES * max(columns, 1))))


@dataclass(frozen=True)
class FrameRows:
    """Any frame; at most `tasks` tasks, so that many small partitions do not become many small tasks."""

    frame: DataFrame
    tasks: int

    @property
    def types(self) -> Mapping[str, str]:
        return types_of(self.frame)

    def map(self, task: Task, columns: Sequence[str], schema: str, *, together: int | None = None) -> DataFrame:
        packing = Packing.of(columns, self.types)

        def run(batches: Batches) -> Iterator[pa.RecordBatch]:
            return task(Batch(batch, packing) for batch in _merged(batches))

        rows = self.frame.select(*packing.columns())
        # Barrier mode takes no coalesced partitions: there the rows are shuffled.
        few = rows.coalesce(self.tasks) if together is None else rows.repartition(together)
        return few.mapInArrow(run, schema, barrier=together is not None)

    def first(self, columns: Sequence[str], count: int) -> pa.Table:
        found: pa.Table = self.frame.select(*map(quoted, columns)).limit(count).toArrow()
        return found


@dataclass(frozen=True)
class SliceFile:
    """A Parquet file that a worker can open; `constants` are columns that stand in its path, not in it."""

    path: str
    constants: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileRows:
    """Parquet files that hold exactly the rows wanted; no value crosses from the JVM.

    `frame` holds these rows too; its types are the table's own: a column that an older file lacks is null there, a
    narrower one is cast.
    """

    frame: DataFrame
    files: tuple[SliceFile, ...]
    tasks: int

    @property
    def types(self) -> Mapping[str, str]:
        return types_of(self.frame)

    def map(self, task: Task, columns: Sequence[str], schema: str, *, together: int | None = None) -> DataFrame:
        files, parts, kinds = self.files, together or self.tasks, self._kinds(columns)

        def run(batches: Batches) -> Iterator[pa.RecordBatch]:
            mine = [part for batch in batches for part in batch.column(0).to_pylist()]
            return task(Batch(read) for part in mine for read in _read(files, kinds, part=part, parts=parts))

        numbers = self.frame.sparkSession.range(0, parts, 1, parts)
        return numbers.mapInArrow(run, schema, barrier=together is not None)

    def first(self, columns: Sequence[str], count: int) -> pa.Table:
        import pyarrow as pa

        kinds = self._kinds(columns)
        found: list[pa.RecordBatch] = []
        for batch in _read(self.files, kinds, part=0, parts=1, rows=count):
            found.append(batch.slice(0, count - sum(map(len, found))))
            if sum(map(len, found)) >= count:
                break
        return pa.Table.from_batches(found, schema=pa.schema(list(kinds.items())) if not found else found[0].schema)

    def _kinds(self, columns: Sequence[str]) -> dict[str, pa.DataType]:
        return arrow_types({name: self.types[name] for name in columns})


def types_of(frame: DataFrame) -> dict[str, str]:
    return {column.name: column.dataType.simpleString() for column in frame.schema}


def arrow_types(types: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Arrow's types for Spark's, on the driver: a worker cannot parse Spark's."""
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import DataType

    return {name: to_arrow_type(DataType.fromDDL(kind)) for name, kind in types.items()}


def _merged(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Batches of about `BATCH_BYTES`: a coalesced task receives the small ones of many partitions."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= BATCH_BYTES:
            yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
            waiting, size = [], 0
    if waiting:
        yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)


def _read(
    files: Sequence[SliceFile], kinds: Mapping[str, pa.DataType], *, part: int, parts: int, rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Part `part` of `parts` of the files' rows; together the parts are every row once.

    Whole files where that is even enough; otherwise the row groups of all files are dealt out in turn.
    """
    import pyarrow as pa

    are_whole = len(files) % parts == 0 or len(files) >= _MANY * parts
    texts = [name for name, kind in kinds.items() if pa.types.is_string(kind)]
    dealt = 0
    for file in files[part::parts] if are_whole else files:
        with parquet_file(file.path, texts) as parquet:
            groups = [n for n in range(parquet.num_row_groups) if are_whole or (dealt + n) % parts == part]
            dealt += parquet.num_row_groups
            if not groups:
                continue
            present = [name for name in kinds if name in parquet.schema_arrow.names]
            size = rows or batch_rows(len(kinds))
            for batch in parquet.iter_batches(size, groups, present, use_threads=False):
                yield _declared(batch, kinds, file.constants)


def _declared(batch: pa.RecordBatch, kinds: Mapping[str, pa.DataType], constants: Mapping[str, Any]) -> pa.RecordBatch:
    """The batch with every column in its declared type; texts may stay dictionaries."""
    import pyarrow as pa

    found = {name: batch.column(n) for n, name in enumerate(batch.schema.names)}
    columns = []
    for name, kind in kinds.items():
        column = found.get(name)
        if name in constants:
            column = pa.repeat(pa.scalar(constants[name], kind), len(batch))
        elif column is None:
            column = pa.nulls(len(batch), kind)
        elif not pa.types.is_dictionary(column.type) and column.type != kind:
            column = column.cast(kind)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=list(kinds))
