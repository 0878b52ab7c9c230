"""Values made alike as the contract's `standardise` says, with a word on everything that was changed.

Text first: spelling (normalise), then codes (map). After the cast: bounds (cap), then what stands for a null (impute).
`changes` says of a row which values were changed, how, and what stood there before; null when none was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import functions as F

from scorelake.tables import Silver, quoted
from scorelake.transform.figures import group_key

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from scorelake.tables.standards import Bound, Cap, Impute, Standard
    from scorelake.transform.figures import ColumnFigures, Figures

CHANGES = "changes"
CHANGE_TYPE = "array<struct<column:string,how:string,before:string>>"
_BEYOND_ASCII = r"[^\x00-\x7F]"
_SPACES = r"^[\s\p{Z}]+|[\s\p{Z}]+$"


class _Step(NamedTuple):
    """One way in which a column may have changed: names of the columns that hold it before and after."""

    column: str
    how: str
    before: str
    after: str


def spelled(rows: DataFrame, contract: Silver) -> tuple[DataFrame, list[_Step]]:
    """`rows` with every column that has a spelling or codes as text made alike, under its own name."""
    steps: list[_Step] = []
    for number, (name, standard) in enumerate(contract.standardise.items()):
        for how, made in (("normalised", _normalised), ("mapped", _mapped)):
            if standard.normalise if how == "normalised" else standard.map:
                before, after = f"__{how}_from_{number}", f"__{how}_to_{number}"
                rows = rows.withColumn(before, F.col(quoted(name)).cast("string"))
                rows = rows.withColumn(after, made(F.col(before), standard)).withColumn(name, F.col(after))
                steps.append(_Step(name, how, before, after))
    return rows, steps


def bounded(rows: DataFrame, contract: Silver, figures: Figures | None) -> tuple[DataFrame, list[_Step]]:
    """Typed `rows` with capped and imputed values, under the columns' own names."""
    types = {column.name: column.type for column in contract.columns}
    steps: list[_Step] = []
    for number, (name, standard) in enumerate(contract.standardise.items()):
        frozen = figures.columns.get(name) if figures is not None else None
        for how, made in (
            ("capped", _capped(name, standard.cap, frozen, types[name]) if standard.cap else None),
            ("imputed", _imputed(name, standard.impute, frozen, types[name]) if standard.impute and frozen else None),
        ):
            if made is not None:
                before, after = f"__{how}_from_{number}", f"__{how}_to_{number}"
                rows = rows.withColumns({before: F.col(quoted(name)), after: made}).withColumn(name, F.col(after))
                steps.append(_Step(name, how, before, after))
    return rows, steps


def with_changes(rows: DataFrame, steps: Iterable[_Step]) -> DataFrame:
    """`rows` with the column `changes`, without what the steps left behind."""
    steps = list(steps)
    entries = [F.when(~F.col(step.before).eqNullSafe(F.col(step.after)), _entry(step)) for step in steps]
    found = F.array_compact(F.array(*entries))
    changes = F.when(F.size(found) > 0, found).cast(CHANGE_TYPE)
    return rows.withColumn(CHANGES, changes).drop(*(name for step in steps for name in (step.before, step.after)))


def _entry(step: _Step) -> Column:
    before = F.col(step.before).cast("string").alias("before")
    return F.struct(F.lit(step.column).alias("column"), F.lit(step.how).alias("how"), before)


# ------------------------------------------------------------------ text


def _normalised(text: Column, standard: Standard) -> Column:
    for step in standard.normalise:
        if step == "trim":
            text = F.regexp_replace(text, _SPACES, "")
        elif step in ("nfc", "nfkc"):
            text = F.when(text.rlike(_BEYOND_ASCII), _unicode_form(step)(text)).otherwise(text)
        else:
            text = F.lower(text) if step == "lower" else F.upper(text)
    return text


@cache
def _unicode_form(form: str) -> Any:
    """A UDF, since Spark has no function for Unicode's normal forms."""
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def normal(texts: pd.Series[str]) -> pd.Series[str]:
        return texts.str.normalize("NFC" if form == "nfc" else "NFKC")

    normal.__annotations__ = {"texts": pd.Series, "return": pd.Series}  # Spark reads types, not their names
    return pandas_udf(normal, "string")  # type: ignore[call-overload]


def _mapped(text: Column, standard: Standard) -> Column:
    codes = F.create_map(*(F.lit(part) for pair in standard.map.items() for part in pair))
    return F.coalesce(codes[text], text)


# ------------------------------------------------------------------ values


def _capped(name: str, cap: Cap, frozen: ColumnFigures | None, kind: str) -> Column:
    value = F.col(quoted(name))
    within = value
    if cap.low is not None:
        within = F.greatest(within, _bound(cap.low, frozen, kind))
    if cap.high is not None:
        within = F.least(within, _bound(cap.high, frozen, kind))
    is_judged = value.isNotNull()
    if kind in ("float", "double"):
        is_judged = is_judged & ~F.isnan(value)
    return F.when(is_judged, within).otherwise(value)


def _bound(bound: Bound, frozen: ColumnFigures | None, kind: str) -> Column:
    text = frozen.overall[bound] if isinstance(bound, str) and frozen is not None else str(bound)
    return F.lit(text).cast(kind)


def _imputed(name: str, impute: Impute, frozen: ColumnFigures, kind: str) -> Column:
    value, overall = F.col(quoted(name)), F.lit(frozen.overall[impute.figure]).cast(kind)
    if not impute.by:
        return F.coalesce(value, overall)
    texts: Mapping[str, str] = {key: by_figure[impute.figure] for key, by_figure in frozen.groups.items()}
    groups = F.from_json(F.lit(json.dumps(texts)), "map<string,string>")
    return F.coalesce(value, F.try_element_at(groups, group_key(impute.by)).cast(kind), overall)
