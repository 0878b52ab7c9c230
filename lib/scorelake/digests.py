"""What makes two slices equal, and what makes two definitions equal (semantics, section 5)."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from scorelake.tables import AUDIT, SLICE_COLUMN, Column

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame

ENGINE_SEMANTICS = "1"
"""Enters every definition hash; raised when the engine itself starts to answer differently."""
_PART_BITS = 21
"""The sums of such parts overflow at 2 to the power of 41 rows."""


# ------------------------------------------------------------------ slices


def slice_digest(columns: Iterable[Column]) -> list[SparkColumn]:
    """Aggregates `rows` BIGINT and `digest` DECIMAL(38,0) of the rows at hand, whatever their order.

    The digest is the sum of xxhash64(c1, c1 IS NULL, c2, c2 IS NULL, ...) in the order of `columns`, cast to their
    types; it is 0 for no rows. The null flags keep (1, null) and (null, 1) apart. Audit columns are left out.
    """
    from pyspark.sql import functions as F

    hashed = F.xxhash64(*(part for column in columns if column.name not in AUDIT for part in _hashed(column)))
    # In three parts of 21 bits and more, whose sums are BIGINT: summing decimals costs as much as all the rest.
    low = 2**_PART_BITS - 1
    parts = (
        F.shiftright(hashed, 2 * _PART_BITS),
        F.shiftright(hashed, _PART_BITS).bitwiseAND(low),
        hashed.bitwiseAND(low),
    )
    high, middle, rest = (F.sum(part).cast("decimal(20,0)") for part in parts)
    shift = F.lit(2**_PART_BITS).cast("decimal(8,0)")
    total = ((high * shift + middle) * shift + rest).cast("decimal(38,0)")
    return [F.count(F.lit(1)).alias("rows"), F.coalesce(total, F.lit(0).cast("decimal(38,0)")).alias("digest")]


def digest_by_slice(frame: DataFrame, columns: Iterable[Column], *, by: str = SLICE_COLUMN) -> DataFrame:
    """One row a slice: `by`, `rows`, `digest`. A slice without rows has none."""
    return frame.groupBy(by).agg(*slice_digest(columns))


def _hashed(column: Column) -> list[SparkColumn]:
    from pyspark.sql import functions as F

    value = F.col(column.name if "." not in column.name else f"`{column.name}`").cast(column.type)
    if column.type.startswith("map<"):  # Spark hashes no maps, since equal maps may differ in order
        value = F.array_sort(F.map_entries(value))
    return [value, value.isNull()]


# ------------------------------------------------------------------ definitions


def definition_hash(parts: Mapping[str, object]) -> str:
    """64 hexadecimal digits over named parts (meanings, contracts as plain data) and the engine's own version.

    Parts must be what JSON can say; the order of keys does not matter, that of lists does.
    """
    text = json.dumps({"engine": ENGINE_SEMANTICS, **parts}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def python_meaning(source: str) -> str:
    """The syntax tree of a module as text: comments, layout and docstrings leave no trace."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = _without_docstring(node.body)
    return ast.dump(tree)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body
