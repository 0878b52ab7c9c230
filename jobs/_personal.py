"""Which columns of a bronze row may be shown when the silver table made of it marks some as personal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from scorelake import sql

if TYPE_CHECKING:
    from scorelake.definitions import Definitions
    from scorelake.nightly.graph import Node


def shown_columns(definitions: Definitions, node: Node) -> list[str]:
    """Columns of the bronze table that feed no personal column and are none themselves.

    Without any personal column, `raw` and `extra` may be shown too; with one, they may hold anything. What a Python
    transform reads cannot be known, so beside a personal column nothing is shown.
    """
    silver, bronze = definitions.silver[node.table], definitions.bronze[node.same_date[0]]
    if not silver.personal and not bronze.personal:
        return [*bronze.column_names, "raw", "extra"]
    if silver.transform is not None:
        return []
    hidden = {*bronze.personal, *_sources_of(definitions.sql[node.table], silver.personal)}
    hidden = {name.lower() for name in hidden}
    return [name for name in bronze.column_names if name.lower() not in hidden]


def _sources_of(query: str, names: tuple[str, ...]) -> set[str]:
    """Every column that the SQL of the named output columns mentions."""
    found = set(names)  # `*` gives a column its own name
    for projection in sql.parse(query).selects:
        if projection.alias_or_name in names:
            found |= {column.name for column in projection.find_all(exp.Column)}
    return found
