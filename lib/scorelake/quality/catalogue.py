"""Which expectations of Great Expectations a contract may use, and what each is called. Needs no Spark.

An expectation is of *row* level when GX has a Spark condition that says of each row whether it fails; all others
judge the slice as a whole (*table* level).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from scorelake.tables import Expectation

Level = Literal["row", "table"]

_ORDERED = "rows of a table have no order in Spark"
_NEEDS_ANOTHER = "it reads another table; compare tables in a gold query instead"
_REFUSED = {
    "expect_column_values_to_be_increasing": _ORDERED,
    "expect_column_values_to_be_decreasing": _ORDERED,
    "expect_column_values_to_be_dateutil_parseable": "Great Expectations cannot run it on Spark; declare the column "
    "as DATE or TIMESTAMP, so that its cast is judged",
    "expect_table_row_count_to_equal_other_table": _NEEDS_ANOTHER,
    "expect_query_results_to_match_comparison": _NEEDS_ANOTHER,
    "unexpected_rows_expectation": "its query is not one of the gate's single scan; say it as a row_condition or as "
    "an expectation class",
}
UNIQUENESS = frozenset({"column_values.unique", "compound_columns.unique"})
"""Map metrics whose window the gate writes itself, so that it stays within the slice and within the row_condition."""

_SPARK = "SparkDFExecutionEngine"
_COLUMN_KEYS = ("column", "column_A", "column_B")


def load() -> Any:
    """The module great_expectations, importing which registers its expectations; it never phones home."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    return great_expectations


def built(expectation: Expectation) -> Any:
    """GX's own expectation object, its kwargs validated by GX; severity follows from the action.

    Raises ExpectationNotFoundError or GX's ValidationError; `refusals` says both in a sentence.
    """
    severity = {"fail": "critical", "quarantine": "warning", "warn": "info"}[expectation.action]
    kwargs = {"severity": severity, **expectation.kwargs}
    return implementation(expectation.type)(**kwargs, meta=dict(expectation.meta) or None)


def implementation(type_name: str) -> Any:
    """The class of an expectation type; classes of the team are known once their module is imported."""
    load()
    from great_expectations.expectations.registry import get_expectation_impl

    return get_expectation_impl(type_name)


def classify(expectation: Expectation) -> Level:
    """Whether the expectation judges each row or the slice as a whole."""
    cls = implementation(expectation.type)
    metric = getattr(cls, "map_metric", None)
    return "row" if metric and _runs_on_spark(f"{metric}.condition") else "table"


def named_columns(expectation: Expectation) -> list[str]:
    """The columns that the expectation's kwargs name where GX expects names."""
    kwargs = expectation.kwargs
    single = [kwargs[key] for key in _COLUMN_KEYS if isinstance(kwargs.get(key), str)]
    several = kwargs.get("column_list") if classify(expectation) == "row" else ()
    return [*single, *(name for name in several or () if isinstance(name, str))]


def rule_name(expectation: Expectation) -> str:
    """What `reasons` and reports call it: `meta: {name: ...}`, else the type and its columns."""
    given = expectation.meta.get("name")
    if given:
        return str(given)
    names = expectation.kwargs.get("column_list") or [
        expectation.kwargs[key] for key in _COLUMN_KEYS if key in expectation.kwargs
    ]
    return f"{expectation.type}: {', '.join(map(str, names))}" if names else expectation.type


def refusals(expectations: Sequence[Expectation], columns: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(position, reason) for every expectation that cannot be used on a table of these columns."""
    known = list(columns)
    taken: dict[str, int] = {}
    for position, expectation in enumerate(expectations):
        yield from ((position, reason) for reason in _reasons(expectation, known))
        name = rule_name(expectation)
        if taken.setdefault(name, position) != position:
            yield position, f"a second expectation is called '{name}'; tell them apart with meta: {{name: ...}}"


def _reasons(expectation: Expectation, columns: list[str]) -> Iterator[str]:
    type_name = expectation.type
    if type_name in _REFUSED:
        yield f"{type_name} is not supported: {_REFUSED[type_name]}"
        return
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError

    try:
        cls = implementation(type_name)
    except ExpectationNotFoundError:
        close = difflib.get_close_matches(type_name, _registered(), n=1)
        yield f"unknown expectation '{type_name}'" + (f"; did you mean '{close[0]}'?" if close else "")
        return
    yield from _unsupported(cls, expectation)
    problem = _invalid(expectation)
    if problem:
        yield f"{type_name}: {problem}"
        return
    for name in named_columns(expectation):
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            yield f"{type_name}: no column '{name}'" + (f"; did you mean '{close[0]}'?" if close else "")


def _unsupported(cls: Any, expectation: Expectation) -> Iterator[str]:
    type_name, metric = expectation.type, getattr(cls, "map_metric", None)
    level = classify(expectation)
    if level == "table" and metric and not metric.endswith(("of_type", "in_type_list")):
        yield f"{type_name} is not supported: Great Expectations cannot run it on Spark" + (
            "; use expect_column_values_to_match_regex" if "like_pattern" in type_name else ""
        )
    elif level == "table" and expectation.action == "quarantine":
        yield f"{type_name} judges the table, not a row: its action may be fail or warn, not quarantine"
    elif level == "row" and metric not in UNIQUENESS and _is_window(f"{metric}.condition"):
        yield f"{type_name} is not supported: its window over rows would reach beyond the slice"
    values = [expectation.kwargs.get(key) for key in ("value_set", "value_pairs_set")]
    if any(None in value for value in values if isinstance(value, list | tuple | set)):
        yield f"{type_name}: null in value_set would pass every row; allow nulls by leaving them out"


def _invalid(expectation: Expectation) -> str | None:
    """What GX says against the kwargs, in a line."""
    from great_expectations.compatibility import pydantic

    try:
        built(expectation)
    except pydantic.ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _registered() -> list[str]:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return list(list_registered_expectation_implementations())


def _runs_on_spark(metric: str) -> bool:
    return _provider(metric) is not None


def _is_window(metric: str) -> bool:
    kind = getattr(_provider(metric), "metric_fn_type", None)
    return kind is not None and kind.value == "window_condition_fn"


def _provider(metric: str) -> Any:
    """The function that computes a metric on Spark; None when GX has none."""
    load()
    from great_expectations.expectations.registry import _registered_metrics

    found = _registered_metrics.get(metric, {}).get("providers", {}).get(_SPARK)
    return found[1] if found else None
