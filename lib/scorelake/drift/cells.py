"""The cells a column's values fall into: drawn once at training, never moved by later data.

Values stand in their *physical* form, so that a comparison is exact in the column's own type: integers,
days (date), microseconds (timestamp), unscaled integers (decimal), 0 and 1 (boolean), floats. A float32
edge is the double of equal value. Every kind of cell ends with `null`; numbers also have `NaN` apart.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeIs

BELOW, ABOVE, NAN, NULL, OTHER, UNSEEN = "below", "above", "nan", "null", "other", "unseen"
SPECIAL = (BELOW, ABOVE, NAN, NULL, OTHER, UNSEEN)
"""Names of the cells that stand for no declared value; a bin or value cell is named `bin` or `value`."""

Number = int | float


class Frozen(BaseModel):
    """Base of everything a profile consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NumericCells(Frozen):
    """below | [low, e1] | (e1, e2] | ... | (ek, high] | above | NaN | null; infinities lie below and above."""

    kind: Literal["bins"] = "bins"
    low: Number
    edges: tuple[Number, ...]
    high: Number

    @property
    def names(self) -> tuple[str, ...]:
        return (BELOW, *["bin"] * (len(self.edges) + 1), ABOVE, NAN, NULL)


class ValueCells(Frozen):
    """One cell for each of a few numbers, ascending | unseen | NaN | null; infinities are unseen."""

    kind: Literal["values"] = "values"
    values: tuple[Number, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*["value"] * len(self.values), UNSEEN, NAN, NULL)


class CategoricalCells(Frozen):
    """The commonest texts, most frequent first | other (seen at training) | unseen | null.

    `seen` holds 8-byte hashes of the other texts, sorted and concatenated in base64: a profile tells seen
    from unseen without carrying rare texts about. When `is_open` there were too many texts to remember,
    so nothing counts as unseen and whatever is not among `top` is other.
    """

    kind: Literal["categories"] = "categories"
    top: tuple[str, ...]
    seen: str = ""
    is_open: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (*["value"] * len(self.top), OTHER, UNSEEN, NULL)

    @cached_property
    def _seen(self) -> frozenset[bytes]:
        packed = base64.b64decode(self.seen)
        return frozenset(packed[i : i + 8] for i in range(0, len(packed), 8))

    def cell_of_rare(self, text: str) -> int:
        """The cell of a text that is not among `top`."""
        is_known = self.is_open or text_hash(text) in self._seen
        return len(self.top) if is_known else len(self.top) + 1


AnyCells = NumericCells | ValueCells | CategoricalCells
Cells = Annotated[AnyCells, Field(discriminator="kind")]


def text_hash(text: str) -> bytes:
    """8 bytes that stand for a text in `CategoricalCells.seen`."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def pack_hashes(texts: list[str]) -> str:
    """`CategoricalCells.seen` of these texts."""
    return base64.b64encode(b"".join(sorted({text_hash(text) for text in texts}))).decode("ascii")


def position(cells: AnyCells, name: str) -> int:
    """Index of a special cell; ValueError when this kind of cells has none of that name."""
    return cells.names.index(name)


def is_ordered(cells: AnyCells) -> TypeIs[NumericCells | ValueCells]:
    """Whether the cells lie on a line, so that cumulative measures mean something."""
    return not isinstance(cells, CategoricalCells)


def on_the_line(cells: NumericCells | ValueCells) -> slice:
    """The cells in ascending order, without unseen, NaN and null."""
    return slice(0, len(cells.edges) + 3) if isinstance(cells, NumericCells) else slice(0, len(cells.values))


def boundaries(cells: NumericCells) -> np.ndarray:
    """low, edges, high as doubles, for measures and drawings; counting compares in the column's own type."""
    return np.array([cells.low, *cells.edges, cells.high], dtype=np.float64)
