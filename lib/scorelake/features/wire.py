"""How spine rows and source rows travel in one frame: a tag, the entity key, an instant, and slots.

Columns of equal type share slots, whichever table they come from, so that a row is as wide as the widest table and not
as all tables together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

TAG, AT = "#tag", "#at"
"""Names begin with #, as no column of a table does."""


def key_column(number: int) -> str:
    return f"#key{number}"


@dataclass(frozen=True)
class Slots:
    """Which slot each column of one table travels in."""

    slot_of: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.slot_of[column]


def assign(tables: Sequence[Mapping[str, DataType]]) -> tuple[list[Slots], dict[str, DataType]]:
    """Slots of each table's columns, and the type of every slot."""
    kinds: dict[str, int] = {}
    types: dict[str, DataType] = {}
    tables_slots = []
    for columns in tables:
        used: Counter[str] = Counter()
        slot_of = {}
        for column, data_type in columns.items():
            kind = data_type.json()
            number = kinds.setdefault(kind, len(kinds))
            slot = f"#slot{number}_{used[kind]}"
            used[kind] += 1
            slot_of[column] = slot
            types[slot] = data_type
        tables_slots.append(Slots(slot_of))
    return tables_slots, types


def split(batches: Iterable[pa.RecordBatch], members: Mapping[int, Sequence[str]]) -> dict[int, list[pa.Array]]:
    """The columns of each member (tag -> physical columns), whole; nothing at all when no row arrived."""
    pieces: dict[int, list[pa.RecordBatch]] = {tag: [] for tag in members}
    for batch in batches:
        tags = batch.column(TAG)
        present = tags.unique().to_pylist()
        for tag in present:
            mine = batch.select(list(members[tag]))
            pieces[tag].append(mine if len(present) == 1 else mine.filter(pc.equal(tags, tag)))
        nothing = batch.slice(0, 0)
    if not any(pieces.values()):
        return {}
    return {tag: _joined(some or [nothing.select(list(members[tag]))]) for tag, some in pieces.items()}


def _joined(pieces: list[pa.RecordBatch]) -> list[pa.Array]:
    return [pa.concat_arrays([piece.column(i) for piece in pieces]) for i in range(pieces[0].num_columns)]
