"""Which dates of a call can be built, told before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorelake.dates import RunDates
from scorelake.nightly import completeness, freshness, graph

if TYPE_CHECKING:
    from scorelake.definitions import Definitions
    from scorelake.nightly.graph import Node
    from scorelake.settings import Settings
    from scorelake.stores.lake import Lake


def complete(
    lake: Lake, definitions: Definitions, settings: Settings, node: Node, dates: RunDates
) -> tuple[list[RunDates], tuple[str, ...]]:
    """The dates whose history has no hole, as ranges of one commit each; and what the others lack.

    Silver tables whose source stands in `allow_missing` may have holes.
    """
    written = {
        name: lake.marks(name, graph.step_of(definitions, name))
        for name in node.history
        if name in definitions.tables and not _may_lack(definitions, settings, name)
    }
    holes = completeness.holes(definitions, node, dates, written)
    missing = tuple(f"{node.table} {day}: {text}" for day, text in holes.items())
    whole = freshness.ranges(day for day in dates if day not in holes)
    return [chunk for part in whole for chunk in part.chunks(settings.limits.range_chunk_days)], missing


def _may_lack(definitions: Definitions, settings: Settings, name: str) -> bool:
    return name in definitions.silver and bool(graph.reads_of(definitions, name) & set(settings.allow_missing))
