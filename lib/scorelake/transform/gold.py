"""Gold, populations and labels: SQL of the team over rows as they were known at an instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from scorelake import dates, sql
from scorelake.errors import ContractBroken
from scorelake.tables import Gold, Label, Versioned, quoted
from scorelake.transform.fit import fitted
from scorelake.transform.views import named, union
from scorelake.transform.visible import At

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Transform = Callable[[Callable[[str], DataFrame], date], DataFrame]
"""`transform: module:function`: (reader of a table's visible rows, run date) -> the contract's columns."""


def build(spark: SparkSession, query: str, contract: Gold, run_dates: Iterable[date], at: At) -> DataFrame:
    """Slices of `contract` for each run date, in one frame: contract columns, available_at, run_date.

    Every table in `query` is seen as of D+1 00:00. ContractBroken when the result is not what the contract says.
    """

    def slice_of(day: date) -> DataFrame:
        rows = _run(spark, query, _parameters(day), at, dates.as_of(day))
        return _clocked(fitted(rows, contract), contract, day)

    return union(map(slice_of, run_dates))


def build_with(function: Transform, contract: Gold, run_dates: Iterable[date], at: At) -> DataFrame:
    """As `build`, for a Python function instead of SQL."""

    def slice_of(day: date) -> DataFrame:
        rows = function(lambda name: at(name, dates.as_of(day)), day)
        return _clocked(fitted(rows, contract), contract, day)

    return union(map(slice_of, run_dates))


def population(spark: SparkSession, query: str, t: datetime, at: At) -> DataFrame:
    """The join keys that exist as of `t`, each combination once, in the query's order of columns."""
    parameters = {**_parameters((t - dates.ONE_DAY).date()), "as_of": t, "data_end": t}
    return _run(spark, query, parameters, at, t).distinct()


def labels(
    spark: SparkSession,
    query: str,
    population_query: str,
    contract: Gold,
    cutoffs: Iterable[date],
    at: At,
) -> DataFrame:
    """The label spine of each cut-off D with its labels; t = D+1 00:00.

    Columns: the contract's, event_timestamp (t), label_available_at, available_at (the same), run_date (the slice to
    which it belongs). One row for each member of population(t); a member of which the label SQL says nothing has a
    null label. Every table of the label SQL is seen as of label_available_at; it may also read `population`.
    The write fails when the label SQL returns a key twice. No cut-off gives the same columns and no row.
    """
    labelled = [_labelled(spark, query, population_query, contract, day, at) for day in cutoffs]
    return union(labelled) if labelled else _no_labels(spark, contract)


def label_available_at(cutoff: date, label: Label) -> datetime:
    """When the label of cut-off D is known: t + horizon + delay."""
    return dates.as_of(cutoff) + label.horizon + label.delay


def label_slice(cutoff: date, label: Label) -> date:
    """The run date D with label_available_at in (D 00:00, D+1 00:00]."""
    return (label_available_at(cutoff, label) - timedelta(microseconds=1)).date()


def cutoffs_of(label: Label, run_dates: dates.RunDates) -> list[date]:
    """The cut-offs whose labels belong to slices of `run_dates`."""
    return [cutoff for cutoff in label.cutoffs.dates() if label_slice(cutoff, label) in run_dates]


# ------------------------------------------------------------------ one slice


def _parameters(day: date) -> dict[str, date | datetime]:
    as_of = dates.as_of(day)
    return {"run_date": day, "as_of": as_of, "data_start": dates.data_start(day), "data_end": as_of}


def _run(
    spark: SparkSession,
    query: str,
    parameters: Mapping[str, date | datetime],
    at: At,
    t: datetime,
    **given: DataFrame,
) -> DataFrame:
    """The query with its markers bound and its tables seen as of `t`; `given` are frames by name beside them."""
    seen = {name: given[name] if name in given else at(name, t) for name in sql.tables_read(query)}
    views = {name: named(frame) for name, frame in seen.items()}
    return spark.sql(sql.bind(query, parameters=parameters, views=views))


def _clocked(rows: DataFrame, contract: Versioned, day: date) -> DataFrame:
    available_at = _available_at(contract, dates.as_of(day))
    return rows.withColumn("available_at", available_at).withColumn("run_date", F.lit(day))


def _available_at(contract: Versioned, t: datetime) -> Column:
    """The slice's t, unless the contract's availability says otherwise."""
    rule = contract.availability
    if rule is None:
        return F.lit(t)
    if rule.delay is not None and contract.event_time is not None:
        return F.col(quoted(contract.event_time)) + F.lit(rule.delay)
    known = F.col(quoted(rule.column or ""))
    return known if rule.history else F.when(known.isNotNull(), F.greatest(known, F.lit(t)))


def _labelled(
    spark: SparkSession, query: str, population_query: str, contract: Gold, cutoff: date, at: At
) -> DataFrame:
    label = contract.label
    if label is None:
        raise ContractBroken(f"{contract.name} is no label table")
    t, known_at = dates.as_of(cutoff), label_available_at(cutoff, label)
    members = population(spark, population_query, t, at)
    missing = [key for key in contract.keys if key not in members.columns]
    if missing:
        raise ContractBroken(f"{contract.name}: population {label.population} returns no {', '.join(missing)}")
    members = members.select(*map(quoted, contract.keys)).distinct()
    parameters = {**_parameters(cutoff), "label_end": t + label.horizon}
    outcomes = fitted(_run(spark, query, parameters, at, known_at, **{sql.POPULATION: members}), contract)
    return _joined(members, _once_a_key(outcomes, contract), contract).select(
        *map(quoted, contract.column_names),
        F.lit(t).alias("event_timestamp"),
        F.lit(known_at).alias("label_available_at"),
        F.lit(known_at).alias("available_at"),
        F.lit(label_slice(cutoff, label)).alias("run_date"),
    )


def _no_labels(spark: SparkSession, contract: Gold) -> DataFrame:
    engine = "event_timestamp TIMESTAMP, label_available_at TIMESTAMP, available_at TIMESTAMP, run_date DATE"
    return spark.createDataFrame([], ", ".join([*(f"{quoted(c.name)} {c.type}" for c in contract.columns), engine]))


def _once_a_key(outcomes: DataFrame, contract: Gold) -> DataFrame:
    """The outcomes, failing when a key stands twice: which of the rows is the label could not be said."""
    others = [name for name in contract.column_names if name not in contract.keys]
    grouped = outcomes.groupBy(*map(quoted, contract.keys)).agg(
        F.count("*").alias("__n"), *(F.first(quoted(name)).alias(name) for name in others)
    )
    message = f"{contract.name}: the label SQL returns several rows for one key and cut-off; aggregate them"
    checked = (
        F.when(F.col("__n") > 1, F.raise_error(F.lit(message))).otherwise(F.col(quoted(name))).alias(name)
        for name in others
    )
    return grouped.select(*map(quoted, contract.keys), *checked)


def _joined(members: DataFrame, outcomes: DataFrame, contract: Gold) -> DataFrame:
    """Every member once, with its outcome; null keys meet null keys."""
    left, right = members.alias("m"), outcomes.alias("o")
    equal = [F.col(f"m.{quoted(key)}").eqNullSafe(F.col(f"o.{quoted(key)}")) for key in contract.keys]
    joined = left.join(right, on=reduce(Column.__and__, equal), how="left")
    types = {column.name: column.type for column in contract.columns}
    keys = [F.col(f"m.{quoted(key)}").cast(types[key]).alias(key) for key in contract.keys]
    others = [F.col(f"o.{quoted(name)}") for name in contract.column_names if name not in contract.keys]
    return joined.select(*keys, *others)
