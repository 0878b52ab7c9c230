"""Rows in, rows out: what a team expects of its own SQL, in `<table>.tests.yaml` beside it.

    tests:
      - name: a customer is as recent as the last sale
        run_date: 2024-01-31
        given:
          silver.sales:
            - {customer_id: 1, amount: 10.00, sold_at: 2024-01-21 00:00:00}
        expect:
          - {customer_id: 1, recency_days: 11}

A given row may leave columns out (null). A row of silver or gold may say `available_at` and `run_date`; else it was
known at the end of the case's run date. A bronze row may be a line that could not be split: `{raw: text}`. `expect`
names the columns that it compares, the same in every row; order does not matter, and doubles agree to twelve digits.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator
from pyspark.sql import functions as F

from scorelake import dates
from scorelake.errors import ConfigError, Finding
from scorelake.strict_yaml import Definition, load, parse
from scorelake.tables import DELETED, PROVENANCE, AnyContract, Bronze, Silver, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SUFFIX = ".tests.yaml"
Row = dict[str, Any]


class Rejected(Definition):
    """A bronze row (1 is the first that is given) that is quarantined, and why."""

    row: int = Field(ge=1)
    reasons: tuple[str, ...]


class Case(Definition):
    """One example. A label's run date is its cut-off."""

    name: str
    run_date: date
    given: dict[str, tuple[Row, ...]]
    expect: tuple[Row, ...]
    rejected: tuple[Rejected, ...] = Field(default=(), description="Of a silver table: the rows that it quarantines.")

    @model_validator(mode="after")
    def _one_shape(self) -> Case:
        if len({tuple(sorted(row)) for row in self.expect}) > 1:
            raise ValueError("expect: every row must name the same columns")
        return self


class Cases(Definition):
    """All examples of a table."""

    tests: tuple[Case, ...] = Field(min_length=1)


def load_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file; ConfigError with every mistake and its line."""
    return parse(Cases, load(path)).tests


def given(spark: SparkSession, contract: AnyContract, case: Case, *, file: str) -> DataFrame:
    """The rows that a case gives of a table, typed as its contract says, with the engine's columns."""
    end = dates.as_of(case.run_date)
    engine: Row = {"run_date": case.run_date, "available_at": end, "ingested_at": end, "run_id": "test"}
    types = {column.name: column.type for column in contract.columns}
    types |= dict(zip(PROVENANCE, ("string", "bigint", "date", "timestamp", "timestamp", "string"), strict=True))
    if isinstance(contract, Bronze):
        types |= {"raw": "string", "extra": "map<string,string>"}
    if isinstance(contract, Silver) and contract.delete_when is not None:
        types[DELETED] = "boolean"
        engine[DELETED] = False
    rows = [
        {**engine, "source_file": "given", "source_row": number, **row}
        for number, row in enumerate(case.given.get(contract.name, ()), 1)
    ]
    unknown = sorted({name for row in rows for name in row} - set(types))
    if unknown:
        raise _wrong(file, case, f"given {contract.name}: no column {', '.join(unknown)}")
    return _frame(spark, rows, types, file=file, case=case)


def differences(spark: SparkSession, found: DataFrame, case: Case, *, file: str) -> list[str]:
    """What the rows found have too many and too few of those expected, as text; empty when they agree."""
    if not case.expect:
        rows = found.limit(20).collect()
        return [f"unexpected {_text(row.asDict(recursive=True))}" for row in rows]
    names = sorted(case.expect[0])
    types = dict(found.dtypes)
    unknown = [name for name in names if name not in types]
    if unknown:
        raise _wrong(file, case, f"expect: no column {', '.join(unknown)}; there are {', '.join(types)}")
    wanted = _frame(spark, case.expect, {name: types[name] for name in names}, file=file, case=case)
    have = Counter(_comparable(found.select(*map(quoted, names))))
    want = Counter(_comparable(wanted))
    return [
        *(f"unexpected {row}" for row in (have - want).elements()),
        *(f"missing {row}" for row in (want - have).elements()),
    ]


def _comparable(rows: DataFrame) -> list[str]:
    return [_text(row.asDict(recursive=True)) for row in rows.collect()]


def _text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(row[name])}" for name in sorted(row))


def _value(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _frame(spark: SparkSession, rows: Sequence[Row], types: Mapping[str, str], *, file: str, case: Case) -> DataFrame:
    """The rows, each value read from JSON as its column's type."""
    from pyspark.errors import PySparkException

    ddl = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
    texts = [(number, json.dumps(_plain(row, types), default=str)) for number, row in enumerate(rows)]
    frame = spark.createDataFrame(texts, "number INT, text STRING")
    parsed = frame.select(F.from_json("text", ddl, {"mode": "FAILFAST"}).alias("row")).select("row.*")
    try:
        kept = parsed.collect()
    except PySparkException as error:
        raise _wrong(file, case, f"a row does not fit the types {ddl}") from error
    return spark.createDataFrame(kept, parsed.schema)


def _plain(row: Row, types: Mapping[str, str]) -> Row:
    """YAML's values as JSON: dates as text, and whatever stands in a STRING column as text."""
    plain = {}
    for name, value in row.items():
        if isinstance(value, datetime | date):
            plain[name] = value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
        elif types.get(name) == "string" and value is not None and not isinstance(value, str):
            plain[name] = str(value).lower() if isinstance(value, bool) else str(value)
        else:
            plain[name] = value
    return plain


def _wrong(file: str, case: Case, message: str) -> ConfigError:
    return ConfigError([Finding(file, 0, f"{case.name}: {message}")])
