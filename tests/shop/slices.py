"""What the slices of a table hold, without what tells of the run that wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorelake import digests
from scorelake.stores.lake import columns_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NOT_OF_ROWS = ("scored_at", "model_digest")


def digests_of(rows: DataFrame, table: str) -> dict[str, tuple[int, str]]:
    """By date, rows and digest."""
    by = "score_date" if table.startswith("scores.") else "run_date"
    columns = [column for column in columns_of(rows) if column.name not in NOT_OF_ROWS]
    found = digests.digest_by_slice(rows, columns, by=by).collect()
    return {str(row[by]): (row["rows"], str(row["digest"])) for row in found}
