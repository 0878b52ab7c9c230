"""The profile of a reference: a training set, a table's slices, the validation scores.

A constant number of Spark jobs whatever the number of columns: ranges and moments, distinct texts, a
sample for the edges, and the counting itself over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from scorelake.drift import counting, freeze, physical
from scorelake.drift.cells import AnyCells
from scorelake.drift.counts import Counts
from scorelake.drift.freeze import SEEN_LIMIT, Cutting
from scorelake.drift.kernel import Counter, merge
from scorelake.drift.profile import Family, FeatureProfile, Profile, Role
from scorelake.errors import ContractBroken
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_ROWS = "__rows"


def build(
    frame: DataFrame,
    columns: Sequence[str],
    *,
    segments: Sequence[str] = (),
    roles: Mapping[str, Role] | None = None,
    weight: str | None = None,
    cutting: Cutting | None = None,
) -> Profile:
    """The frozen profile of these columns of a frame.

    Segments are columns whose commonest values (at most `max_segments` together) get counts of their
    own; roles mark the score and the label. Brings to the driver one row of aggregates, at most
    SEEN_LIMIT + 1 distinct texts a text column, and a sample of `sample_rows` rows of the others.
    Raises ContractBroken when a column is missing or of a type that has no cells.
    """
    cutting = cutting or Cutting()
    types = _types(frame, [*columns, *segments])
    ordered = [name for name in columns if types[name] != physical.TEXT]
    texts = [name for name in columns if types[name] == physical.TEXT]
    facts = _facts(frame, ordered, types)
    ranks = _ranks(frame, texts, segments)
    sample = _sample(frame, ordered, rows=int(facts[_ROWS].as_py()), cutting=cutting)
    families = _families({name: ranks[f"segment {name}"] for name in segments}, cutting)
    empty = []
    for name in columns:
        if types[name] == physical.TEXT:
            empty.append(_uncounted(name, types[name], freeze.category_cells(ranks[name], cutting), families))
            continue
        cells = freeze.ordered_cells(sample[name], cutting, low=facts[f"{name} low"], high=facts[f"{name} high"])
        moments = {key: facts[f"{name} {key}"].as_py() for key in ("mean", "std")} if _has_moments(types[name]) else {}
        empty.append(_uncounted(name, types[name], cells, families, **moments))
    profile = Profile(families=families, features=tuple(empty))
    return counted(profile, counting.count(frame, profile, weight=weight), roles or {})


def build_arrow(
    table: pa.Table,
    columns: Sequence[str],
    *,
    segments: Sequence[str] = (),
    families: tuple[Family, ...] | None = None,
    roles: Mapping[str, Role] | None = None,
    weight: str | None = None,
    cutting: Cutting | None = None,
) -> Profile:
    """`build` for rows that are in memory already, such as validation scores; edges from all of them.

    `families` are the segments of another profile, which this one is to be `joined` to; where the table lacks their
    column, its rows count in `all` alone.
    """
    cutting = cutting or Cutting()
    if families is None:
        ranks = {name: freeze.ranked(_whole(table, name).cast(pa.string())) for name in segments}
        families = _families(ranks, cutting)
    empty = []
    for name in columns:
        column = _whole(table, name)
        kind = physical.spark_type(column.type)
        if kind is None:
            raise ContractBroken(f"column {name} is {column.type}: only numbers, texts, dates and booleans have cells")
        if kind == physical.TEXT:
            empty.append(_uncounted(name, kind, freeze.category_cells(freeze.ranked(column), cutting), families))
        else:
            cells = freeze.ordered_cells(column, cutting)
            moments = _moments(freeze.finite(column), kind) if _has_moments(kind) else {}
            empty.append(_uncounted(name, kind, cells, families, **moments))
    profile = Profile(families=families, features=tuple(empty))
    counter = Counter(profile, weight=weight)
    for batch in table.combine_chunks().to_batches():
        counter.add(batch)
    return counted(profile, merge(profile, [counter.part(0)]), roles or {})


def counted(profile: Profile, counts: Counts, roles: Mapping[str, Role]) -> Profile:
    """The profile with these counts as its reference."""
    features = []
    for feature in profile.features:
        start = profile.offsets[feature.name]
        cells = slice(start, start + feature.width)
        update = {"counts": _tuples(counts.rows[:, cells]), "role": roles.get(feature.name, feature.role)}
        if counts.is_weighted:
            update |= {"sum_w": _tuples(counts.sum_w[:, cells]), "sum_w2": _tuples(counts.sum_w2[:, cells])}
        features.append(feature.model_copy(update=update))
    return Profile(families=profile.families, features=tuple(features))


def _tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix.tolist()))


def _uncounted(
    name: str,
    kind: str,
    cells: AnyCells,
    families: tuple[Family, ...],
    *,
    mean: float | None = None,
    std: float | None = None,
) -> FeatureProfile:
    segments = 1 + sum(len(family.values) for family in families)
    nothing = ((0,) * len(cells.names),) * segments
    return FeatureProfile(name=name, type=kind, cells=cells, counts=nothing, mean=mean, std=std)


def _types(frame: DataFrame, names: Sequence[str]) -> dict[str, str]:
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    for name in names:
        if name not in types:
            raise ContractBroken(f"column {name} is not in the reference; it has {', '.join(sorted(types))}")
        if not physical.can_be_profiled(types[name]):
            raise ContractBroken(f"column {name} is {types[name]}: only numbers, texts, dates and booleans have cells")
    return types


def _has_moments(kind: str) -> bool:
    return kind not in (*physical.CLOCKS, physical.TEXT)


def _facts(frame: DataFrame, ordered: Sequence[str], types: Mapping[str, str]) -> dict[str, pa.Scalar]:
    """Rows, and of each column the least, greatest, mean and spread of its finite values, typed as it is."""
    from pyspark.sql import functions as F

    wanted = [F.count(F.lit(1)).alias(_ROWS)]
    for name in ordered:
        value = _finite(F.col(quoted(name)), types[name])
        wanted += [F.min(value).alias(f"{name} low"), F.max(value).alias(f"{name} high")]
        if _has_moments(types[name]):
            number = value.cast("int").cast("double") if types[name] == "boolean" else value.cast("double")
            wanted += [F.avg(number).alias(f"{name} mean"), F.stddev_pop(number).alias(f"{name} std")]
    table = frame.agg(*wanted).toArrow()
    return {name: table.column(name)[0] for name in table.column_names}


def _finite(column: Column, kind: str) -> Column:
    from pyspark.sql import functions as F

    if kind not in ("float", "double"):
        return column
    return F.when(~F.isnan(column) & (F.abs(column) != float("inf")), column)


def _ranks(frame: DataFrame, texts: Sequence[str], segments: Sequence[str]) -> dict[str, list[str]]:
    """Distinct texts a column, commonest first, ties by text; at most SEEN_LIMIT + 1 of each."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    named = {**{name: name for name in texts}, **{f"segment {name}": name for name in segments}}
    ranks: dict[str, list[str]] = {key: [] for key in named}
    if not named:
        return ranks
    pairs = [
        F.struct(F.lit(key).alias("key"), F.col(quoted(name)).cast("string").alias("text"))
        for key, name in named.items()
    ]
    counted_texts = (
        frame.select(F.explode(F.array(*pairs)).alias("pair"))
        .select("pair.key", "pair.text")
        .where(F.col("text").isNotNull())
        .groupBy("key", "text")
        .count()
    )
    order = Window.partitionBy("key").orderBy(F.desc("count"), "text")
    kept = counted_texts.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= SEEN_LIMIT + 1)
    for row in sorted(kept.toArrow().to_pylist(), key=lambda row: int(row["rank"])):
        ranks[row["key"]].append(row["text"])
    return ranks


def _sample(frame: DataFrame, ordered: Sequence[str], *, rows: int, cutting: Cutting) -> dict[str, pa.Array]:
    """Values that edges come from: all rows of a small reference, else a sample of a fixed seed."""
    if not ordered:
        return {}
    selected = frame.select(*[quoted(name) for name in ordered])
    if rows > cutting.sample_rows:
        selected = selected.sample(fraction=cutting.sample_rows / rows, seed=cutting.seed)
    table = selected.toArrow()
    return {name: _whole(table, name) for name in ordered}


def _whole(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _families(ranks: Mapping[str, list[str]], cutting: Cutting) -> tuple[Family, ...]:
    """The commonest values of each segment column, an equal part of `max_segments` for each."""
    share = cutting.max_segments // max(len(ranks), 1)
    return tuple(Family(column=name, values=tuple(texts[:share])) for name, texts in ranks.items())


def _moments(values: np.ndarray, kind: str) -> dict[str, float | None]:
    if len(values) == 0:
        return {"mean": None, "std": None}
    scale = physical.to_double(1, kind)
    doubles = values.astype(np.float64)
    return {"mean": float(doubles.mean()) * scale, "std": float(doubles.std()) * scale}
