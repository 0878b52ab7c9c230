"""SQL of definitions: checked before Spark starts, bound to a date, compared by meaning.

Importing this package imports sqlglot (0.3 s), so it is imported where SQL is at hand.
"""

from scorelake.sql.checks import Tables, check, check_silver
from scorelake.sql.tree import (
    LABEL_PARAMETERS,
    PARAMETERS,
    POPULATION,
    Verbatim,
    bind,
    meaning,
    parse,
    readable,
    render,
    sql_columns,
    table_name,
    tables_read,
)

__all__ = [
    "LABEL_PARAMETERS",
    "PARAMETERS",
    "POPULATION",
    "Tables",
    "Verbatim",
    "bind",
    "check",
    "check_silver",
    "meaning",
    "parse",
    "readable",
    "render",
    "sql_columns",
    "table_name",
    "tables_read",
]
