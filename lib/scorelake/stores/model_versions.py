"""A model version as others see it: what is recorded when it is registered, and what is pinned before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorelake.errors import MissingInput, ModelRefused
from scorelake.stores import model_files
from scorelake.stores.model_files import Column, Replay

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Record:
    """What the MLflow run of a training keeps: parameters as text, metrics as '<part>.<metric>', tags as text.

    `trials` become nested runs, e.g. the sets of parameters that a search tried.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    description: str = ""
    trials: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Pinned:
    """One version whose files lie in `folder`, checked against its digest; nothing that moves later changes it."""

    name: str
    version: str
    digest: str
    folder: Path
    run_id: str
    columns: tuple[Column, ...]
    task: str
    classes: tuple[str, ...]
    tags: Mapping[str, str] = field(repr=False)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model's inputs, in its order."""
        return tuple(column.name for column in self.columns)

    @property
    def replay(self) -> Replay | None:
        """The stored rows and scores; `replay.batch(columns)` are the rows for a predictor."""
        return model_files.replay_of(self.folder)

    def has(self, name: str) -> bool:
        """Whether a file of that name was registered beside the model."""
        return (self.folder / model_files.OWN / name).is_file()

    def file(self, name: str) -> bytes:
        """A file that was registered beside the model. MissingInput when the version has none of that name."""
        path = self.folder / model_files.OWN / name
        if not path.is_file():
            raise MissingInput(f"model {self.name} version {self.version} has no {name}; train it again")
        return path.read_bytes()

    def check_replay(self, scores: np.ndarray[Any, Any], *, tolerance: float = 0.0) -> None:
        """ModelRefused unless `scores` of the stored rows are the stored ones, within `tolerance` (absolute).

        A model that Scorelake did not write has no stored rows and passes.
        """
        import numpy as np

        replay = self.replay
        if replay is None:
            return
        wanted = np.asarray(replay.scores, np.float64)
        found = np.asarray(scores, np.float64)
        found = found[:, 1] if found.ndim > wanted.ndim else found  # both classes of a binary model
        if not np.allclose(found, wanted, rtol=0, atol=tolerance, equal_nan=True):
            raise ModelRefused(
                f"model {self.name} version {self.version} scores its stored rows differently than when it was "
                "registered: check library versions against its requirements"
            )


@dataclass(frozen=True)
class Version:
    """A line of the history. `former` is the champion that this version replaced when it was promoted."""

    version: str
    aliases: tuple[str, ...]
    run_id: str
    digest: str
    former: str | None
