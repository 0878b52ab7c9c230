"""The result of a query against its contract: same columns, types that are equal or safely widened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from scorelake.errors import ContractBroken
from scorelake.tables import Contract, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyspark.sql import DataFrame

_INTEGERS = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
"""Decimal digits of each integer type."""
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def fitted(frame: DataFrame, contract: Contract) -> DataFrame:
    """The contract's columns in its order and types. ContractBroken names what is missing, unknown or retyped.

    An integer may become a wider integer or a decimal with room for it, a float a double, a decimal one of the same
    scale (a value that has no room there fails the write); anything else belongs into the query as a CAST.
    """
    check_names(contract, frame.columns)
    found = dict(frame.dtypes)
    retyped = [
        f"{column.name} is {found[column.name].upper()}, expected {column.type.upper()}"
        for column in contract.columns
        if not widens(found[column.name], column.type)
    ]
    if retyped:
        raise ContractBroken(f"{contract.name}: types differ: {'; '.join(retyped)}; cast in the query")
    return frame.select(*(F.col(quoted(c.name)).cast(c.type).alias(c.name) for c in contract.columns))


def check_names(contract: Contract, found: Iterable[str], *, engine: Collection[str] = ()) -> None:
    """ContractBroken unless `found` are the contract's columns, in any order, and `engine`."""
    found = list(found)
    missing = [name for name in contract.column_names if name not in found]
    unknown = [name for name in found if name not in contract.column_names and name not in engine]
    if missing or unknown:
        raise ContractBroken(
            f"{contract.name}: the result has not the contract's columns; "
            f"missing: {', '.join(missing) or 'none'}; not in the contract: {', '.join(unknown) or 'none'}"
        )


def widens(found: str, wanted: str) -> bool:
    """Whether the type `found` may stand where the contract says `wanted`; both are Spark's simple strings."""
    if found in (wanted, "void") or (found, wanted) == ("float", "double"):
        return True
    target = _DECIMAL.fullmatch(wanted)
    if found in _INTEGERS:
        if target is not None:
            return _INTEGERS[found] <= int(target[1]) - int(target[2])
        return wanted in _INTEGERS and _INTEGERS[found] <= _INTEGERS[wanted]
    source = _DECIMAL.fullmatch(found)
    return source is not None and target is not None and source[2] == target[2]
