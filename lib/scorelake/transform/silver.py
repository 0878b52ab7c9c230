"""Bronze slices as typed candidates for silver: every row of bronze once, tagged with the rules that it fails.

Silver slice D is a function of bronze slice D, so many slices are computed in one pass: the markers of the SQL become
columns of each row's own run date, and other tables are joined as they counted at each row's own as-of instant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from scorelake.errors import ContractBroken
from scorelake.tables import DELETED, PROVENANCE, Bronze, Silver, quoted
from scorelake.transform import casting, rowwise, standardise
from scorelake.transform.drop_winner import losers
from scorelake.transform.fit import check_names
from scorelake.transform.views import named
from scorelake.transform.visible import History, intervals

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from scorelake.transform.figures import Figures

RECEIVED = "__received"
"""Struct that rides along with a row: where it came from, and `raw` where its line could not be split."""
Rule = tuple[str, "Column"]
"""Name, and a boolean column (never null) that is true where the row fails."""


@dataclass(frozen=True)
class Candidates:
    """`frame`: one row for each bronze row: contract columns, is_deleted (if the contract deletes), provenance,
    RECEIVED, and the flags that `rules` refer to. A row that fails no rule is fit for the expectations.
    """

    frame: DataFrame
    rules: tuple[Rule, ...]
    columns: tuple[str, ...]
    """Columns of the silver table."""
    received: DataFrame
    """The bronze rows as they arrived, for the quarantine table."""


Transform = Callable[["DataFrame"], "DataFrame"]
"""`transform: module:function`: bronze rows in; the contract's columns and RECEIVED out, one row for each."""


def candidates(
    spark: SparkSession,
    query: str,
    contract: Silver,
    bronze: Bronze,
    rows: DataFrame,
    *,
    others: Mapping[str, History] | None = None,
    figures: Figures | None = None,
) -> Candidates:
    """`rows` (slices of the bronze table) through the silver SQL.

    `others` are the tables that the SQL joins, `figures` those that the contract names. Casts and
    arithmetic in the SQL never abort: where one fails, the column that it feeds fails its rule.
    """
    names = [*bronze.column_names, "raw", "extra", *PROVENANCE]
    received = rows.select(*map(quoted, names))
    view = named(received.withColumn(RECEIVED, _origin()))
    views = {bronze.name: view, **{name: named(intervals(history)) for name, history in (others or {}).items()}}
    rewritten = rowwise.rewrite(
        query, views, bronze=bronze.name, star=bronze.column_names, time_zone=bronze.source.time_zone, carry=RECEIVED
    )
    transformed = spark.sql(rewritten.text)
    return _tagged(transformed, received, contract, bronze.source.time_zone, rewritten.flags, figures)


def candidates_of(
    function: Transform, contract: Silver, bronze: Bronze, rows: DataFrame, *, figures: Figures | None = None
) -> Candidates:
    """As `candidates`, for a Python function, which must carry the column RECEIVED along, row by row."""
    transformed = function(rows.withColumn(RECEIVED, _origin()))
    if RECEIVED not in transformed.columns:
        raise ContractBroken(f"{contract.name}: the transform dropped the column {RECEIVED}; carry it along")
    return _tagged(transformed, rows, contract, bronze.source.time_zone, {}, figures)


def _origin() -> Column:
    return F.struct("raw", *PROVENANCE)


def _tagged(
    rows: DataFrame,
    received: DataFrame,
    contract: Silver,
    time_zone: str | None,
    flags: Mapping[str, str],
    figures: Figures | None,
) -> Candidates:
    """Standardised, cast, clocked and judged by the implied rules.

    `flags`: contract column -> column that says its SQL failed.
    """
    check_names(contract, rows.columns, engine={RECEIVED, *flags.values()})
    if figures is None and any(standard.figures for standard in contract.standardise.values()):
        raise ContractBroken(f"{contract.name}: its caps and imputed values need the figures that it names")
    rows, steps = standardise.spelled(rows, contract)
    values, failing = _cast(contract, dict(rows.dtypes), time_zone, flags)
    numbered = {rule: f"__fails_{number}" for number, rule in enumerate(failing)}
    provenance = [F.col(f"{RECEIVED}.{name}").alias(name) for name in PROVENANCE]
    verdicts = [F.coalesce(F.expr(failing[rule]), F.lit(False)).alias(flag) for rule, flag in numbered.items()]
    kept = [F.col(name) for step in steps for name in (step.before, step.after)]
    # Values and verdicts in one projection: Spark then casts once for both.
    frame = rows.select(*values, *provenance, RECEIVED, *kept, *verdicts)
    frame, more_steps = standardise.bounded(frame, contract, figures)
    columns = [*contract.column_names, *PROVENANCE]
    if contract.standardise:
        frame = standardise.with_changes(frame, [*steps, *more_steps])
        columns.insert(len(contract.columns), standardise.CHANGES)
    frame, numbered = _with_clock(frame, contract, numbered)
    if contract.delete_when is not None:
        frame = frame.withColumn(DELETED, F.coalesce(F.expr(contract.delete_when), F.lit(False)))
        columns.insert(len(contract.columns), DELETED)
    frame, numbered = losers(frame, contract, numbered)
    rules = tuple((rule, F.col(quoted(flag))) for rule, flag in numbered.items())
    return Candidates(frame, rules, tuple(columns), received)


def _cast(
    contract: Silver, types: Mapping[str, str], time_zone: str | None, flags: Mapping[str, str]
) -> tuple[list[Column], dict[str, str]]:
    """Every contract column typed, and for each implied rule the SQL that says who fails it."""
    failing = {"malformed": f"{RECEIVED}.raw IS NOT NULL"}
    values = []
    for column in contract.columns:
        name = quoted(column.name)
        parsed = casting.cast(name, types[column.name], column.type, time_zone=time_zone)
        values.append(F.expr(parsed.value).alias(column.name))
        fails = [parsed.fails] if parsed.fails != "false" else []
        fails += [quoted(flags[column.name])] if column.name in flags else []
        if fails:
            failing[f"{column.name} parses as {column.type.upper()}"] = f"({' OR '.join(fails)})"
    return values, failing


def _with_clock(frame: DataFrame, contract: Silver, numbered: dict[str, str]) -> tuple[DataFrame, dict[str, str]]:
    """available_at by the contract's rule, after casting; a row without one fails."""
    rule = contract.availability
    if rule is None:
        return frame, numbered
    end = F.col("available_at")
    if rule.delay is not None and contract.event_time is not None:
        source, known = contract.event_time, F.col(quoted(contract.event_time)) + F.lit(rule.delay)
    else:
        source = rule.column or ""
        column = F.col(quoted(source))
        known = column if rule.history else F.when(column.isNotNull(), F.greatest(column, end))
    frame = frame.withColumn("available_at", known).withColumn("__fails_clock", F.col("available_at").isNull())
    return frame, {**numbered, f"{source} says when the row was known": "__fails_clock"}
