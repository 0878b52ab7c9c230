"""What a scikit-learn pipeline does to its columns before the estimator, as arrays.

Numbers keep their fitted steps (clip, impute, scale), done in the same order by the same operations. A category
column becomes a table with one row a known text, one for texts never seen and one for null: the rows are what the
fitted encoder itself answers, so its rules about rare, unseen and missing values need not be known here. An encoder
that knows no list of texts, since it hashes them, is asked for those of each batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scorelake.matrix import matrix

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Floats = np.ndarray[Any, np.dtype[np.float64]]

Step = Callable[["Floats"], "Floats"]
"""From (rows, columns) to the same shape, each row on its own."""

MAX_CATEGORIES = 4000
"""Texts of one column; more of them would make tables larger than what they save."""
_UNSEEN = "\0 a text that no training set holds"


class Unfolded(Exception):
    """A part of the pipeline that these arrays cannot stand for: the library answers itself."""


@dataclass(frozen=True)
class Numbers:
    """Numeric inputs that the steps turn into the columns `outputs`, one each."""

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def values(self, batch: pa.RecordBatch) -> Floats:
        found = matrix(batch, self.names, dtype="float64")
        for step in self.steps:
            found = step(found)
        return found


@dataclass(frozen=True)
class Category:
    """A text input; `table` has len(texts) + 2 rows (unseen and null last) and a column for each of `outputs`."""

    name: str
    texts: tuple[str, ...]
    table: Floats
    outputs: tuple[int, ...]

    def values(self, batch: pa.RecordBatch) -> Floats:
        """Shape (rows, outputs): each distinct text is looked up once."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        encoded = _encoded(batch, self.name)
        known = pc.index_in(encoded.dictionary, value_set=pa.array(self.texts, encoded.dictionary.type))
        row_of = pc.fill_null(known, len(self.texts)).to_numpy(zero_copy_only=False)
        codes = pc.fill_null(encoded.indices.cast(pa.int32()), len(row_of)).to_numpy(zero_copy_only=False)
        return np.asarray(self.table[np.append(row_of, len(self.texts) + 1)[codes]])

    def weighed(self, constants: Floats, weights: Floats) -> Category:
        """In units of a linear model's outputs, as the difference to what `constants` already count."""
        own = list(self.outputs)
        return replace(self, table=(self.table - constants[own]) @ weights[own], outputs=())


@dataclass(frozen=True)
class Hashed:
    """A text input whose fitted branch answers any text; its columns may be weighed into fewer."""

    name: str
    branch: Any
    outputs: tuple[int, ...]
    weights: Floats | None = None

    def values(self, batch: pa.RecordBatch) -> Floats:
        """Shape (rows, outputs); each distinct text is asked for once."""
        import pyarrow as pa
        import pyarrow.compute as pc

        encoded = _encoded(batch, self.name)
        texts = [*encoded.dictionary.to_pylist(), None]
        table = _answers(self.branch, (self.name,), [[text] for text in texts])
        codes = pc.fill_null(encoded.indices.cast(pa.int32()), len(texts) - 1).to_numpy(zero_copy_only=False)
        found: Floats = (table if self.weights is None else table @ self.weights)[codes]
        return found

    def weighed(self, constants: Floats, weights: Floats) -> Hashed:
        """`constants` count nothing where a text is hashed: a text always stands somewhere."""
        return replace(self, weights=weights[list(self.outputs)], outputs=())


def _encoded(batch: pa.RecordBatch, name: str) -> Any:
    import pyarrow as pa

    column = batch.column(name)
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


@dataclass(frozen=True)
class Preparation:
    """`width` columns: numbers, categories, and `constants` wherever neither says anything."""

    width: int
    numbers: tuple[Numbers, ...]
    categories: tuple[Category | Hashed, ...]
    constants: Floats

    def matrix(self, batch: pa.RecordBatch) -> Floats:
        """Shape (rows, width): what the fitted transformer answers for the same rows."""
        import numpy as np

        found = np.empty((batch.num_rows, self.width), dtype=np.float64, order="F")
        found[:] = self.constants
        for block in self.numbers:
            found[:, block.outputs] = block.values(batch)
        for category in self.categories:
            found[:, category.outputs] = category.values(batch)
        return found


def of_columns(steps: Sequence[Any], features: Sequence[str]) -> Preparation:
    """Fitted steps that treat every feature alike (none, an imputer, a scaler, ...)."""
    import numpy as np

    every = range(len(features))
    numbers = Numbers(tuple(features), _steps(steps), tuple(every))
    return Preparation(len(features), (numbers,), (), np.zeros(len(features)))


def of_transformer(transformer: Any, features: Sequence[str]) -> Preparation:
    """A fitted ColumnTransformer. Unfolded names the first part that has no arrays."""
    import numpy as np

    numbers: list[Numbers] = []
    categories: list[Category | Hashed] = []
    width = max((place.stop for place in transformer.output_indices_.values()), default=0)
    constants = np.zeros(width)
    for name, branch, columns in transformer.transformers_:
        place = transformer.output_indices_[name]
        names = _names(columns, features)
        if branch == "drop" or not names:
            continue
        steps = _parts(branch)
        if _kind(steps[-1]) in _ENCODERS:
            found, fixed = _categories(branch, steps[-1], names, place.start)
            categories += found
            constants[place] = fixed
        elif _kind(steps[-1]) == "FeatureHasher" and len(names) == 1:
            categories.append(Hashed(names[0], branch, tuple(range(place.start, place.stop))))
        elif _kind(steps[-1]) == "MissingIndicator":
            flagged = tuple(names[n] for n in steps[-1].features_)
            before = _steps(steps[:-1])
            numbers.append(Numbers(flagged, (*before, _is_missing), tuple(range(place.start, place.stop))))
        else:
            numbers.append(Numbers(names, _steps(steps), tuple(range(place.start, place.stop))))
    return Preparation(width, tuple(numbers), tuple(categories), constants)


# ------------------------------------------------------------------ numbers

_ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")


def _steps(steps: Sequence[Any]) -> tuple[Step, ...]:
    return tuple(_step(fitted) for fitted in steps)


def _step(fitted: Any) -> Step:
    """The step as array operations in scikit-learn's own order, so that results are equal to the last bit."""
    import numpy as np

    step: Step | None = None
    match _kind(fitted):
        case "str" | "NoneType":  # "passthrough"
            step = _as_it_is
        case "FunctionTransformer" if fitted.func is None:
            step = _as_it_is
        case "FunctionTransformer" if fitted.func is np.clip:
            step = partial(np.clip, **fitted.kw_args)
        case "SimpleImputer":
            step = _filling(fitted)
        case "KNNImputer" | "IterativeImputer":
            step = _filled_by(fitted)
        case "StandardScaler":
            step = _scaling(fitted.mean_ if fitted.with_mean else 0.0, fitted.scale_ if fitted.with_std else 1.0)
        case "RobustScaler":
            center = fitted.center_ if fitted.with_centering else 0.0
            step = _scaling(center, fitted.scale_ if fitted.with_scaling else 1.0)
        case "MaxAbsScaler":
            step = _scaling(0.0, fitted.scale_)
        case "MinMaxScaler" if not fitted.clip:
            scale, start = fitted.scale_, fitted.min_
            step = lambda values: values * scale + start  # noqa: E731
    if step is None:
        raise Unfolded(_kind(fitted))
    return step


def _as_it_is(values: Floats) -> Floats:
    return values


def _filling(imputer: Any) -> Step:
    import numpy as np

    fill = np.asarray(imputer.statistics_, dtype=np.float64)
    if imputer.add_indicator or not _is_nan(imputer.missing_values) or np.isnan(fill).any():
        raise Unfolded("an imputer that adds or drops columns, or fills something else than NaN")
    return lambda values: np.where(np.isnan(values), fill, values)


def _filled_by(imputer: Any) -> Step:
    """The imputer itself: each value that it fills in depends on the whole row."""
    if imputer.add_indicator or not _is_nan(imputer.missing_values) or _drops(imputer):
        raise Unfolded("an imputer that adds or drops columns, or fills something else than NaN")
    return lambda values: imputer.transform(values) if len(values) else values


def _drops(imputer: Any) -> bool:
    """Columns without a value in train are left out."""
    return bool(len(imputer.get_feature_names_out()) != imputer.n_features_in_)


def _scaling(center: Any, scale: Any) -> Step:
    return lambda values: (values - center) / scale


def _is_missing(values: Floats) -> Floats:
    import numpy as np

    return np.isnan(values).astype(np.float64)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


# ------------------------------------------------------------------ categories


def _categories(branch: Any, encoder: Any, names: tuple[str, ...], start: int) -> tuple[list[Category], Floats]:
    """A table for each column, by asking the fitted branch while the other columns stay as they are."""
    import numpy as np

    baseline = [_UNSEEN] * len(names)
    [fixed] = _answers(branch, names, [baseline])
    found = []
    for position, (name, known) in enumerate(zip(names, encoder.categories_, strict=True)):
        texts = [text for text in known if isinstance(text, str)]
        others = [value for value in known if not (isinstance(value, str) or value is None or _is_nan(value))]
        if others or len(texts) > MAX_CATEGORIES:
            raise Unfolded(f"categories of {name}")
        asked = [[*baseline[:position], text, *baseline[position + 1 :]] for text in (*texts, _UNSEEN, None)]
        answers = _answers(branch, names, asked)
        own = np.flatnonzero((answers != fixed).any(axis=0))
        found.append(Category(name, tuple(texts), answers[:, own], tuple(int(start + n) for n in own)))
    return found, fixed


def _answers(branch: Any, names: tuple[str, ...], rows: Sequence[Sequence[str | None]]) -> Floats:
    import numpy as np
    import pandas as pd

    try:
        answers = branch.transform(pd.DataFrame(rows, columns=list(names), dtype=object))
    except (ValueError, TypeError) as error:
        raise Unfolded("an encoder that refuses unseen or missing categories") from error
    return np.asarray(answers.toarray() if hasattr(answers, "toarray") else answers, dtype=np.float64)


# ------------------------------------------------------------------ scikit-learn's own objects


def _parts(branch: Any) -> list[Any]:
    return [step for _, step in branch.steps] if _kind(branch) == "Pipeline" else [branch]


def _kind(fitted: Any) -> str:
    return type(fitted).__name__


def _names(columns: Any, features: Sequence[str]) -> tuple[str, ...]:
    """Column names; a ColumnTransformer may also hold positions."""
    if isinstance(columns, str):
        return (columns,)
    return tuple(column if isinstance(column, str) else features[column] for column in list(columns))
