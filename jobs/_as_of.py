"""Tables of the lake as SQL of the team sees them: rows visible at an instant, one version a key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from scorelake.errors import ContractBroken
from scorelake.nightly import graph
from scorelake.tables import Silver, Versioned, quoted
from scorelake.transform import visible

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.definitions import Definitions
    from scorelake.stores.lake import Lake

FEW = 3
"""Instants up to which every scan of a table is left to Delta, which prunes what one instant cannot see."""


@contextmanager
def reader(lake: Lake, definitions: Definitions, tables: Iterable[str], *, instants: int) -> Iterator[visible.At]:
    """A reader of `tables` as of any instant, for `instants` of them; valid inside the block.

    Each table with keys is looked through once for corrected keys. For many instants a table is read once and kept
    (in memory, then on disk) with the time for which each version counts, since looking up the files of a Delta table
    costs more than a small scan, and an instant then compares where it would sort.
    """
    kept: list[DataFrame] = []
    histories = {}
    for name in sorted(tables):
        found = history(lake, definitions, name, kept)
        if instants > FEW:
            found = visible.with_ends(replace(found, rows=found.rows.select(*_needed(found))))
            kept.append(found.rows.persist())
        histories[name] = found
    try:
        yield visible.at(histories)
    finally:
        for frame in kept:
            frame.unpersist()


def history(lake: Lake, definitions: Definitions, name: str, kept: list[DataFrame]) -> visible.History:
    """Every version of a table's rows, with what is known about corrections; what it persists goes into `kept`."""
    contract = definitions.tables[name]
    if not isinstance(contract, Versioned):
        raise ContractBroken(f"{name} is read as of an instant, but only silver and gold tables can be")
    is_snapshot = isinstance(contract, Silver) and graph.source_of(definitions, name).repeats_snapshots
    found = visible.History(lake.read(name), contract, snapshots=lake.slices(name) if is_snapshot else None)
    if not found.has_versions:
        return found
    # One pass over the key columns; nearly always it finds nothing, and then no history is ever sorted.
    kept.append(visible.corrected_keys(found).persist())
    return found.knowing(kept[-1], kept[-1].count())


def _needed(found: visible.History) -> list[str]:
    """Columns that a view as of an instant is made of."""
    names = [*found.columns, *(["is_deleted"] if "is_deleted" in found.rows.columns else [])]
    return [quoted(name) for name in names]
