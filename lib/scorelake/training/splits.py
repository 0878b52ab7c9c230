"""Which labelled rows teach, which stop the teaching in time, and which judge it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scorelake.dates import as_of, render_duration
from scorelake.errors import ConfigError
from scorelake.models import EntitySplit, Split, TemporalSplit

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

PARTS = ("train", "validation", "test")


def with_split(frame: DataFrame, split: Split, *, horizon: timedelta, known_by: datetime, seed: int) -> DataFrame:
    """`frame` and a column `split` (train, validation, test), without the rows that belong to no part.

    `frame` has `event_timestamp` (t) and `label_available_at`. A row whose label was not known by `known_by`
    (the cut-off's as-of instant, inclusive) is left out, and so is one that falls into the gap between two parts.
    ConfigError when the gap is shorter than the label's `horizon`.
    """
    from pyspark.sql import functions as F

    part = _temporal(split, horizon) if isinstance(split, TemporalSplit) else _by_entity(split, seed)
    is_mature = F.col("label_available_at") <= F.lit(known_by)
    return frame.where(is_mature).withColumn("split", part).where(F.col("split").isNotNull())


def _temporal(split: TemporalSplit, horizon: timedelta) -> Column:
    from pyspark.sql import functions as F

    gap = horizon if split.gap is None else split.gap
    if gap < horizon:
        shown = f"{render_duration(gap)} is shorter than the label's horizon, {render_duration(horizon)}"
        raise ConfigError(f"split.gap: {shown}; labels of one part would reach into the next")
    t = F.col("event_timestamp")
    validation, test = as_of(split.validation_from), as_of(split.test_from)
    is_validation = (t >= F.lit(validation)) & (t <= F.lit(test - gap))
    return (
        F.when(t >= F.lit(test), "test").when(is_validation, "validation").when(t <= F.lit(validation - gap), "train")
    )


def _by_entity(split: EntitySplit, seed: int) -> Column:
    """A uniform share in [0, 1) of each entity decides; it depends on nothing but seed and keys."""
    from pyspark.sql import functions as F

    slot = F.pmod(F.xxhash64(F.lit(seed), *(F.col(key) for key in split.keys)), F.lit(1_000_000))
    test, validation = round(split.test * 1_000_000), round(split.validation * 1_000_000)
    return F.when(slot < test, "test").when(slot < test + validation, "validation").otherwise("train")
