"""What is wrong with the SQL of definitions, found without Spark: every finding with its line.

Whatever a query returns must be a function of the rows that it names and of its run date; silver SQL must also keep
every bronze row exactly once (semantics, section 5). Importing this module imports sqlglot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import sqlglot
from sqlglot import exp

from scorelake.errors import ConfigError, Finding
from scorelake.sql import tree as trees

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


Tables = Mapping[str, Collection[str] | None]
"""Columns of every known table; None where its contract cannot be read, so that nothing is said of them."""


def check(
    query: str,
    tables: Tables,
    *,
    file: str = "<sql>",
    parameters: Collection[str] = trees.PARAMETERS,
) -> list[Finding]:
    """What is wrong with `query`, given the columns of every known table; empty when nothing is."""
    try:
        tree = trees.parse(query, file=file)
    except ConfigError as error:
        return error.findings
    findings = [*_unknown_tables(tree, tables), *_forbidden(tree), *_unknown_markers(tree, parameters)]
    findings += _unknown_columns(tree, tables)
    return sorted({Finding(file, line, message) for line, message in findings})


Remark = tuple[int, str]
"""Line and message."""


def _unknown_tables(tree: exp.Query, known: Tables) -> Iterator[Remark]:
    for table in trees.tables(tree):
        name = trees.table_name(table)
        if "/" in name or "\\" in name:
            yield trees.line_of(table), f"{name}: a path is no table; declare it as a source of a bronze table"
        elif name not in known:
            yield trees.line_of(table), f"unknown table {name}; tables here: {', '.join(sorted(known)) or 'none'}"
        if table.args.get("version") is not None:
            yield trees.line_of(table), f"{name}: time travel is the engine's; a table is seen as of the run"


def _forbidden(tree: exp.Query) -> Iterator[Remark]:
    for node in tree.find_all(exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if name in _NOT_A_FUNCTION_OF_THE_ROWS and not (name == "unix_timestamp" and node.expressions):
            yield trees.line_of(node), f"{name}() is not a function of the rows; use :run_date, :as_of or a column"
        elif name in _ONLY_WITH_AN_ORDER and not _is_ordered_window(node):
            yield (
                trees.line_of(node),
                f"{name}() depends on the order of rows; use min_by or max_by, or a window with ORDER BY",
            )
    for sample in tree.find_all(exp.TableSample):
        yield trees.line_of(sample), "TABLESAMPLE is not a function of the rows"
    for limit in tree.find_all(exp.Limit):
        if limit.parent is not None and limit.parent.args.get("order") is None:
            yield trees.line_of(limit), "LIMIT without ORDER BY is not a function of the rows"


def _is_ordered_window(node: exp.Expr) -> bool:
    window = node.parent if isinstance(node.parent, exp.Window) else node.find_ancestor(exp.Window)
    return window is not None and window.args.get("order") is not None


def _unknown_markers(tree: exp.Query, known: Collection[str]) -> Iterator[Remark]:
    for node in tree.find_all(exp.Placeholder, exp.Parameter):
        if node.name not in known:
            yield (
                trees.line_of(node),
                f"unknown marker :{node.name}; markers here: {', '.join(':' + name for name in known)}",
            )


def _unknown_columns(tree: exp.Query, tables: Tables) -> Iterator[Remark]:
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
            yield (
                trees.line_of(column),
                f"unknown column {trees.render(column)}; columns here: {', '.join(sorted(available))}",
            )


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


def _sight(select: exp.Select, tables: Tables) -> dict[str, Collection[str] | None]:
    """Alias -> lower-case columns (None: unknown) of everything that `select` reads, and its own new names."""
    start = select.args.get("from_")
    sources = [start.this] if start is not None else []
    sources += [join.this for join in select.args.get("joins") or ()]
    sight: dict[str, Collection[str] | None] = {}
    for number, source in enumerate(sources):
        sight[source.alias_or_name.lower() or f"#{number}"] = (
            None if source.args.get("pivots") else _columns_of(source, tables)
        )
    for lateral in select.args.get("laterals") or ():
        alias = lateral.args.get("alias")
        names = {column.name.lower() for column in alias.columns} if alias is not None else set()
        sight[lateral.alias_or_name.lower()] = names or None
    sight["#own"] = {item.alias.lower() for item in select.expressions if item.alias}
    return sight


def _columns_of(source: exp.Expr, tables: Tables) -> Collection[str] | None:
    if isinstance(source, exp.Subquery):
        return _outputs(source.this, tables)
    if not isinstance(source, exp.Table) or not isinstance(source.this, exp.Identifier):
        return None
    expression = trees.common_table_expression(source)
    if expression is not None:
        return _outputs(expression.this, tables)
    columns = tables.get(trees.table_name(source))
    return {name.lower() for name in columns} if columns is not None else None


def _outputs(query: exp.Expr, tables: Tables) -> Collection[str] | None:
    """Names that `query` returns; None when they cannot be known."""
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    # Spark names an expression without an alias by rules of its own.
    if not isinstance(query, exp.Select) or not all(_has_plain_name(item) for item in query.expressions):
        return None
    return {item.alias_or_name.lower() for item in query.expressions}


def _has_plain_name(item: exp.Expr) -> bool:
    return isinstance(item, exp.Alias | exp.Column) and not item.is_star


# ------------------------------------------------------------------ silver


def check_silver(
    query: str,
    tables: Tables,
    *,
    keys: Tables,
    file: str = "<sql>",
) -> list[Finding]:
    """As `check`, and what would not keep every bronze row once. `keys`: name of each table -> its contract's keys."""
    findings = check(query, tables, file=file)
    try:
        tree = trees.parse(query, file=file)
    except ConfigError:
        return findings
    remarks = [*_not_row_by_row(tree), *_joins_that_multiply(tree, keys)]
    return sorted({*findings, *(Finding(file, line, message) for line, message in remarks)})


_CLAUSES = {
    "where": "WHERE drops rows: make it an expectation",
    "group": "GROUP BY merges rows: that is gold",
    "having": "HAVING drops rows: make it an expectation",
    "qualify": "QUALIFY drops rows: declare keys and deduplicate_by",
    "distinct": "DISTINCT drops rows: declare keys",
    "limit": "LIMIT drops rows",
    "offset": "OFFSET drops rows",
    "laterals": "LATERAL VIEW multiplies rows: that is gold",
    "with_": "WITH is not for silver: one bronze table, others by LEFT JOIN",
}
_GENERATORS = frozenset(
    f"{name}{suffix}"
    for name in ("explode", "posexplode", "inline", "stack", "json_tuple", "variant_explode")
    for suffix in ("", "_outer")
)


def _not_row_by_row(tree: exp.Query) -> Iterator[Remark]:
    if not isinstance(tree, exp.Select):
        yield 0, "a set operation does not keep rows: silver reads one bronze table"
        return
    for clause, message in _CLAUSES.items():
        node = tree.args.get(clause)
        if node:
            yield trees.line_of(node[0] if isinstance(node, list) else node), message
    for subquery in tree.find_all(exp.Subquery, exp.Exists):
        yield trees.line_of(subquery), "a subquery is not for silver: join the table on its full keys"
    for function in tree.find_all(exp.Func):
        name = function.name.lower() if isinstance(function, exp.Anonymous) else ""
        if name in _GENERATORS:
            yield trees.line_of(function), f"{name}() multiplies rows: that is gold"
        elif _is_aggregate(function) and not _is_in_window(function):
            yield trees.line_of(function), f"{name or function.sql_name().lower()}() merges rows: that is gold"
    start = tree.args.get("from_")
    name = trees.table_name(start.this) if start is not None and isinstance(start.this, exp.Table) else ""
    if not name.startswith("bronze."):
        yield trees.line_of(start) if start is not None else 0, "silver SQL reads FROM exactly one bronze table"
    for projection in tree.expressions:
        if projection.is_star and tree.args.get("joins") and not isinstance(projection, exp.Column):
            yield trees.line_of(projection), "`*` beside a join: name the columns"


def _is_aggregate(function: exp.Func) -> bool:
    """Whether Spark, as sqlglot knows it, would aggregate here."""
    if isinstance(function, exp.AggFunc):
        return True
    if not isinstance(function, exp.Anonymous):
        return False
    known = sqlglot.parse_one(f"{function.name}(x)", dialect="spark", error_level=sqlglot.ErrorLevel.IGNORE)
    return isinstance(known, exp.AggFunc)


def _is_in_window(function: exp.Func) -> bool:
    around = function.parent
    while isinstance(around, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        around = around.parent
    return isinstance(around, exp.Window)


def _joins_that_multiply(tree: exp.Query, keys: Tables) -> Iterator[Remark]:
    for join in tree.args.get("joins") or ():
        name = trees.table_name(join.this) if isinstance(join.this, exp.Table) else "a subquery"
        line, full_key = trees.line_of(join.this), keys.get(name)
        if join.side != "LEFT" or join.kind not in ("", "OUTER"):
            yield line, f"{name}: only LEFT JOIN keeps every row"
        elif full_key is None and name in keys:
            continue
        elif not full_key:
            yield line, f"{name} has no keys, so that joining it may multiply rows"
        elif join.args.get("on") is None:
            yield line, f"{name}: join it ON its full keys: {', '.join(full_key)}"
        else:
            missing = [key for key in full_key if key not in _equated(join)]
            if missing:
                yield line, f"{name}: joined without its key {', '.join(missing)}, which may multiply rows"


def _equated(join: exp.Join) -> set[str]:
    """Columns of the joined table that the condition equates with something that is not of that table."""
    alias, condition = join.this.alias_or_name, join.args["on"].unnest()
    found = set()
    for term in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        equality = term.unnest()
        if not isinstance(equality, exp.EQ):
            continue
        for one, other in ((equality.left, equality.right), (equality.right, equality.left)):
            is_free = all(column.table != alias for column in other.find_all(exp.Column))
            if isinstance(one, exp.Column) and one.table == alias and is_free:
                found.add(one.name)
    return found
