"""Plots and explanations of a registered version, kept beside its run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorelake.errors import ModelRefused
from scorelake.models import HEADLINE
from scorelake.scoring.package import loaded, pack
from scorelake.training import curves, explained, plots, train
from scorelake.training.subgroups import DEFAULT_CUT

if TYPE_CHECKING:
    import pyarrow as pa

    from scorelake.models import Model
    from scorelake.stores.model_registry import ModelRegistry
    from scorelake.training.dataset import Dataset, Part
    from scorelake.training.explained import Contributions
    from scorelake.training.fitted import Fitted


def attach(
    registry: ModelRegistry, number: str, spec: Model, data: Dataset, fitted: Fitted, *, shows_rows: bool
) -> str:
    """Draw, keep as artifacts `plots/*.png` of the version's run, and say what it took.

    Contributions are those that score_batch would give (XGBoost, linear models; tree ensembles by shap), of at most
    2,000 rows of validation. Points of single rows are drawn only with `shows_rows`.
    """
    began = time.process_time()
    found = dict(_curves(spec, data, fitted))
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        told = _contributions(registry, number, spec, data, Path(folder))
    found |= dict(_explanations(spec, data, fitted, told, shows_rows=shows_rows))
    for name, picture in found.items():
        registry.attach(spec.name, number, f"plots/{name}.png", picture)
    lacking = "" if told is not None else "; its contributions cannot be told"
    return f"{spec.name}: {len(found)} plots took {time.process_time() - began:.1f} CPU seconds{lacking}"


def _curves(spec: Model, data: Dataset, fitted: Fitted) -> Iterator[tuple[str, bytes]]:
    test = fitted.scored["test"]
    if spec.task == "binary":
        for name, curve in zip(("roc", "precision_recall", "calibration"), curves.binary(test), strict=False):
            yield name, plots.curve(curve, diagonal=name != "precision_recall")
        cut = spec.scoring.cut_of(fitted.deciding.chosen)
        is_chosen = test.score >= (DEFAULT_CUT if cut is None else cut)
        yield "confusion", plots.confusion(test.label, is_chosen, ("0", "1"))
    elif spec.task == "multiclass":
        yield "confusion", plots.confusion(test.label, test.score.argmax(axis=1), fitted.classes)
    points = explained.learning_curve(spec, data, train.learn)
    if points:
        yield "learning_curve", plots.learning(points, spec.metrics.headline or HEADLINE[spec.task])


def _explanations(
    spec: Model, data: Dataset, fitted: Fitted, told: Contributions | None, *, shows_rows: bool
) -> Iterator[tuple[str, bytes]]:
    if told is not None:
        yield "contributions", plots.bar(told)
        yield "beeswarm", plots.beeswarm(told, shows_rows=shows_rows, seed=spec.seed)
        scatter = plots.dependence(told, shows_rows=shows_rows)
        if scatter is not None:
            yield "dependence", scatter
        leading = [told.features[n] for n in told.order[: explained.DRAWN]]
    else:
        leading = list(fitted.importance)[: explained.DRAWN]
    lines = plots.partials(explained.partial(fitted.learnt.predict, data.validation, leading))
    if lines is not None:
        yield "partial_dependence", lines


def _contributions(
    registry: ModelRegistry, number: str, spec: Model, data: Dataset, folder: Path
) -> Contributions | None:
    """None for a model that has none, or that answers in no worker."""
    version = registry.pin(spec.name, number, folder)
    try:
        model = loaded(pack(version.folder, digest=version.digest, features=version.features))
    except ModelRefused:
        return None
    if model.contributions is None:
        return None
    few = data.validation.take(np.arange(min(len(data.validation), explained.SAMPLE)))
    return explained.contributions(few, model.contributions(_batch(few)))


def _batch(part: Part) -> pa.RecordBatch:
    import pyarrow as pa

    frame = part.frame()
    kinds = {"number": pa.float64(), "category": pa.string()}
    columns = [pa.array(frame[f.name].tolist(), kinds[f.kind], from_pandas=True) for f in part.features]
    return pa.RecordBatch.from_arrays(columns, names=[f.name for f in part.features])
