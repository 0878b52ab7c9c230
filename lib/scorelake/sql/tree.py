"""SQL of definitions: read as a tree, bound to a date, compared by meaning.

Functions keep the names that the team wrote: sqlglot's own rewriting of functions is switched off, since it is not
always Spark's meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import pairwise
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError
from sqlglot.parsers.spark import SparkParser

from scorelake.errors import ConfigError, Finding
from scorelake.tables import PROVENANCE, AnyContract, Bronze

PARAMETERS = ("run_date", "as_of", "data_start", "data_end")
"""Markers of silver and gold SQL; `:run_date` is a DATE, the others are TIMESTAMPs."""
LABEL_PARAMETERS = (*PARAMETERS, "label_end")
POPULATION = "population"
"""Name under which label SQL may read its own population (as of `:as_of`)."""


class Verbatim(Spark):
    """Spark SQL in which every function stays as it was written."""

    class Tokenizer(Spark.Tokenizer):
        STRING_ESCAPES = ["'", '"', "\\"]  # 'it''s' is it's, as in Spark 4

    class Parser(SparkParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        STRICT_CAST = True  # CAST and TRY_CAST are told apart


def parse(sql: str, *, file: str = "<sql>") -> exp.Query:
    """The one SELECT that `sql` is. ConfigError with file and line when it is anything else."""
    try:
        statements = [tree for tree in sqlglot.parse(sql, dialect=Verbatim) if tree is not None]
    except SqlglotError as error:
        problem = (getattr(error, "errors", None) or [{}])[0]
        message = f"not SQL: {problem.get('description', 'it cannot be read')}"
        raise ConfigError([Finding(file, problem.get("line") or 0, message)]) from None
    if len(statements) != 1:
        raise ConfigError([Finding(file, 0, f"expected one SELECT, found {len(statements)} statements")])
    tree = statements[0]
    if not isinstance(tree, exp.Select | exp.SetOperation) or tree.find(exp.QueryTransform, exp.Into):
        raise ConfigError([Finding(file, 0, "expected a SELECT; nothing else may stand in a definition")])
    misread = tree.find(exp.Array)
    if misread is not None:  # sqlglot drops the elements of `array(1, 2)[i]`
        message = "an index right after array(...) cannot be read: write element_at(array(...), n) or (array(...))[i]"
        raise ConfigError([Finding(file, line_of(misread), message)])
    return tree


def render(tree: exp.Expr) -> str:
    """The tree as Spark SQL."""
    return tree.sql(dialect=Verbatim, comments=False)


def meaning(sql: str) -> str:
    """Canonical text of the tree: comments, layout and the case of names and keywords leave no trace."""
    return parse(sql).sql(dialect=Verbatim, comments=False, normalize=True, normalize_functions="upper")


def readable(sql: str) -> str:
    """The same text over several lines, for people who compare two of them."""
    return parse(sql).sql(dialect=Verbatim, comments=False, normalize=True, normalize_functions="upper", pretty=True)


def tables_read(sql: str) -> set[str]:
    """Names such as 'silver.transactions' that the query reads; common table expressions are not tables."""
    return {table_name(table) for table in tables(parse(sql))}


def sql_columns(contract: AnyContract) -> list[str]:
    """Columns that SQL may name in a table of this contract: its own and the engine's clocks (all, in bronze)."""
    engine = ("raw", "extra", *PROVENANCE) if isinstance(contract, Bronze) else ("available_at", "run_date")
    return [*contract.column_names, *engine]


def bind(sql: str, *, parameters: Mapping[str, date | datetime], views: Mapping[str, str]) -> str:
    """`sql` with literals for its markers and the names of `views` for its tables; everything else stays verbatim.

    `views` maps 'silver.x' to a view's name; a table that it does not hold stays as it is.
    """
    tree = parse(sql)
    edits = [(*_span(table), _view(table, views)) for table in tables(tree) if table_name(table) in views]
    edits += [(*_span_of_qualifier(column), "") for column in tree.find_all(exp.Column) if column.args.get("db")]
    edits += [(start, end, _literal(parameters[name])) for name, start, end in _markers(sql, tree)]
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


# ------------------------------------------------------------------ parts of trees


def tables(tree: exp.Query) -> Iterable[exp.Table]:
    """Tables in FROM and JOIN, without references to common table expressions and table functions."""
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and common_table_expression(table) is None:
            yield table


def common_table_expression(table: exp.Table) -> exp.CTE | None:
    if table.args.get("db") is not None:
        return None
    at: exp.Expr | None = table
    while at is not None:
        clause = at.args.get("with_")
        for expression in clause.expressions if clause is not None else ():
            if expression.alias.lower() == table.name.lower():
                found: exp.CTE = expression
                return found
        at = at.parent
    return None


def table_name(table: exp.Table) -> str:
    """The dotted name as it was written."""
    return ".".join(part.name for part in table.parts)


def line_of(node: exp.Expr) -> int:
    """The line of the node's first token; 0 when the tree does not say."""
    for part in node.walk(bfs=False):
        if "line" in part.meta:
            return int(part.meta["line"])
    return line_of(node.parent) if node.parent is not None else 0


def _span(table: exp.Table) -> tuple[int, int]:
    """Where the table's dotted name stands in the text, end excluded."""
    return table.parts[0].meta["start"], table.parts[-1].meta["end"] + 1


def _span_of_qualifier(column: exp.Column) -> tuple[int, int]:
    """Where `silver.` stands in `silver.x.amount`; the view answers to `x`."""
    return column.parts[0].meta["start"], column.parts[-2].meta["start"]


def _view(table: exp.Table, views: Mapping[str, str]) -> str:
    view = views[table_name(table)]
    return view if table.alias else f"{view} AS {table.name}"


def _markers(sql: str, tree: exp.Query) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of every `:name` in the text that the tree knows as a marker."""
    names = {node.name for node in tree.find_all(exp.Placeholder)}
    tokens = Verbatim().tokenize(sql)
    for colon, word in pairwise(tokens):
        if colon.text == ":" and word.text in names and word.start == colon.end + 1:
            yield word.text, colon.start, word.end + 1


def _literal(value: date | datetime) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}Z'"
    return f"DATE '{value:%Y-%m-%d}'"
