"""Percentiles, means and modes of columns, frozen in a file, so that caps and imputed values follow from no slice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from scorelake.errors import ConfigError, Finding, ScorelakeError
from scorelake.strict_yaml import Definition
from scorelake.tables import Silver, is_number, quoted
from scorelake.tables.standards import FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

MOST_GROUPS = 10_000
"""Groups of one column; each becomes a line of the file and an entry of a query."""
_SHARES = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}

ByFigure = dict[str, str]
"""Name of a figure -> its value, as text that casts to the column's type."""


class ColumnFigures(Definition):
    """`groups` are keyed by `group_key`; a group whose values are all null has none."""

    type: str
    overall: ByFigure
    by: tuple[str, ...] = ()
    groups: dict[str, ByFigure] = {}


class Figures(Definition):
    """Of the `rows` of a table that were fit for silver when they were measured."""

    format: Literal[1] = 1
    table: str
    rows: int
    columns: dict[str, ColumnFigures]

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def digest(text: str) -> str:
    """The sha256 of a figures file, as the contract names it."""
    return hashlib.sha256(text.encode()).hexdigest()


def load(conf_dir: Path, contract: Silver) -> Figures | None:
    """The figures that a contract names; None when it names none. ConfigError when the file is not that one."""
    if contract.figures is None:
        return None
    path = conf_dir / contract.figures.file
    problem = ""
    try:
        text = path.read_text(encoding="utf-8")
        if digest(text) != contract.figures.sha256:
            problem = f"its sha256 is {digest(text)}, {contract.name} names another; was it frozen anew?"
        found = Figures.model_validate_json(text)
    except OSError as error:
        problem = f"{error.strerror}, but {contract.name} names it; freeze_figures makes it"
    except (ValidationError, UnicodeDecodeError):
        problem = problem or "no file of figures; freeze_figures makes one"
    problem = problem or "; ".join(_lacking(found, contract))
    if problem:
        raise ConfigError([Finding(str(path), 0, problem)])
    return found


def _lacking(figures: Figures, contract: Silver) -> list[str]:
    """What the contract's standards need and the figures do not hold."""
    if figures.table != contract.name:
        return [f"holds figures of {figures.table}, not of {contract.name}"]
    found = []
    for name, standard in contract.standardise.items():
        column = figures.columns.get(name)
        lacks = [figure for figure in standard.figures if column is None or figure not in column.overall]
        if lacks:
            found.append(f"holds no {', '.join(lacks)} of {name}")
        elif column is not None and standard.impute is not None and standard.impute.by != column.by:
            found.append(f"holds groups of {name} by {', '.join(column.by) or 'nothing'}, not as the contract says")
    return found


# ------------------------------------------------------------------ measuring


def measure(rows: DataFrame, contract: Silver) -> Figures:
    """Figures of the columns whose standards need some, from typed rows: two aggregate jobs, plus one a grouping.

    Percentiles are values of the data, exact to a ten-thousandth of the ranks; nulls and NaN are left out, a mode
    that is shared is the least. ScorelakeError when a column has no value, or more than MOST_GROUPS groups.
    """
    types = {column.name: column.type for column in contract.columns}
    needed = {name: standard for name, standard in contract.standardise.items() if standard.figures}
    names = list(needed)
    found = {}
    overall = _aggregated(rows, [], {name: types[name] for name in names})[0]
    for name, standard in needed.items():
        if not overall[1][name]:
            raise ScorelakeError(f"{contract.name}: column {name} has no value in these slices; freeze later ones")
        by = standard.impute.by if standard.impute is not None else ()
        groups = _aggregated(rows, by, {name: types[name]}) if by else []
        if len(groups) > MOST_GROUPS:
            raise ScorelakeError(f"{contract.name}: {name} has over {MOST_GROUPS:,} groups by {', '.join(by)}")
        figures = {key: by_column[name] for key, by_column in groups if by_column[name]}
        found[name] = ColumnFigures(type=types[name], overall=overall[1][name], by=by, groups=figures)
    return Figures(table=contract.name, rows=rows.count(), columns=found)


def group_key(names: Sequence[str]) -> Column:
    """The values of a group as one text."""
    from pyspark.sql import functions as F

    return F.to_json(F.array(*(F.col(quoted(name)).cast("string") for name in names)))


def _aggregated(rows: DataFrame, by: Sequence[str], types: Mapping[str, str]) -> list[tuple[str, dict[str, ByFigure]]]:
    """(group, column -> figures); at most MOST_GROUPS + 1 rows come back."""
    from pyspark.sql import functions as F

    grouped = rows.groupBy(group_key(by).alias("__group") if by else F.lit("").alias("__group"))
    figures = [F.struct(*_figures(name, kind)).alias(f"c{n}") for n, (name, kind) in enumerate(types.items())]
    found = []
    for row in grouped.agg(*figures).limit(MOST_GROUPS + 1).collect():
        by_column = {
            name: {figure: text for figure, text in row[f"c{n}"].asDict().items() if text is not None}
            for n, name in enumerate(types)
        }
        found.append((row["__group"], by_column))
    return found


def _figures(name: str, kind: str) -> list[Column]:
    from pyspark.sql import functions as F

    column = F.col(quoted(name))
    value = F.when(~F.isnan(column), column) if kind in ("float", "double") else column
    mode = F.mode(value, deterministic=True).cast("string").alias("mode")
    if not is_number(kind):
        return [mode]
    # Of decimals it loses the scale without saying so; only a cast from text brings it back.
    shares = F.percentile_approx(value, list(_SHARES.values()), 10_000)
    mean = F.avg(value)
    rounded = F.round(mean) if kind.endswith("int") else mean
    parts = {
        "min": F.min(value),
        **{figure: shares[n].cast("string").cast(kind) for n, figure in enumerate(_SHARES)},
        "max": F.max(value),
        "mean": rounded.cast(kind),
    }
    return [*(parts[figure].cast("string").alias(figure) for figure in FIGURES if figure in parts), mode]
