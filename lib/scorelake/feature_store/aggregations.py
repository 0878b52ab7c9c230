"""Windows in Feast's own vocabulary: which aggregation means what, and which type comes out of it.

A window is `Aggregation(column, function, time_window, name)` on a LakeSource; its meaning is section 3 of the
semantics: rows with event time in [t - time_window, t), or all rows before t without a time_window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scorelake.features.views import FUNCTIONS, ROWS, Window

if TYPE_CHECKING:
    from feast.aggregation import Aggregation

ROWS_ALONE = ("", ROWS)
"""What `column` says when whole rows are meant."""
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_FLOATS = ("float", "double")
_UNORDERED = ("map<", "array<", "struct<")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_MICROSECOND = timedelta(microseconds=1)


def problems(aggregation: Aggregation, types: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with one aggregation over columns of `types`; each message names the aggregation."""
    name = f"aggregation {aggregation.name or aggregation.function + ' of ' + (aggregation.column or '*')}"
    window = aggregation.time_window
    if aggregation.function not in FUNCTIONS:
        yield f"{name}: unknown function {aggregation.function!r}; expected one of {', '.join(sorted(FUNCTIONS))}"
        return
    if window is not None and window < timedelta(0):
        yield f"{name}: time_window is negative; leave it out for all rows before t"
    if aggregation.slide_interval not in (None, window):
        yield f"{name}: slide_interval has no meaning here, windows end at every row's own t; leave it out"
    if aggregation.column in ROWS_ALONE:
        if aggregation.function not in ("count", "age"):
            yield f"{name}: needs a column; only count and age take whole rows"
        if not aggregation.name:
            yield f"{name}: give it a name; Feast would derive one that is no column name"
    elif aggregation.function == "age":
        yield f"{name}: age is of the last row, whatever its values; leave the column out"
    elif aggregation.column not in types:
        yield f"{name}: no column {aggregation.column}; columns: {', '.join(types)}"
    elif output_type(aggregation.function, types[aggregation.column]) is None:
        yield f"{name}: {aggregation.function} of {types[aggregation.column]} is not defined"


def output_type(function: str, column_type: str) -> str | None:
    """Spark's simple type of `function` over a column of `column_type`; None where it has no meaning."""
    if function in ("count", "age"):
        return "bigint" if function == "count" else "double"
    if function == "count_distinct":
        return None if column_type.startswith("map<") else "bigint"
    if function in ("first", "last"):
        return column_type
    if function in ("min", "max"):
        return None if column_type.startswith(_UNORDERED) else column_type
    return _arithmetic_type(function, column_type)


def _arithmetic_type(function: str, column_type: str) -> str | None:
    """Of sum, mean and spread: Spark's rules, by which decimals stay exact."""
    decimal = _DECIMAL.fullmatch(column_type)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if function == "sum":
            return f"decimal({min(precision + 10, 38)},{scale})"
        if function == "mean":
            return f"decimal({min(precision + 4, 38)},{min(scale + 4, 38)})"
        return "double"
    if column_type not in _INTEGERS + _FLOATS:
        return None
    return "bigint" if function == "sum" and column_type in _INTEGERS else "double"


def name_of(aggregation: Aggregation) -> str:
    """The feature's name: the declared one, else Feast's `<function>_<column>[_<seconds>s]`."""
    return str(aggregation.resolved_name(aggregation.time_window))


def window_of(aggregation: Aggregation) -> Window:
    """The engine's window; no time_window, or zero, is all rows before t."""
    return Window(
        name=name_of(aggregation),
        function=aggregation.function,
        column=aggregation.column or ROWS,
        length=aggregation.time_window or None,
    )


def to_json(aggregation: Aggregation) -> dict[str, Any]:
    """Its meaning as plain data, the window in whole microseconds."""
    window = aggregation.time_window
    return {
        "column": aggregation.column,
        "function": aggregation.function,
        "window_us": window // _MICROSECOND if window else None,
        "name": aggregation.name,
    }


def from_json(data: Mapping[str, Any]) -> Aggregation:
    from feast.aggregation import Aggregation

    window = data["window_us"]
    return Aggregation(
        column=data["column"],
        function=data["function"],
        time_window=timedelta(microseconds=window) if window else None,
        name=data["name"] or None,
    )
