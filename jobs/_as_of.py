"""Tables of the lake as SQL of the team sees them: rows visible at an instant, one version a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scorelake.errors import ContractBroken
from scorelake.nightly import graph
from scorelake.tables import Silver, Versioned
from scorelake.transform import visible

if TYPE_CHECKING:
    from scorelake.definitions import Definitions
    from scorelake.stores.lake import Lake


def reader(lake: Lake, definitions: Definitions, tables: Iterable[str]) -> visible.At:
    """A reader of `tables` as of any instant. Each table with keys is looked through once for corrected keys."""
    return visible.at({name: history(lake, definitions, name) for name in sorted(tables)})


def history(lake: Lake, definitions: Definitions, name: str) -> visible.History:
    """Every version of a table's rows, with what is known about corrections."""
    contract = definitions.tables[name]
    if not isinstance(contract, Versioned):
        raise ContractBroken(f"{name} is read as of an instant, but only silver and gold tables can be")
    rows = lake.read(name)
    if isinstance(contract, Silver):
        delivery = graph.source_of(definitions, name).delivery
        found = visible.of_silver(rows, contract, delivery=delivery)
    else:
        found = visible.History(rows, contract)
    if not found.has_versions:
        return found
    # One pass over the key columns; nearly always it finds nothing, and then no history is ever sorted.
    corrected = visible.corrected_keys(found).persist()
    return found.knowing(corrected, corrected.count())
