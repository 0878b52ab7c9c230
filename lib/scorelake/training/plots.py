"""Pictures beside a trained model, drawn without a display. Nothing here shows a key; see `shows_rows`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scorelake.training.curves import Curve
from scorelake.training.explained import DRAWN, LEAST, Contributions, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#2a78d6", "#b35900", "#888888"
_MOST_BARS = 20
_BANDS = 5


def curve(found: Curve, *, diagonal: bool) -> bytes:
    """One of the curves in the unit square, as PNG."""
    figure, [axes] = _figure(1)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle="--")
    axes.plot(found.x, found.y, color=_BLUE, marker="o" if len(found.x) <= LEAST else None, markersize=3)
    axes.set(title=found.title, xlabel=found.x_label, ylabel=found.y_label, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return _png(figure)


def confusion(label: np.ndarray[Any, Any], decided: np.ndarray[Any, Any], classes: Sequence[str]) -> bytes:
    """Rows of the test part by label (down) and answer (across), with the share of each label."""
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (label.astype(np.int64), decided.astype(np.int64)), 1)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure, [axes] = _figure(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if shares[row, column] > 0.6 else "black")
    ticks = np.arange(len(classes))
    axes.set(title="Confusion on test", xlabel="answer", ylabel="label")
    axes.set_xticks(ticks, classes)
    axes.set_yticks(ticks, classes)
    return _png(figure)


def learning(points: Sequence[tuple[int, float, float]], headline: str) -> bytes:
    figure, [axes] = _figure(1)
    rows = [point[0] for point in points]
    axes.plot(rows, [point[1] for point in points], color=_ORANGE, marker="o", markersize=3, label="rows learnt from")
    axes.plot(rows, [point[2] for point in points], color=_BLUE, marker="o", markersize=3, label="validation")
    axes.set(title="Learning curve", xlabel="rows of train", ylabel=headline)
    axes.legend(frameon=False)
    return _png(figure)


def bar(found: Contributions) -> bytes:
    """Mean |contribution| of the features that move scores most."""
    order = found.order[:_MOST_BARS][::-1]
    figure, [axes] = _figure(1, height=1 + 0.28 * len(order))
    axes.barh([found.features[n] for n in order], found.size[order], color=_BLUE)
    axes.set(title="Mean |contribution|")
    return _png(figure)


def beeswarm(found: Contributions, *, shows_rows: bool, seed: int) -> bytes:
    """Contributions by feature, coloured by its value from low to high. Without `shows_rows` every mark stands for at
    least 10 rows: the middle of a fifth of the values with its 10 % to 90 % range."""
    order = found.order[:_MOST_BARS][::-1]
    figure, [axes] = _figure(1, height=1.2 + 0.3 * len(order))
    generator = np.random.default_rng(seed)
    drawn = None
    for place, n in enumerate(order):
        if shows_rows:
            spread = np.clip(generator.normal(size=len(found.added)) * 0.12, -0.4, 0.4)
            drawn = axes.scatter(
                found.added[:, n], place + spread, c=found.values[:, n], cmap="coolwarm", s=4, vmin=0, vmax=1
            )
            continue
        for band, rows in _bands(found.values[:, n]):
            low, middle, high = np.quantile(found.added[rows, n], [0.1, 0.5, 0.9])
            height = place + 0.12 * (band - (_BANDS - 1) / 2)
            axes.plot([low, high], [height, height], color=_GREY, linewidth=0.8, zorder=1)
            drawn = axes.scatter([middle], [height], c=[band / (_BANDS - 1)], cmap="coolwarm", s=18, vmin=0, vmax=1)
    axes.axvline(0, color=_GREY, linewidth=0.8)
    axes.set_yticks(range(len(order)), [found.features[n] for n in order])
    axes.set(
        title="Contributions" if shows_rows else "Contributions by fifths of the values", xlabel="moves the answer by"
    )
    if drawn is not None:
        scale = figure.colorbar(drawn, ax=axes, ticks=[0, 1])
        scale.ax.set_yticklabels(["low value", "high value"])
    return _png(figure)


def dependence(found: Contributions, *, shows_rows: bool) -> bytes | None:
    """Contribution against value of the numbers that move scores most; None when no feature is a number."""
    order = [n for n in found.order if found.features[n] in found.numbers][:DRAWN]
    if not order:
        return None
    figure, all_axes = _figure(len(order))
    for axes, n in zip(all_axes, order, strict=True):
        values = found.numbers[found.features[n]]
        if shows_rows:
            axes.scatter(values, found.added[:, n], s=4, color=_BLUE)
        else:
            bands = [rows for _, rows in _bands(found.values[:, n])]
            axes.plot(
                [float(np.median(values[rows])) for rows in bands],
                [float(found.added[rows, n].mean()) for rows in bands],
                color=_BLUE,
                marker="o",
            )
        axes.set(title=found.features[n], ylabel="moves the answer by")
    return _png(figure)


def partials(lines: Sequence[Line]) -> bytes | None:
    """Partial dependence, a feature each; None when there is none."""
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return None
    figure, all_axes = _figure(len(lines))
    for axes, line in zip(all_axes, lines, strict=True):
        if line.texts:
            axes.bar(line.x, line.y, color=_BLUE)
            axes.set_xticks(line.x, line.texts, rotation=30, ha="right")
        else:
            axes.plot(line.x, line.y, color=_BLUE)
        axes.set(title=line.feature, ylabel="mean answer")
    return _png(figure)


def _bands(values: np.ndarray[Any, Any]) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """Rows of each fifth of the values' range of ranks that holds at least 10 of them."""
    codes = np.where(np.isnan(values), -1, np.minimum(_BANDS - 1, np.nan_to_num(values) * _BANDS)).astype(np.int64)
    found = [(band, np.flatnonzero(codes == band)) for band in range(_BANDS)]
    return [(band, rows) for band, rows in found if len(rows) >= LEAST]


def _figure(count: int, *, height: float | None = None) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    across = min(3, count)
    down = -(-count // across)
    figure = Figure(figsize=(max(5.5, 3.6 * across), height or max(4.0, 3.0 * down)), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes[:count]


def _png(figure: Figure) -> bytes:
    """The same bytes for the same picture: no date, no version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
