"""Contracts of the tables that feature sources read, found without Spark and without loading every definition."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from scorelake import sql
from scorelake.errors import ConfigError, Finding
from scorelake.strict_yaml import load, parse
from scorelake.tables import CONTRACTS, Bronze, Silver, Versioned, check_name

VARIABLE = "SCORELAKE_CONF_DIR"
AVAILABLE_AT = "available_at"


def contract_of(table: str, conf_dir: str | Path | None = None) -> Versioned:
    """The contract of `<layer>.<table>` in `conf_dir`, else in the folder that SCORELAKE_CONF_DIR names.

    ConfigError when no folder is known, when the table has no contract, or when it is a bronze table: those have
    no keys, clocks or types that features could stand on.
    """
    folder = Path(conf_dir or os.environ.get(VARIABLE, ""))
    if folder == Path():
        raise ConfigError(
            f"the contract of {table} cannot be looked up: {VARIABLE} is not set; export it, or name conf_dir "
            "under offline_store in feature_store.yaml"
        )
    layer, _, name = table.partition(".")
    path = folder / "tables" / layer / f"{name}.yaml"
    if layer not in CONTRACTS or not path.is_file():
        known = sorted(f"{file.parent.name}.{file.stem}" for file in (folder / "tables").glob("[gs]*/*.yaml"))
        raise ConfigError(f"no contract of table {table}: {path} not found; tables there: {', '.join(known) or 'none'}")
    return _parsed(path, path.stat().st_mtime_ns)


def repeats_snapshots(contract: Versioned, conf_dir: str | Path | None = None) -> bool:
    """Whether each slice of a table is its source's whole state, so that a row which is not there has gone."""
    if not isinstance(contract, Silver):
        return False
    folder = Path(conf_dir or os.environ.get(VARIABLE, "")) / "tables"
    query = folder / "silver" / f"{contract.name.partition('.')[2]}.sql"
    read = sql.tables_read(query.read_text("utf-8")) if query.is_file() else set(contract.reads)
    for table in read:
        layer, _, name = table.partition(".")
        path = folder / layer / f"{name}.yaml"
        if layer == "bronze" and path.is_file():
            return _bronze(path, path.stat().st_mtime_ns).source.repeats_snapshots
    return False


@lru_cache(maxsize=256)
def _bronze(path: Path, _modified_ns: int) -> Bronze:
    return parse(Bronze, load(path), name=f"bronze.{path.stem}")


@lru_cache(maxsize=256)
def _parsed(path: Path, _modified_ns: int) -> Versioned:
    """The contract at `path`; the time of its last change is part of the key, so an edit is seen."""
    table = f"{path.parent.name}.{check_name(path.stem)}"
    contract = parse(CONTRACTS[path.parent.name], load(path), name=table)
    if not isinstance(contract, Versioned):
        raise ConfigError([Finding(str(path), 0, f"{table} is a bronze table; features read silver and gold")])
    return contract


def event_time_of(contract: Versioned) -> str:
    """The column of the first clock; a table without an event time uses its available_at."""
    return contract.event_time or AVAILABLE_AT


def types_of(contract: Versioned) -> dict[str, str]:
    """Spark's simple type of every column that a feature may use: the contract's, and the second clock."""
    return {column.name: column.type for column in contract.columns} | {AVAILABLE_AT: "timestamp"}


@contextmanager
def conf_dir_exported(conf_dir: Path) -> Iterator[None]:
    """SCORELAKE_CONF_DIR set for the duration, so that sources built inside find their contracts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(conf_dir)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
