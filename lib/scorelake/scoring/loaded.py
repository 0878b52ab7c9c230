"""A model ready to answer batches of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame

Predictor = Callable[["pa.RecordBatch"], "np.ndarray[Any, Any]"]
"""From a batch of features to shape (rows,), or (rows, classes) for class probabilities; float64."""

Way = Literal["booster", "linear", "ensemble", "library", "transform"]
"""How a model is asked: three fast ways over arrays, the library's own `predict` on a pandas frame, or the `transform`
of a Spark MLlib pipeline on the rows before they reach a worker."""


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    `tolerance` is how far a fast way may lie from the library's own answer (absolute). `contributions`, where the
    model has them, are of shape (rows, outputs, features + 1): the last one is the same in every row, and their sum
    is the model's answer before its link function (log-odds, for a probability). `of_matrix`, where all that the
    model sees of a batch are its numbers, answers the float32 matrix of its features (NaN is missing) as `predict`
    answers the batch. `of_frame`, the way "transform", adds the column
    `mllib.ANSWERS` to a frame that has the features.
    """

    predict: Predictor
    way: Way
    tolerance: float = 0.0
    contributions: Predictor | None = None
    of_matrix: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None = None
    of_frame: Callable[[DataFrame], DataFrame] | None = None
