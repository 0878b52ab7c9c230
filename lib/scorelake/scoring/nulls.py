"""How many values of each feature are missing on a night, counted by the scoring pass itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = ""


class Nulls:
    """Counts rows and nulls (NaN too) of `features`."""

    def __init__(self, features: Iterable[str]) -> None:
        self._features = tuple(features)
        self._counts: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._counts[_ROWS] += len(batch)
        for name in self._features:
            column = batch.column(name)
            is_missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
            self._counts[name] += pc.sum(is_missing).as_py() or 0

    def part(self, partition: int) -> bytes:
        del partition
        return json.dumps(self._counts).encode()


def rates(parts: Iterable[bytes]) -> Mapping[str, float]:
    """The share of nulls by feature; empty for no rows."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(json.loads(part))
    rows = total.pop(_ROWS, 0)
    return {name: count / rows for name, count in total.items()} if rows else {}
