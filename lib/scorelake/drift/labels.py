"""What a cell is called in tables and reports. A text that few rows had is never spelled out."""

from __future__ import annotations

from itertools import pairwise

from scorelake.drift.cells import ABOVE, BELOW, NAN, NULL, OTHER, UNSEEN, CategoricalCells, NumericCells
from scorelake.drift.physical import to_text
from scorelake.drift.profile import FeatureProfile

RARE_ROWS = 10
"""A category of fewer reference rows might point at somebody, so it goes by `rare`."""
RARE = "rare category"

_NAMES = {NAN: "NaN", NULL: "null", OTHER: "other categories", UNSEEN: "unseen before"}


def cell_labels(feature: FeatureProfile) -> list[str]:
    """One label a cell, in order."""
    cells = feature.cells
    if isinstance(cells, NumericCells):
        return _bin_labels(cells, feature.type)
    if isinstance(cells, CategoricalCells):
        declared = [_category(text, rows) for text, rows in zip(cells.top, feature.counts[0], strict=False)]
    else:
        declared = [to_text(value, feature.type) for value in cells.values]
    return declared + [_NAMES[name] for name in cells.names[len(declared) :]]


def is_rare(feature: FeatureProfile) -> list[bool]:
    """Which cells are categories that a report adds to the other ones."""
    if not isinstance(feature.cells, CategoricalCells):
        return [False] * feature.width
    top = len(feature.cells.top)
    return [cell < top and rows < RARE_ROWS for cell, rows in enumerate(feature.counts[0])]


def _bin_labels(cells: NumericCells, kind: str) -> list[str]:
    low, high = to_text(cells.low, kind), to_text(cells.high, kind)
    ends = [low, *(to_text(edge, kind) for edge in cells.edges), high]
    bins = [f"{left} to {right}" for left, right in pairwise(ends)]
    return [f"{BELOW} {low}", *bins, f"{ABOVE} {high}", _NAMES[NAN], _NAMES[NULL]]


def _category(text: str, rows: int) -> str:
    if rows < RARE_ROWS:
        return RARE
    return text or "(empty text)"
