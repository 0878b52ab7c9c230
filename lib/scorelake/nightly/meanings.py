"""What a definition means, written for people, and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff

import yaml

from scorelake import sql
from scorelake.errors import ConfigError

_SQL = ("sql", "population")
"""Parts that hold a query; a label's population is there by its hash, which is no SQL and stays as it is."""


def text(meaning: Mapping[str, object]) -> str:
    """The meaning as YAML, its SQL a clause a line; equal meanings give equal texts. Empty when nothing is known."""
    if not meaning:
        return ""
    readable = {part: _readable(part, value) for part, value in meaning.items()}
    return yaml.dump(_plain(readable), Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=100)


def diff(before: str, after: str) -> str:
    """What changed between two such texts, as a unified diff without file names; empty when one is not known."""
    if not before or not after:
        return ""
    lines = unified_diff(before.splitlines(), after.splitlines(), "before", "now", lineterm="", n=2)
    return "\n".join(list(lines)[2:])


def _readable(part: str, value: object) -> object:
    if part == "columns" and isinstance(value, list):
        return [" ".join(map(str, column)) for column in value]
    if part not in _SQL:
        return value
    try:
        return sql.readable(str(value))
    except ConfigError:
        return value


def _plain(value: object) -> object:
    """Tuples as lists, which YAML would otherwise give a tag of Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _block)
