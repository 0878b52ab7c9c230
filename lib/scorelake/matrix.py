"""Arrow columns as one numeric matrix; training and scoring use this one conversion, so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorelake.errors import ContractBroken

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def matrix(batch: pa.RecordBatch, names: Sequence[str], *, dtype: Any = "float32") -> np.ndarray[Any, Any]:
    """Shape (rows, len(names)), columns in the order of `names`, whatever their order in `batch`.

    null and NaN become NaN; true 1, false 0. Integers and decimals go through float64, so that a batch with a null
    and one without round alike. ContractBroken names a column that is missing or no number.
    """
    import numpy as np

    filled = np.empty((batch.num_rows, len(names)), dtype=dtype, order="F")
    for position, name in enumerate(names):
        filled[:, position] = numbers(batch, name)
    return filled


def numbers(batch: pa.RecordBatch, name: str) -> np.ndarray[Any, Any]:
    """One column as floats: its own width if it is floating, else float64; null is NaN."""
    import pyarrow as pa

    index = batch.schema.get_field_index(name)
    if index < 0:
        raise ContractBroken(f"feature {name!r} is missing; columns: {', '.join(batch.schema.names)}")
    column = batch.column(index)
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8()).cast(pa.float64())
    elif pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.float64(), safe=False)
    elif pa.types.is_null(kind):
        column = column.cast(pa.float64())
    elif not pa.types.is_floating(kind):
        raise ContractBroken(f"feature {name!r} is {kind}, expected a number or a boolean")
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
