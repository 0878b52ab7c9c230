"""Silver SQL rewritten so that it keeps rows, never aborts, and serves many run dates at once.

- A struct with the received row rides along under its own name.
- `:run_date` and its kin become columns of the row's own run date; a joined table counts as of the row's own as-of
  instant; windows stay within the row's own slice.
- Casts, divisions and arithmetic become their `try_` forms, and for each column a flag says that one of them failed.
  Branches that are not taken (CASE, IF, COALESCE) do not fail. A `TRY_CAST` that the team wrote itself fails the
  column only when its value comes out null, since a fallback may be meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from scorelake import sql
from scorelake.errors import ConfigError
from scorelake.tables import quoted, spark_type
from scorelake.transform import casting
from scorelake.transform.visible import SINCE, UNTIL

_TRIED = {exp.Add: "try_add", exp.Sub: "try_subtract", exp.Mul: "try_multiply", exp.Div: "try_divide"}
_CASTS = {
    name: exp.DataType.build(name, dialect=sql.Verbatim)
    for name in ("tinyint", "smallint", "int", "bigint", "float", "double", "date", "timestamp", "boolean")
}
_FIRST_THAT_IS_NOT_NULL = ("coalesce", "nvl", "ifnull")
_EXPLICIT = "explicit"


@dataclass(frozen=True)
class Rewritten:
    """`flags`: output column -> name of the boolean column that says its SQL failed."""

    text: str
    flags: Mapping[str, str]


def rewrite(
    query: str,
    views: Mapping[str, str],
    *,
    bronze: str,
    star: Iterable[str],
    time_zone: str | None,
    carry: str,
) -> Rewritten:
    """The query over `views`, whose joined ones are `visible.intervals`. It has passed sql.check_silver.

    `star`: what `*` stands for. `carry`: the column of the bronze view that rides along.
    """
    tree = sql.parse(query)
    if not isinstance(tree, exp.Select):
        raise ConfigError(f"SQL over {bronze}: expected one SELECT without set operations")
    row = tree.args["from_"].this.alias_or_name
    _expand_star(tree, row, star)
    _bind(tree, row)
    _within_slices(tree, row)
    for table in list(tree.find_all(exp.Table)):
        alias = exp.to_identifier(table.alias_or_name, quoted=True)
        table.replace(exp.to_table(views[sql.table_name(table)], alias=alias))
    for column in tree.find_all(exp.Column):
        column.set("db", None)
    flags: dict[str, str] = {}
    projections = list(tree.expressions)
    for number, projection in enumerate(projections):
        tried = _tried(projection, time_zone)
        fails = _column_fails(tried)
        if fails is not None:
            flags[tried.alias_or_name] = f"__sql_fails_{number}"
            tree.append("expressions", exp.alias_(fails, flags[tried.alias_or_name]))
    for join in tree.args.get("joins") or ():
        join.set("on", _tried(join.args["on"], time_zone))
    _as_of_joins(tree, row)
    tree.append("expressions", exp.column(carry, table=row, quoted=True))
    return Rewritten(sql.render(tree), flags)


# ------------------------------------------------------------------ rows and slices


def _expand_star(tree: exp.Select, row: str, star: Iterable[str]) -> None:
    """`*` and `row.*` stand for the contract's columns of the bronze table."""
    expanded: list[exp.Expr] = []
    for projection in tree.expressions:
        if projection.is_star:
            expanded += [exp.column(name, table=row, quoted=True) for name in star]
        else:
            expanded.append(projection)
    tree.set("expressions", expanded)


def _as_of(row: str) -> str:
    return f"CAST(date_add({quoted(row)}.run_date, 1) AS TIMESTAMP)"


def _bind(tree: exp.Select, row: str) -> None:
    instants = {
        "run_date": f"{quoted(row)}.run_date",
        "data_start": f"CAST({quoted(row)}.run_date AS TIMESTAMP)",
        "data_end": _as_of(row),
        "as_of": _as_of(row),
    }
    for marker in list(tree.find_all(exp.Placeholder)):
        marker.replace(_expression(instants[marker.name]))


def _as_of_joins(tree: exp.Select, row: str) -> None:
    for join in tree.args.get("joins") or ():
        other = join.this.alias_or_name
        since, until = f"{quoted(other)}.{SINCE}", f"{quoted(other)}.{UNTIL}"
        counts = f"{since} <= {_as_of(row)} AND ({until} IS NULL OR {_as_of(row)} < {until})"
        join.set("on", exp.and_(exp.paren(join.args["on"]), _expression(counts)))


def _within_slices(tree: exp.Select, row: str) -> None:
    for window in tree.find_all(exp.Window):
        window.append("partition_by", exp.column("run_date", table=row, quoted=True))


def _expression(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect=sql.Verbatim)


# ------------------------------------------------------------------ what may fail


def _tried(tree: exp.Expr, time_zone: str | None) -> exp.Expr:
    """`tree` with every node that could abort replaced by one that returns null; returns the (new) root.

    A replaced node remembers its operands: it failed when they are there and its own value is not.
    """
    root = exp.paren(tree, copy=False)
    for node in reversed(list(root.walk())):
        tried = _tried_node(node, time_zone)
        if tried is not None:
            operands = _operands(node)
            tried.meta[_EXPLICIT] = isinstance(node, exp.TryCast)
            tried.meta["operands"] = operands
            node.replace(tried)
    inner: exp.Expr = root.this
    inner.pop()
    return inner


def _operands(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Binary):
        return [node.left, node.right]
    return [node.this] if isinstance(node, exp.Cast) else list(node.expressions)


def _tried_node(node: exp.Expr, time_zone: str | None) -> exp.Expr | None:
    """What to write instead of `node`; None when it cannot fail."""
    if isinstance(node, exp.Cast):
        is_constant = isinstance(node.this, exp.Literal)
        return None if is_constant else _tried_cast(node.this, node.to, time_zone)
    if isinstance(node, exp.IntDiv | exp.Mod):
        return _expression(f"CASE WHEN {sql.render(node.right)} <> 0 THEN {sql.render(node)} END")
    for kind, name in _TRIED.items():
        if isinstance(node, kind):
            return exp.Anonymous(this=name, expressions=[node.left.copy(), node.right.copy()])
    if isinstance(node, exp.Anonymous):
        return _tried_function(node, time_zone)
    return None


def _tried_function(node: exp.Anonymous, time_zone: str | None) -> exp.Expr | None:
    name, arguments = node.name.lower(), node.expressions
    if name in _CASTS and len(arguments) == 1:
        return _tried_cast(arguments[0], _CASTS[name], time_zone)
    if name in ("to_date", "to_timestamp") and len(arguments) == 1:
        return _tried_cast(arguments[0], _CASTS[name.removeprefix("to_")], time_zone)
    if name in ("to_date", "to_timestamp") and len(arguments) == 2:
        parsed = f"try_to_timestamp({', '.join(map(sql.render, arguments))})"
        return _expression(f"CAST({parsed} AS DATE)" if name == "to_date" else parsed)
    return None


def _tried_cast(operand: exp.Expr, to: exp.DataType, time_zone: str | None) -> exp.Expr:
    """A cast that is strict about text (transform.casting); whether the operand is text only Spark knows."""
    value, target = sql.render(operand), to.sql(dialect=sql.Verbatim)
    plain = f"TRY_CAST({value} AS {target})"
    strict = casting.cast(f"CAST({value} AS STRING)", "string", spark_type(to), time_zone=time_zone)
    if "RLIKE" not in strict.value or _is_never_text(operand):
        return _expression(plain)
    return _expression(f"CASE WHEN typeof({value}) = 'string' THEN {strict.value} ELSE {plain} END")


def _is_never_text(operand: exp.Expr) -> bool:
    return isinstance(operand, exp.Cast) and not operand.to.is_type("text", "varchar", "char")


def _column_fails(projection: exp.Expr) -> exp.Expr | None:
    """SQL that is true where the projected column could not be computed; None when it always can."""
    value = projection.unalias()
    unexpected = _fails(value, is_explicit=False)
    caught = _fails(value, is_explicit=True)
    parts = [unexpected] if unexpected else []
    parts += [f"({sql.render(value)}) IS NULL AND ({caught})"] if caught else []
    return _expression(f"coalesce({' OR '.join(f'({part})' for part in parts)}, false)") if parts else None


def _fails(node: exp.Expr, *, is_explicit: bool) -> str | None:
    """SQL that is true where a node below failed on a branch that was taken."""
    if "operands" in node.meta:
        operands = node.meta["operands"]
        parts = [_fails(operand, is_explicit=is_explicit) for operand in operands]
        if node.meta[_EXPLICIT] == is_explicit:
            present = [f"{sql.render(operand)} IS NOT NULL" for operand in operands]
            parts.append(" AND ".join([*present, f"({sql.render(node)}) IS NULL"]))
        return _any(parts)
    if isinstance(node, exp.Lambda):
        return None  # its variables mean nothing outside
    branches = list(_branches(node))
    if branches:
        return _fails_in_branches(branches, is_explicit=is_explicit)
    return _any(_fails(child, is_explicit=is_explicit) for child in node.iter_expressions())


Branch = tuple[exp.Expr | None, exp.Expr]
"""Condition (None: otherwise) and value."""


def _branches(node: exp.Expr) -> Iterator[Branch]:
    """The branches of a conditional expression in order; nothing for any other node."""
    if isinstance(node, exp.Case):
        for branch in node.args["ifs"]:
            condition = (
                branch.this if node.this is None else exp.EQ(this=node.this.copy(), expression=branch.this.copy())
            )
            yield condition, branch.args["true"]
        if node.args.get("default") is not None:
            yield None, node.args["default"]
    elif isinstance(node, exp.If):
        yield node.this, node.args["true"]
        if node.args.get("false") is not None:
            yield None, node.args["false"]
    elif isinstance(node, exp.Coalesce) or node.name.lower() in _FIRST_THAT_IS_NOT_NULL:
        arguments = node.expressions if isinstance(node, exp.Anonymous) else [node.this, *node.expressions]
        for argument in arguments[:-1]:
            yield exp.Not(this=exp.Is(this=argument.copy(), expression=exp.Null())), argument
        yield None, arguments[-1]


def _fails_in_branches(branches: list[Branch], *, is_explicit: bool) -> str | None:
    """A branch fails with its value or with any condition up to it."""
    cases, conditions, otherwise = [], [], "false"
    is_possible = False
    for condition, value in branches:
        if condition is not None:
            conditions.append(_fails(condition, is_explicit=is_explicit))
        failure = _any([*conditions, _fails(value, is_explicit=is_explicit)])
        is_possible = is_possible or failure is not None
        if condition is None:
            otherwise = failure or "false"
        else:
            cases.append(f"WHEN {sql.render(condition)} THEN {failure or 'false'}")
    return f"CASE {' '.join(cases)} ELSE {otherwise} END" if is_possible else None


def _any(parts: Iterable[str | None]) -> str | None:
    possible = dict.fromkeys(part for part in parts if part is not None)
    return " OR ".join(f"({part})" for part in possible) or None
