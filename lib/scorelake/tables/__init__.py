"""The contract of a table: what its columns mean, which rows are the same, when they were known.

`conf/tables/<layer>/<table>.yaml` is one of Bronze, Silver or Gold. The words are those of semantics.md.
"""

from scorelake.tables.columns import (
    AUDIT,
    DELETED,
    LAYERS,
    PROVENANCE,
    RESERVED,
    SLICE_COLUMN,
    Column,
    ColumnDDL,
    check_name,
    is_number,
    literal,
    parse_column,
    quoted,
    spark_type,
)
from scorelake.tables.contracts import (
    CONTRACTS,
    LEAST_RETENTION,
    AnyContract,
    Availability,
    Bronze,
    Contract,
    Cutoffs,
    Gold,
    Label,
    Silver,
    Versioned,
)
from scorelake.tables.judging import Expectation, Freshness, ProfileCheck, Share, Volume
from scorelake.tables.sources import FileSource, JdbcSource, Source

__all__ = [
    "AUDIT",
    "CONTRACTS",
    "DELETED",
    "LAYERS",
    "LEAST_RETENTION",
    "PROVENANCE",
    "RESERVED",
    "SLICE_COLUMN",
    "AnyContract",
    "Availability",
    "Bronze",
    "Column",
    "ColumnDDL",
    "Contract",
    "Cutoffs",
    "Expectation",
    "FileSource",
    "Freshness",
    "Gold",
    "JdbcSource",
    "Label",
    "ProfileCheck",
    "Share",
    "Silver",
    "Source",
    "Versioned",
    "Volume",
    "check_name",
    "is_number",
    "literal",
    "parse_column",
    "quoted",
    "spark_type",
]
