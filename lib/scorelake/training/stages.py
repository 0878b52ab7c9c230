"""Preparation of features as Spark MLlib stages, fitted on train only and part of the registered pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorelake.mllib import input_name
from scorelake.models import CategoricalSteps, NumericSteps

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NULL = "(null)"
_ACCURACY = 100_000
"""Quantiles of train are right to one row in so many."""
_STRATEGIES = {"mean": "mean", "median": "median", "most_frequent": "mode"}


@dataclass(frozen=True)
class Seen:
    """What train holds, by input: nulls of numbers, bounds to cut numbers off at, texts frequent enough to know."""

    nulls: Mapping[str, int]
    bounds: Mapping[str, tuple[float, float]]
    texts: Mapping[str, tuple[str, ...]]


def seen(
    train: DataFrame,
    numbers: Sequence[str],
    texts: Sequence[str],
    numeric: NumericSteps,
    categorical: CategoricalSteps | None,
) -> Seen:
    """One pass for all numbers and one a text; at most rows / min_rows texts reach the driver, none that is hashed."""
    from pyspark.sql import functions as F

    asked = [F.count_if(F.col(name).isNull() | F.isnan(name)).alias(f"null_{name}") for name in numbers]
    if numeric.winsorise:
        ends = [numeric.winsorise, 1 - numeric.winsorise]
        asked += [
            F.percentile_approx(F.nanvl(name, F.lit(None)), ends, _ACCURACY).alias(f"ends_{name}") for name in numbers
        ]
    found: Any = train.agg(*asked).collect()[0] if asked else {}
    counts = categorical is not None and categorical.encode != "hash"
    least = categorical.min_rows if categorical is not None else 1
    known = {
        name: tuple(
            sorted(
                row["text"]
                for row in train.groupBy(F.coalesce(name, F.lit(NULL)).alias("text"))
                .agg(F.count(F.lit(1)).alias("rows"))
                .where(F.col("rows") >= least)
                .collect()
            )
        )
        for name in (texts if counts else ())
    }
    return Seen(
        {name: found[f"null_{name}"] for name in numbers},
        {name: tuple(found[f"ends_{name}"]) for name in numbers} if numeric.winsorise else {},
        known,
    )


def stages(
    numbers: Sequence[str],
    texts: Sequence[str],
    numeric: NumericSteps,
    categorical: CategoricalSteps | None,
    train: Seen,
) -> list[Any]:
    """From inputs to the vector `features`: in the order of NumericSteps, flags, then categories."""
    from pyspark.ml.feature import Imputer, SQLTransformer, VectorAssembler

    flagged = [name for name in numbers if numeric.flag_missing and train.nulls[name]]
    columns = [f"{_number(name, numeric, train)} AS n_{name}" for name in numbers]
    columns += [f"CAST({name} IS NULL OR isnan({name}) AS DOUBLE) AS m_{name}" for name in flagged]
    columns += [f"coalesce({name}, '{NULL}') AS t_{name}" for name in texts]
    found: list[Any] = [SQLTransformer(statement=f"SELECT *, {', '.join(columns)} FROM __THIS__")]
    vectors: list[str] = []
    if numbers:
        plain = [f"n_{name}" for name in numbers]
        if numeric.impute in _STRATEGIES:
            filled = [f"i_{name}" for name in numbers]
            found.append(Imputer(strategy=_STRATEGIES[numeric.impute], inputCols=plain, outputCols=filled))
            plain = filled
        found.append(VectorAssembler(inputCols=plain, outputCol="numbers"))
        vectors.append("numbers")
        if numeric.scale != "none":
            found.append(_scaler(numeric.scale))
            vectors = ["scaled"]
    vectors += [f"m_{name}" for name in flagged]
    if texts and categorical is not None:
        is_hashed = categorical.encode == "hash"
        steps, made = _hashed(texts, categorical) if is_hashed else _categories(texts, categorical, train)
        found += steps
        vectors += made
    return [*found, VectorAssembler(inputCols=vectors, outputCol="features")]


def width(
    numbers: Sequence[str],
    texts: Sequence[str],
    numeric: NumericSteps,
    categorical: CategoricalSteps | None,
    train: Seen,
) -> int:
    """Columns of the vector."""
    found = len(numbers) + sum(1 for name in numbers if numeric.flag_missing and train.nulls[name])
    if categorical is None or categorical.encode == "ordinal":
        return found + len(texts)
    if categorical.encode == "hash":
        return found + len(texts) * categorical.hash_columns
    return found + sum(len(train.texts[name]) + 1 for name in texts)


def named(kinds: Sequence[str], kind: str) -> list[str]:
    """The inputs of one kind, by position."""
    return [input_name(position) for position, found in enumerate(kinds) if found == kind]


def _number(name: str, steps: NumericSteps, train: Seen) -> str:
    """SQL over one input: null for NaN, cut off at its bounds, a constant for null."""
    value = f"if(isnan({name}), NULL, {name})"
    if name in train.bounds:
        low, high = (f"CAST('{bound!r}' AS DOUBLE)" for bound in train.bounds[name])
        is_above = f"{name} > {high} AND NOT isnan({name})"  # NaN is greatest
        value = f"CASE WHEN {name} < {low} THEN {low} WHEN {is_above} THEN {high} ELSE {value} END"
    return f"coalesce({value}, CAST('{steps.fill!r}' AS DOUBLE))" if steps.impute == "constant" else value


def _scaler(kind: str) -> Any:
    from pyspark.ml.feature import MinMaxScaler, RobustScaler, StandardScaler

    if kind == "standard":
        return StandardScaler(withMean=True, withStd=True, inputCol="numbers", outputCol="scaled")
    if kind == "robust":
        return RobustScaler(withCentering=True, withScaling=True, inputCol="numbers", outputCol="scaled")
    return MinMaxScaler(inputCol="numbers", outputCol="scaled")


def _categories(texts: Sequence[str], steps: CategoricalSteps, train: Seen) -> tuple[list[Any], list[str]]:
    """One index a text, in the order of the alphabet; unseen and rare ones share the one after the last."""
    from pyspark.ml.feature import OneHotEncoder, StringIndexerModel

    indices = [f"x_{name}" for name in texts]
    indexer = StringIndexerModel.from_arrays_of_labels(
        [list(train.texts[name]) for name in texts],
        inputCols=[f"t_{name}" for name in texts],
        outputCols=indices,
        handleInvalid="keep",
    )
    if steps.encode == "ordinal":
        return [indexer], indices
    vectors = [f"o_{name}" for name in texts]
    return [indexer, OneHotEncoder(inputCols=indices, outputCols=vectors, dropLast=False)], vectors


def _hashed(texts: Sequence[str], steps: CategoricalSteps) -> tuple[list[Any], list[str]]:
    """A hasher a text, so that each has its own columns."""
    from pyspark.ml.feature import FeatureHasher

    made = [f"h_{name}" for name in texts]
    return [
        FeatureHasher(inputCols=[f"t_{name}"], outputCol=vector, numFeatures=steps.hash_columns)
        for name, vector in zip(texts, made, strict=True)
    ], made
