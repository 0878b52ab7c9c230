"""Which labelled rows teach, which stop the teaching in time, and which judge it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scorelake.dates import as_of, render_duration
from scorelake.errors import ConfigError
from scorelake.models import ByTime, EntitySplit, Split, StratifiedSplit, TemporalSplit, TrailingSplit
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

PARTS = ("train", "validation", "test")
_SLOTS = 1_000_000
_MICROSECOND = timedelta(microseconds=1)


def with_split(
    frame: DataFrame,
    split: Split,
    *,
    horizon: timedelta,
    known_by: datetime,
    seed: int,
    delay: timedelta = timedelta(0),
) -> DataFrame:
    """`frame` and a column `split` (train, validation, test), without the rows that belong to no part.

    `frame` has `event_timestamp` (t) and `label_available_at`, which is t + `horizon` + `delay`. A row whose label was
    not known by `known_by` (the cut-off's as-of instant, inclusive) is left out, and so is one that falls into the gap
    between two parts. ConfigError when the gap is shorter than the label's `horizon`.
    """
    from pyspark.sql import functions as F

    mature = frame.where(F.col("label_available_at") <= F.lit(known_by))
    if isinstance(split, StratifiedSplit):
        return _stratified(mature, split, seed)
    if isinstance(split, EntitySplit):
        part = _by_entity(split, seed)
    else:
        gap = _gap(split, horizon)
        part = _by_time(split, *_begins(split, newest=known_by - horizon - delay, gap=gap), gap, seed)
    return mature.withColumn("split", part).where(F.col("split").isNotNull())


def _gap(split: ByTime, horizon: timedelta) -> timedelta:
    gap = horizon if split.gap is None else split.gap
    if gap < horizon:
        shown = f"{render_duration(gap)} is shorter than the label's horizon, {render_duration(horizon)}"
        raise ConfigError(f"split.gap: {shown}; labels of one part would reach into the next")
    return gap


def _begins(split: TemporalSplit | TrailingSplit, *, newest: datetime, gap: timedelta) -> tuple[datetime, datetime]:
    """The least t of validation and of test; `newest` is the last t whose label can be known."""
    if isinstance(split, TemporalSplit):
        return as_of(split.validation_from), as_of(split.test_from)
    test = newest - split.test + _MICROSECOND  # of weekly cut-offs, 28 days are four and not five
    return test - gap - split.validation, test


def _by_time(split: ByTime, validation: datetime, test: datetime, gap: timedelta, seed: int) -> Column:
    from pyspark.sql import functions as F

    t = F.col("event_timestamp")
    is_validation = (t >= F.lit(validation)) & (t <= F.lit(test - gap))
    is_train = t <= F.lit(validation - gap)
    if split.unseen is not None:
        may_teach = _slot(split.unseen.keys, seed) >= round(split.unseen.share * _SLOTS)
        is_validation, is_train = is_validation & may_teach, is_train & may_teach
    return F.when(t >= F.lit(test), "test").when(is_validation, "validation").when(is_train, "train")


def _by_entity(split: EntitySplit, seed: int) -> Column:
    """A uniform share in [0, 1) of each entity decides; it depends on nothing but seed and keys."""
    return _shared_out(_slot(split.keys, seed) / _SLOTS, split)


def _stratified(frame: DataFrame, split: StratifiedSplit, seed: int) -> DataFrame:
    """Where an entity stands among those of its label, in the order of their hashes, decides."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = [F.col(quoted(key)) for key in split.keys]
    entities = frame.groupBy(*keys).agg(F.max("label").alias("__label"))
    among = Window.partitionBy("__label")
    place = F.row_number().over(among.orderBy(F.xxhash64(F.lit(seed), *keys), *keys))
    share = (place - F.lit(0.5)) / F.count(F.lit(1)).over(among)
    parts = entities.select(
        *(key.alias(f"__key_{n}") for n, key in enumerate(keys)), _shared_out(share, split).alias("split")
    )
    same = [key.eqNullSafe(F.col(f"__key_{n}")) for n, key in enumerate(keys)]
    return frame.join(parts, on=same, how="inner").select(*(frame[quoted(name)] for name in frame.columns), "split")


def _shared_out(share: Column, split: EntitySplit | StratifiedSplit) -> Column:
    from pyspark.sql import functions as F

    is_test, is_validation = share < split.test, share < split.test + split.validation
    return F.when(is_test, "test").when(is_validation, "validation").otherwise("train")


def _slot(keys: Sequence[str], seed: int) -> Column:
    """0 up to _SLOTS, the same for an entity for good."""
    from pyspark.sql import functions as F

    return F.pmod(F.xxhash64(F.lit(seed), *(F.col(quoted(key)) for key in keys)), F.lit(_SLOTS))
