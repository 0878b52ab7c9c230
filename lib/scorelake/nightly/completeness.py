"""Whether everything is there that a slice is a function of; a slice is never built over a hole.

A hole is a slice that should exist and does not: its drop never came, or a gate refused it (semantics, section 1).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from scorelake.dates import RunDates
from scorelake.nightly import graph
from scorelake.transform.gold import cutoffs_of, label_slice

if TYPE_CHECKING:
    from scorelake.definitions import Definitions
    from scorelake.nightly.graph import Node

_TOLD = 3


def holes(
    definitions: Definitions, node: Node, dates: Iterable[date], written: Mapping[str, Collection[date]]
) -> dict[date, str]:
    """For each of `dates` what its history lacks, in words; dates that lack nothing do not appear.

    `written` holds the slices that exist of each table in `node.history`. Of silver every slice that its source should
    have delivered until then is needed, of a snapshot the newest, since an older state of a database cannot be asked
    for any more; of labels every slice that holds cut-offs; of other gold the slice of each
    date at which it is read.
    """
    days = sorted(dates)
    found: dict[date, list[str]] = {}
    for table in sorted(set(node.history) & set(written)):
        for day, lacking in _lacking(definitions, node, table, days, written[table]):
            if lacking:
                more = f" and {len(lacking) - _TOLD} more" if len(lacking) > _TOLD else ""
                found.setdefault(day, []).append(f"{table} has no slice {', '.join(map(str, lacking[-_TOLD:]))}{more}")
    return {day: "; ".join(texts) for day, texts in found.items()}


def _lacking(
    definitions: Definitions, node: Node, table: str, days: list[date], written: Collection[date]
) -> Iterable[tuple[date, list[date]]]:
    if not days:
        return
    if table in definitions.gold and table not in definitions.labels:
        for day in days:
            yield day, sorted(_read_at(definitions, node, day) - set(written))
        return
    expected = sorted(_until(definitions, table, days[-1]))
    if table in definitions.silver and graph.source_of(definitions, table).delivery == "snapshot":
        for day in days:
            newest = expected[: bisect_right(expected, day)][-1:]
            yield day, [one for one in newest if one not in written]
        return
    lacking = [one for one in expected if one not in written]
    for day in days:
        yield day, lacking[: bisect_right(lacking, day)]


def _until(definitions: Definitions, table: str, last: date) -> set[date]:
    """Slices of a silver or label table that should exist by the end of `last`."""
    if table in definitions.labels:
        label = definitions.labels[table].label
        assert label is not None
        return {day for day in (label_slice(cutoff, label) for cutoff in label.cutoffs.dates()) if day <= last}
    starts = graph.source_of(definitions, table).starts
    return set(graph.due_dates(definitions, table, RunDates(starts, last))) if starts <= last else set()


def _read_at(definitions: Definitions, node: Node, day: date) -> set[date]:
    """The dates at whose end slice `day` of a node reads its inputs."""
    if node.step == "build_training_set":
        label = definitions.labels[definitions.models[node.subject].label].label
        assert label is not None
        return {cutoff for cutoff in label.cutoffs.dates() if label_slice(cutoff, label) <= day}
    if node.table in definitions.labels:
        label = definitions.labels[node.table].label
        assert label is not None
        cutoffs = cutoffs_of(label, RunDates.single(day))
        return {*cutoffs, day} if cutoffs else set()
    return {day}
