"""Columns as DDL says them, and the names that belong to the engine."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from scorelake.strict_yaml import Definition

LAYERS = ("bronze", "silver", "gold")
SLICE_COLUMN = "run_date"
PROVENANCE = ("source_file", "source_row", "run_date", "available_at", "ingested_at", "run_id")
DELETED = "is_deleted"
"""Of a version: it makes its key invisible."""
RESERVED = frozenset({*PROVENANCE, "score_date", "raw", "extra", DELETED, "reasons", "changes"})
"""Engine columns; a source that has one is renamed in its contract (`rename:`), else refused."""
HELPER = "__"
"""What the names of columns begin with that queries make beside those of a table; no contract has such a one."""
AUDIT = frozenset({"ingested_at", "run_id", "scored_at"})
"""Columns that enter no digest, no hash and no equality (semantics, section 5)."""

UNSTORABLE = set(" ,;{}()\n\t=")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")


def check_name(name: str) -> str:
    """A table, layer, population or model name that no SQL or path can misread; ValueError otherwise."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"name {name!r}: expected lower-case letters, digits and _, starting with a letter")
    return name


class Column(Definition):
    """One column as DDL says it: `amount DECIMAL(10,2) COMMENT 'paid, in EUR'`. `type` is Spark's simple string."""

    name: str
    type: str
    comment: str = ""

    @property
    def ddl(self) -> str:
        return f"{quoted(self.name)} {self.type}" + (f" COMMENT {literal(self.comment)}" if self.comment else "")


def literal(text: str) -> str:
    """`text` as a string in SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """`name` between backticks, so that any text is one identifier."""
    return "`" + name.replace("`", "``") + "`"


def parse_column(text: Any) -> Any:
    """The Column that one line of DDL declares; ValueError says what is wrong with it."""
    if not isinstance(text, str):
        return text
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        tree = parse_one(f"CREATE TABLE t ({text})", dialect="spark")
    except SqlglotError as error:
        raise ValueError(f"not a column in DDL, such as 'amount DECIMAL(10,2)': {text!r}") from error
    is_only_a_schema = isinstance(tree.this, exp.Schema) and not tree.args.get("properties")
    definitions = tree.this.expressions if is_only_a_schema else []
    if len(definitions) != 1 or not isinstance(definitions[0], exp.ColumnDef) or definitions[0].kind is None:
        raise ValueError(f"expected one column in DDL, such as 'amount DECIMAL(10,2)', found {text!r}")
    column = definitions[0]
    comment = column.find(exp.CommentColumnConstraint)
    return Column(
        name=column.name,
        type=spark_type(column.kind),
        comment=comment.this.name if comment is not None else "",
    )


def spark_type(kind: Any) -> str:
    """A sqlglot type as Spark's simple string: 'bigint', 'decimal(10,2)', 'array<string>'."""
    text: str = kind.sql(dialect="spark").lower()
    return re.sub(r"\s*([,<>():])\s*", r"\1", text)


def is_number(spark_type: str) -> bool:
    """Whether a simple string names an integer, a decimal or a floating-point type."""
    return spark_type in ("tinyint", "smallint", "int", "bigint", "float", "double") or spark_type.startswith("decimal")


def _render_column(column: Column) -> str:
    return column.ddl


ColumnDDL = Annotated[
    Column,
    BeforeValidator(parse_column, json_schema_input_type=str),
    PlainSerializer(_render_column, return_type=str),
]
