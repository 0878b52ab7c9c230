"""Explanations and plots: what they show is right, drawn the same way twice, and no row where rows are personal."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scorelake.training import curves, explained, plots, train
from scorelake.training.explained import Contributions
from tests.training.made_up import dataset, model


def told(text: bool = False) -> Contributions:
    """Made-up contributions of the rows of a made-up part: signal moves the answer by 2 x, the others by nothing."""
    part = dataset(text=text).validation
    found = np.zeros((len(part), 1, len(part.features) + 1))
    found[:, 0, 0] = 2 * part.matrix[:, 0]
    return explained.contributions(part, found)


def test_contributions_stand_about_their_mean_and_rank_features() -> None:
    found = told(text=True)
    part = dataset(text=True).validation
    np.testing.assert_allclose(found.added[:, 0], 2 * (part.matrix[:, 0] - part.matrix[:, 0].mean()))
    assert [found.features[n] for n in found.order] == ["signal", "gaps", "noise", "region"]
    assert (np.nanmin(found.values), np.nanmax(found.values)) == (0, 1)
    assert np.isnan(found.values[:, 2]).sum() == np.isnan(part.matrix[:, 2]).sum()
    assert np.isnan(found.values[:, 3]).sum() == sum(value is None for value in part.categories["region"])
    order = np.argsort(part.matrix[:, 1])
    assert (np.diff(found.values[order, 1]) > 0).all()


def test_of_both_classes_of_a_binary_model_the_positive_one_speaks() -> None:
    part = dataset().validation
    found = np.zeros((len(part), 2, 4))
    found[:, 1, 0], found[:, 0, 0] = part.matrix[:, 0], -part.matrix[:, 0]
    assert np.corrcoef(explained.contributions(part, found).added[:, 0], part.matrix[:, 0])[0, 1] == pytest.approx(1)


def test_partial_dependence_of_a_known_function() -> None:
    part = dataset(text=True).validation

    def predict(rows: Any) -> np.ndarray:
        return 3 * rows.matrix[:, 1] + (rows.categories["region"] == "south")

    line, texts = explained.partial(predict, part, ["noise", "region"])
    few = part.take(np.arange(400))
    share = (few.categories["region"] == "south").mean()
    np.testing.assert_allclose(line.y, 3 * line.x + share)
    assert len(line.x) == 20
    assert line.x[0] == pytest.approx(np.quantile(part.matrix[:, 1], 0.05))
    assert dict(zip(texts.texts, texts.y - texts.y.min(), strict=True)) == {
        "north": 0,
        "south": pytest.approx(1),
    }


def test_learning_curve_grows_to_all_rows_and_leaves_out_what_cannot_be_judged() -> None:
    spec, data = model(), dataset()
    points = explained.learning_curve(spec, data, train.learn)
    assert [rows for rows, _, _ in points] == [40, 100, 200, 400]
    assert points[-1][2] > 0.8
    rare = np.zeros(400)
    rare[399] = 1
    parts = {**data.parts, "train": replace(data.train, label=rare)}
    assert [rows for rows, _, _ in explained.learning_curve(spec, replace(data, parts=parts), train.learn)] == [400]


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(png)))


def test_every_plot_is_a_picture_and_the_same_twice() -> None:
    fitted = train.fit(model(), dataset())
    found, test = told(text=True), fitted.scored["test"]
    lines = explained.partial(fitted.learnt.predict, dataset().validation, ["signal", "noise"])
    pictures = [
        plots.curve(curves.binary(test)[0], diagonal=True),
        plots.confusion(test.label, test.score >= 0.5, ("0", "1")),
        plots.learning([(10, 0.9, 0.5), (20, 0.8, 0.6)], "auc"),
        plots.bar(found),
        plots.beeswarm(found, shows_rows=True, seed=3),
        plots.partials(lines),
    ]
    assert all(picture is not None and pixels(picture).std() > 0.02 for picture in pictures)
    assert pictures[4] == plots.beeswarm(found, shows_rows=True, seed=3)
    assert plots.partials([]) is None


def test_where_rows_may_not_be_shown_every_mark_stands_for_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    marks: list[int] = []
    scatter, plot = Axes.scatter, Axes.plot

    def counted(self: Axes, x: Any, *args: Any, **more: Any) -> Any:
        marks.append(len(x))
        return scatter(self, x, *args, **more)

    def plotted(self: Axes, x: Any, *args: Any, **more: Any) -> Any:
        marks.append(len(x))
        return plot(self, x, *args, **more)

    monkeypatch.setattr(Axes, "scatter", counted)
    monkeypatch.setattr(Axes, "plot", plotted)
    plots.beeswarm(told(), shows_rows=False, seed=1)
    plots.dependence(told(), shows_rows=False)
    assert max(marks) <= 5
    few = told()
    few = Contributions(few.features, few.added[:9], few.values[:9], {n: v[:9] for n, v in few.numbers.items()})
    marks.clear()
    plots.dependence(few, shows_rows=False)
    assert max(marks) == 0
    plots.dependence(told(), shows_rows=True)
    assert max(marks) == 400
