"""Which columns of which tables each column of a query comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from scorelake.sql import tree as trees

Origins = frozenset[tuple[str, str]]
"""Table and column."""


def columns_read(
    query: str, outputs: Iterable[str], tables: Mapping[str, Collection[str] | None], *, within: Mapping[str, str] = {}
) -> dict[str, Origins]:
    """Of each output column the columns whose values enter it; counts of rows and constants come from none.

    `tables` are the columns of every known table; `within` the SQL of tables that are queries themselves, such as a
    population. Rows that join or filter decide about other rows and are not told. A query that sqlglot cannot follow
    has no entries: an account of lineage is a service, never a reason to fail.
    """
    schema: dict[str, Any] = {}
    for name, columns in tables.items():
        layer, _, table = name.partition(".")
        schema.setdefault(layer, {})[table] = dict.fromkeys(columns or (), "")
    try:
        tree = exp.expand(trees.parse(query), {name: trees.parse(text) for name, text in within.items()})
        qualified = qualify(
            tree, dialect=trees.Verbatim, schema=schema, validate_qualify_columns=False, quote_identifiers=False
        )
        options: dict[str, Any] = {"scope": build_scope(qualified), "dialect": trees.Verbatim}
        return {
            name: _origins(lineage(exp.column(name, quoted=True), qualified, schema, **options)) for name in outputs
        }
    except (SqlglotError, ValueError):
        return {}


def _origins(found: Node) -> Origins:
    leaves = [(node.name, node.source) for node in found.walk() if not node.downstream]
    return frozenset(
        (trees.table_name(source), exp.to_column(name).name) for name, source in leaves if isinstance(source, exp.Table)
    )
