"""Large files in parts that several tasks read side by side, their rows numbered as if one had read them all.

Where a file may be cut is found while it is looked through: in CSV and JSON lines after a record, in Parquet between
row groups. What is packed (gzip) or one document (a JSON array) has no parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

PART_BYTES = 32 << 20
"""Least bytes of a part."""


class Cut(NamedTuple):
    """A place in a file and the rows before it: a byte of a text, a row group of a Parquet file."""

    at: int
    rows: int


START = Cut(0, 0)


@dataclass(frozen=True)
class Part:
    """What lies between two cuts; `bytes` is about how much that is."""

    start: Cut
    stop: Cut
    bytes: int

    @property
    def rows(self) -> int:
        return self.stop.rows - self.start.rows


def between(cuts: Iterable[tuple[int, int]], size: int) -> Iterator[Part]:
    """The parts of a file of `size` bytes, given every cut after its start, its end among them; none without cuts."""
    places = [START, *(Cut(*cut) for cut in cuts)]
    for start, stop in pairwise(places):
        share = stop.rows - start.rows, max(1, places[-1].rows)
        yield Part(start, stop, size * share[0] // share[1])


class Cutter:
    """Collects cuts at least PART_BYTES apart."""

    def __init__(self) -> None:
        self._cuts: list[Cut] = []
        self._last = 0

    def offer(self, covered: int, cut: Cut) -> None:
        """Cut here when enough bytes lie between, given the bytes `covered` up to here."""
        if covered - self._last >= PART_BYTES:
            self._cuts.append(cut)
            self._last = covered

    def ended(self, end: Cut) -> list[Cut]:
        """All cuts with the end of the file; none when it makes a single part."""
        if not self._cuts:
            return []
        return [*(cut for cut in self._cuts if cut.at < end.at), end]
