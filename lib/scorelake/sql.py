"""SQL of definitions: read as a tree, checked before Spark starts, bound to a date, compared by meaning.

Importing this module imports sqlglot (0.3 s), so it is imported where SQL is at hand. Functions keep the names that
the team wrote: sqlglot's own rewriting of functions is switched off, since it is not always Spark's meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
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

_NOT_A_FUNCTION_OF_THE_ROWS = frozenset(
    word
    for line in (
        "current_timestamp current_date current_time now curdate localtimestamp current_timezone unix_timestamp",
        "current_user user session_user current_catalog current_schema current_database version",
        "rand random randn randstr uniform uuid shuffle monotonically_increasing_id spark_partition_id",
        "input_file_name input_file_block_start input_file_block_length read_files http_request ai_query",
        "reflect java_method try_reflect secret try_secret",
    )
    for word in line.split()
)
_ONLY_WITH_AN_ORDER = frozenset(
    {"first", "first_value", "last", "last_value", "any_value", "row_number", "lag", "lead"}
)


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
    return tree


def render(tree: exp.Expr) -> str:
    """The tree as Spark SQL."""
    return tree.sql(dialect=Verbatim, comments=False)


def meaning(sql: str) -> str:
    """Canonical text of the tree: comments, layout and the case of names and keywords leave no trace."""
    return parse(sql).sql(dialect=Verbatim, comments=False, normalize=True, normalize_functions="upper")


def tables_read(sql: str) -> set[str]:
    """Names such as 'silver.transactions' that the query reads; common table expressions are not tables."""
    return {table_name(table) for table in _tables(parse(sql))}


def sql_columns(contract: AnyContract) -> list[str]:
    """Columns that SQL may name in a table of this contract: its own and the engine's clocks (all, in bronze)."""
    engine = ("raw", "extra", *PROVENANCE) if isinstance(contract, Bronze) else ("available_at", "run_date")
    return [*contract.column_names, *engine]


def bind(sql: str, *, parameters: Mapping[str, date | datetime], views: Mapping[str, str]) -> str:
    """`sql` with literals for its markers and the names of `views` for its tables; everything else stays verbatim.

    `views` maps 'silver.x' to a view's name; a table that it does not hold stays as it is.
    """
    tree = parse(sql)
    edits = [(*_span(table), _view(table, views)) for table in _tables(tree) if table_name(table) in views]
    edits += [(*_span_of_qualifier(column), "") for column in tree.find_all(exp.Column) if column.args.get("db")]
    edits += [(start, end, _literal(parameters[name])) for name, start, end in _markers(sql, tree)]
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


# ------------------------------------------------------------------ check


def check(
    sql: str,
    tables: Mapping[str, Collection[str]],
    *,
    file: str = "<sql>",
    parameters: Collection[str] = PARAMETERS,
) -> list[Finding]:
    """What is wrong with `sql`, given the columns of every known table; empty when nothing is."""
    try:
        tree = parse(sql, file=file)
    except ConfigError as error:
        return error.findings
    findings = [*_unknown_tables(tree, tables), *_forbidden(tree), *_unknown_markers(tree, parameters)]
    findings += _unknown_columns(tree, tables)
    return sorted({Finding(file, line, message) for line, message in findings})


Remark = tuple[int, str]
"""Line and message."""


def _unknown_tables(tree: exp.Query, known: Mapping[str, Collection[str]]) -> Iterator[Remark]:
    for table in _tables(tree):
        name = table_name(table)
        if "/" in name or "\\" in name:
            yield _line(table), f"{name}: a path is no table; declare it as a source of a bronze table"
        elif name not in known:
            yield _line(table), f"unknown table {name}; tables here: {', '.join(sorted(known)) or 'none'}"
        if table.args.get("version") is not None:
            yield _line(table), f"{name}: time travel is the engine's; a table is seen as of the run"


def _forbidden(tree: exp.Query) -> Iterator[Remark]:
    for node in tree.find_all(exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if name in _NOT_A_FUNCTION_OF_THE_ROWS and not (name == "unix_timestamp" and node.expressions):
            yield _line(node), f"{name}() is not a function of the rows; use :run_date, :as_of or a column"
        elif name in _ONLY_WITH_AN_ORDER and not _is_ordered_window(node):
            yield _line(node), f"{name}() depends on the order of rows; use min_by or max_by, or a window with ORDER BY"
    for sample in tree.find_all(exp.TableSample):
        yield _line(sample), "TABLESAMPLE is not a function of the rows"
    for limit in tree.find_all(exp.Limit):
        if limit.parent is not None and limit.parent.args.get("order") is None:
            yield _line(limit), "LIMIT without ORDER BY is not a function of the rows"


def _is_ordered_window(node: exp.Expr) -> bool:
    window = node.parent if isinstance(node.parent, exp.Window) else node.find_ancestor(exp.Window)
    return window is not None and window.args.get("order") is not None


def _unknown_markers(tree: exp.Query, known: Collection[str]) -> Iterator[Remark]:
    for node in tree.find_all(exp.Placeholder, exp.Parameter):
        if node.name not in known:
            yield _line(node), f"unknown marker :{node.name}; markers here: {', '.join(':' + name for name in known)}"


def _unknown_columns(tree: exp.Query, tables: Mapping[str, Collection[str]]) -> Iterator[Remark]:
    """Columns that no table in sight has. A sight that cannot be known (a generator, a pivot) is not judged."""
    for column in tree.find_all(exp.Column):
        select = column.find_ancestor(exp.Select)
        if select is None or isinstance(column.this, exp.Star) or _is_lambda_variable(column):
            continue
        sights = []
        while select is not None:
            sights.append(_sight(select, tables))
            select = select.find_ancestor(exp.Select)
        if not any(_resolves(column, sight) for sight in sights):
            available = {name for columns in sights[0].values() for name in columns or ()}
            yield _line(column), f"unknown column {render(column)}; columns here: {', '.join(sorted(available))}"


def _resolves(column: exp.Column, sight: Mapping[str, Collection[str] | None]) -> bool:
    name, qualifier = column.name.lower(), column.table.lower()
    if qualifier and qualifier in sight:
        columns = sight[qualifier]
        return columns is None or name in columns
    wanted = qualifier or name  # `s.f` may be field f of the struct column s
    return any(columns is None or wanted in columns for columns in sight.values())


def _is_lambda_variable(column: exp.Column) -> bool:
    around = column.find_ancestor(exp.Lambda)
    while around is not None:
        if (column.table or column.name) in {variable.name for variable in around.expressions}:
            return True
        around = around.find_ancestor(exp.Lambda)
    return False


def _sight(select: exp.Select, tables: Mapping[str, Collection[str]]) -> dict[str, Collection[str] | None]:
    """Alias -> lower-case columns (None: unknown) of everything that `select` reads, and its own new names."""
    start = select.args.get("from_")
    sources = [start.this] if start is not None else []
    sources += [join.this for join in select.args.get("joins") or ()]
    sight: dict[str, Collection[str] | None] = {}
    for source in sources:
        sight[source.alias_or_name.lower()] = None if source.args.get("pivots") else _columns_of(source, tables)
    for lateral in select.args.get("laterals") or ():
        alias = lateral.args.get("alias")
        names = {column.name.lower() for column in alias.columns} if alias is not None else set()
        sight[lateral.alias_or_name.lower()] = names or None
    sight[""] = {item.alias.lower() for item in select.expressions if item.alias}
    return sight


def _columns_of(source: exp.Expr, tables: Mapping[str, Collection[str]]) -> Collection[str] | None:
    if isinstance(source, exp.Subquery):
        return _outputs(source.this, tables)
    if not isinstance(source, exp.Table) or not isinstance(source.this, exp.Identifier):
        return None
    expression = _common_table_expression(source)
    if expression is not None:
        return _outputs(expression.this, tables)
    columns = tables.get(table_name(source))
    return {name.lower() for name in columns} if columns is not None else None


def _outputs(query: exp.Expr, tables: Mapping[str, Collection[str]]) -> Collection[str] | None:
    """Names that `query` returns; None when a star hides them."""
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select) or any(item.is_star for item in query.expressions):
        return None
    return {item.alias_or_name.lower() for item in query.expressions}


# ------------------------------------------------------------------ parts of trees


def _tables(tree: exp.Query) -> Iterable[exp.Table]:
    """Tables in FROM and JOIN, without references to common table expressions and table functions."""
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and _common_table_expression(table) is None:
            yield table


def _common_table_expression(table: exp.Table) -> exp.CTE | None:
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
    return ".".join(part.name for part in table.parts)


def _line(node: exp.Expr) -> int:
    """The line of the node's first token; 0 when the tree does not say."""
    for part in node.walk(bfs=False):
        if "line" in part.meta:
            return int(part.meta["line"])
    return _line(node.parent) if node.parent is not None else 0


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
