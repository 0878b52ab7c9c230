"""One model applied to a frame of features: keys in, keys and scores out, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scorelake.errors import ContractBroken
from scorelake.scoring.package import Package, predictor
from scorelake.tables import quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame


def score(features: DataFrame, package: Package, *, keys: Sequence[str], classes: Sequence[str] = ()) -> DataFrame:
    """`keys` and `score DOUBLE`; with `classes` also `prediction STRING` and one `score_<class>` a class.

    Every row of `features` comes out once. With classes, `score` is the probability of the predicted class, ties to
    the first; without, what the model answers (a binary model: the probability of class 1). null where the model
    answers NaN. Only keys and the model's own features cross into Python. ContractBroken names a missing column.
    """
    from pyspark.sql import functions as F

    wanted = dict.fromkeys([*keys, *package.features])
    missing = [name for name in wanted if name not in features.columns]
    if missing:
        raise ContractBroken(f"no column {', '.join(missing)}; the frame has {', '.join(features.columns)}")
    types = {field.name: field.dataType.simpleString() for field in features.schema}
    outputs = ["`score` double"]
    if classes:
        outputs += ["`prediction` string", *(f"{quoted('score_' + escaped(name))} double" for name in classes)]
    schema = ", ".join([*(f"{quoted(key)} {types[key]}" for key in keys), *outputs])

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predict = predictor(package)
        for renamed in batches:
            batch = renamed.rename_columns(list(wanted))
            yield _scored(batch, predict(batch), keys, classes)

    # mapInArrow cannot take names with a dot or a backtick: columns travel by position.
    positions = [F.col(quoted(name)).alias(f"c{n}") for n, name in enumerate(wanted)]
    return features.select(*positions).mapInArrow(run, schema)


def escaped(name: str) -> str:
    """A class name as part of a column name: letters, digits and _ stay, any other becomes _<hex code point>_."""
    return "".join(c if c.isalnum() or c == "_" else f"_{ord(c):x}_" for c in name)


def _scored(
    batch: pa.RecordBatch, answers: np.ndarray[Any, Any], keys: Sequence[str], classes: Sequence[str]
) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    columns = [batch.column(key) for key in keys]
    names = list(keys)
    if not classes:
        # predict_proba of a binary classifier answers both classes: the second is the positive one.
        answers = answers[:, 1] if answers.ndim == 2 and answers.shape[1] == 2 else answers.reshape(len(batch))
        return pa.RecordBatch.from_arrays([*columns, pa.array(answers, from_pandas=True)], names=[*names, "score"])
    answers = answers.reshape(len(batch), len(classes))
    best = answers.argmax(axis=1)
    columns += [
        pa.array(answers[np.arange(len(batch)), best], from_pandas=True),
        pa.array(list(classes), pa.string()).take(pa.array(best)),
        *(pa.array(answers[:, n], from_pandas=True) for n in range(len(classes))),
    ]
    names += ["score", "prediction", *("score_" + escaped(name) for name in classes)]
    return pa.RecordBatch.from_arrays(columns, names=names)
