"""What a column looked like when the model was trained: its cells and how many rows fell into each.

A profile is made once, travels with the model version as JSON and never changes; its hash tells whether
two sets of counts may be compared. It holds counts, never rows; rare texts are there as hashes only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from scorelake.drift.cells import Cells, Frozen
from scorelake.errors import DamagedFile, ScorelakeError

FORMAT: Literal[1] = 1
OVERALL = "all"
"""Name of the segment that every row belongs to."""

Role = Literal["feature", "score", "label"]
CellCounts = tuple[tuple[int, ...], ...]
CellSums = tuple[tuple[float, ...], ...]


class Family(Frozen):
    """A column whose commonest values are segments; rows of other values count in `all` only."""

    column: str
    values: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}={value}" for value in self.values)


class FeatureProfile(Frozen):
    """The frozen reference of one column.

    `type` is Spark's name of the column's type. `counts[s][c]` are rows of segment s in cell c, with
    `sum_w` and `sum_w2` beside them when the reference was weighted. Mean, std (of the population, not
    the sample), and range are of finite values in the column's unit; None for texts, clocks and for a
    column without any.
    """

    name: str
    type: str
    role: Role = "feature"
    cells: Cells
    counts: CellCounts
    sum_w: CellSums | None = None
    sum_w2: CellSums | None = None
    mean: float | None = None
    std: float | None = None

    @property
    def width(self) -> int:
        """How many cells."""
        return len(self.cells.names)

    @property
    def n(self) -> int:
        """Rows of the reference."""
        return sum(self.counts[0])


class Profile(Frozen):
    """The frozen reference of a model version or a table: its columns and its segments."""

    format: Literal[1] = FORMAT
    families: tuple[Family, ...] = ()
    features: tuple[FeatureProfile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("a column is profiled twice")
        for feature in self.features:
            shape = {len(row) for sums in (feature.counts, feature.sum_w, feature.sum_w2) for row in sums or ()}
            if len(feature.counts) != len(self.segments) or shape != {feature.width}:
                raise ValueError(f"{feature.name}: counts do not have one number a segment and cell")
        return self

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """`all`, then every declared segment as `column=value`."""
        return (OVERALL, *(name for family in self.families for name in family.names))

    @cached_property
    def offsets(self) -> Mapping[str, int]:
        """Where a feature's cells begin in a row of counts of all features."""
        starts, total = {}, 0
        for feature in self.features:
            starts[feature.name] = total
            total += feature.width
        return starts

    @property
    def width(self) -> int:
        """Cells of all features together."""
        return sum(feature.width for feature in self.features)

    @property
    def is_weighted(self) -> bool:
        return any(feature.sum_w is not None for feature in self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that counting reads: the features and the segments'."""
        return tuple(dict.fromkeys([f.name for f in self.features] + [f.column for f in self.families]))

    @cached_property
    def hash(self) -> str:
        """sha256 of everything the profile holds; counts carry it, so that no two cuttings are mixed."""
        return _sha256(self.model_dump(mode="json"))

    def __getitem__(self, name: str) -> FeatureProfile:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, FeatureProfile]:
        return {feature.name: feature for feature in self.features}

    def only(self, names: Iterable[str]) -> Profile:
        """The profile of some of its columns (another hash)."""
        wanted = set(names)
        return Profile(families=self.families, features=tuple(f for f in self.features if f.name in wanted))

    def joined(self, other: Profile) -> Profile:
        """Both profiles' columns side by side, as for features and the score of another sample.

        Raises ScorelakeError when their segments differ.
        """
        if other.families != self.families:
            raise ScorelakeError("profiles of different segments cannot be joined: build both with the same families")
        return Profile(families=self.families, features=self.features + other.features)

    def to_json(self) -> str:
        """Text that `from_json` reads back equal, bit for bit."""
        return json.dumps({"hash": self.hash, "profile": self.model_dump(mode="json")}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, source: str = "drift profile") -> Profile:
        """The profile of this text; `source` names the file in the message of DamagedFile."""
        try:
            content: dict[str, Any] = json.loads(text)
            profile = cls.model_validate_json(json.dumps(content["profile"]))
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise DamagedFile(f"{source} is no drift profile of format {FORMAT}: train the model again") from error
        if profile.hash != content.get("hash"):
            raise DamagedFile(f"{source} was changed after it was written: its hash does not fit its content")
        return profile


def _sha256(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
