"""Charts as inline SVG: no network, no library, colours from the page's style sheet, every text escaped.

Shapes carry classes (`ref`, `now`, `term`, `l0`..`l5`), so that light, dark and print need no second drawing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 640
_LETTER = 9.9
"""Width of a letter at most, in the larger print of a phone."""
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""PSI from which the heat map takes the next darker shade."""


@dataclass(frozen=True)
class Bar:
    """One cell of a distribution: shares of the reference and of tonight, and its part of the PSI."""

    label: str
    before: float
    now: float
    term: float
    is_special: bool = False


@dataclass(frozen=True)
class Point:
    """One night of a series; None where there was no PSI."""

    day: dt.date
    psi: float | None
    crit: float | None
    status: str


def percent(share: float) -> str:
    """A share for people: more digits where it is small."""
    digits = 0 if share >= 0.0995 or share == 0 else 1 if share >= 0.00095 else 2
    return f"{100 * share:.{digits}f}%"


def histogram(bars: Sequence[Bar]) -> Markup:
    """Shares cell by cell, reference beside tonight, and below them what each cell adds to the PSI."""
    base, foot = 160, 264
    step = WIDTH / max(len(bars), 1)
    tallest, highest = _tallest(bars), max([0.01, *(bar.term for bar in bars)])
    columns = "".join(
        f"<g><title>{escape(_hint(bar))}</title>{_pair(bar, i * step, step, base, 140 / tallest)}"
        f"{_column('term', i * step + step * 0.06, foot, step * 0.88, 38 * bar.term / highest)}</g>"
        for i, bar in enumerate(bars)
    )
    axis = f'<path class="axis" d="M0 {base}.5h{WIDTH}M0 {foot}.5h{WIDTH}"/>'
    scale = f'<text x="0" y="13">{percent(tallest)}</text><text x="0" y="221">part of PSI</text>'
    return _svg(WIDTH, foot + 4, axis + columns + scale + _cell_labels(bars, step), "Shares of each value")


def thumbnail(bars: Sequence[Bar]) -> Markup:
    """The shape alone, for a card."""
    step, base = 320 / max(len(bars), 1), 90
    columns = "".join(_pair(bar, i * step, step, base, 84 / _tallest(bars)) for i, bar in enumerate(bars))
    return _svg(320, base + 2, f'<path class="axis" d="M0 {base}.5h320"/>{columns}', "Shares of each value")


def _tallest(bars: Sequence[Bar]) -> float:
    return max((max(bar.before, bar.now) for bar in bars), default=0) or 1.0


def _hint(bar: Bar) -> str:
    return f"{bar.label}: {percent(bar.before)} before, {percent(bar.now)} tonight, part of PSI {bar.term:.3f}"


def _pair(bar: Bar, x: float, step: float, base: float, scale: float) -> str:
    width = step * 0.43
    before = _column("ref", x + step * 0.06, base, width, bar.before * scale)
    return before + _column("now", x + step * 0.51, base, width, bar.now * scale)


def _column(name: str, x: float, base: float, width: float, height: float) -> str:
    if height < 0.05:
        return ""
    return f'<path class="{name}" d="M{x:.1f} {base}v-{height:.1f}h{width:.1f}v{height:.1f}z"/>'


def _cell_labels(bars: Sequence[Bar], step: float) -> str:
    """Every cell where there is room, else the ends and the middle; special cells always, a line lower."""
    usual = [i for i, bar in enumerate(bars) if not bar.is_special]
    shown = {usual[0], usual[len(usual) // 2], usual[-1]} if usual else set()
    length = 24
    if step >= 60:
        shown, length = set(usual), int(step / 6)
    texts = []
    special = 0
    for i, bar in enumerate(bars):
        x = (i + 0.5) * step
        if bar.is_special:
            special += 1
        elif i not in shown:
            continue
        row = 174 + (14 * (1 + special % 2) if bar.is_special else 0)
        text = _short(bar.label, max(length, 18) if bar.is_special else length)
        anchor, x = _inside(x, len(text) * _LETTER / 2)
        name = ' class="mid"' if usual and i in shown and i not in (usual[0], usual[-1]) else ""
        texts.append(f'<text{name} x="{x:.1f}" y="{row}" text-anchor="{anchor}">{escape(text)}</text>')
    return "".join(texts)


def _inside(x: float, half: float) -> tuple[str, float]:
    """Anchor and place of a text around x that would otherwise reach over an end of the chart."""
    if x < half:
        return "start", 0.0
    return ("end", float(WIDTH)) if x > WIDTH - half else ("middle", x)


def series(points: Sequence[Point], *, warn: float, alert: float) -> Markup:
    """PSI night by night with what chance alone reaches (dashed) and both levels."""
    height, left, right = 150, 44, 440
    known = [value for point in points for value in (point.psi, point.crit) if value is not None]
    top = max([*known, alert]) * 1.15
    step = (right - left - 8) / max(len(points) - 1, 1)

    def y(value: float) -> float:
        return height - height * value / top + 6

    levels = "".join(
        f'<path class="level {name}" d="M{left} {y(value):.1f}H{right}"/>'
        f'<text x="{left - 4}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for name, value in (("warn", warn), ("alert", alert))
    )
    lines = "".join(
        f'<path class="{name}" d="{_line([(left + i * step, y(v)) for i, v in run])}"/>'
        for name, values in (("crit", [p.crit for p in points]), ("psi", [p.psi for p in points]))
        for run in _runs(values)
    )
    dots = "".join(
        f'<circle class="s-{point.status}" cx="{left + i * step:.1f}" cy="{y(point.psi):.1f}" r="3">'
        f"<title>{point.day}: PSI {point.psi:.3f}, {point.status}</title></circle>"
        for i, point in enumerate(points)
        if point.psi is not None and (point.status != "OK" or i == len(points) - 1)
    )
    axis = f'<path class="axis" d="M{left} {height + 6.5}H{right}"/>'
    axis += f'<text x="{left - 4}" y="{height + 10}" text-anchor="end">0</text>'
    return _svg(
        right, height + 28, axis + levels + lines + dots + _days(points, left, right, height + 22), "PSI night by night"
    )


@dataclass(frozen=True)
class Outcome:
    """How good the scores of one night turned out: the headline metric and the interval it lies in, if known."""

    day: dt.date
    value: float
    low: float | None
    high: float | None


def outcomes(points: Sequence[Outcome], *, trained: float | None) -> Markup:
    """The metric night by night inside its interval; dashed, what it was at training."""
    height, left, right = 150, 90, 640
    heights = [value for p in points for value in (p.value, p.low, p.high) if value is not None]
    heights += [trained] if trained is not None else []
    low, high = min(heights), max(heights)
    span = (high - low) or abs(high) or 1.0
    step = (right - left - 8) / max(len(points) - 1, 1)

    def y(value: float) -> float:
        return 10 + (height - 10) * (high - value) / span

    at = [left + 4 + i * step for i in range(len(points))]
    known = [(x, p.low, p.high) for x, p in zip(at, points, strict=True) if p.low is not None and p.high is not None]
    outline = [(x, y(above)) for x, _, above in known] + [(x, y(below)) for x, below, _ in reversed(known)]
    band = f'<path class="band" d="{_line(outline)}z"/>' if len(known) > 1 else ""
    line = f'<path class="psi" d="{_line([(x, y(p.value)) for x, p in zip(at, points, strict=True)])}"/>'
    dots = "".join(
        f'<circle class="now" cx="{x:.1f}" cy="{y(p.value):.1f}" r="3"><title>{p.day}: {p.value:.4g}</title></circle>'
        for x, p in zip(at, points, strict=True)
    )
    level = f'<path class="crit" d="M{left} {y(trained):.1f}H{right}"/>' if trained is not None else ""
    ends = "".join(
        f'<text x="{left - 4}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>' for value in {low, high}
    )
    shapes = band + level + line + dots + ends + _days(points, left, right, height + 22)
    return _svg(right, height + 28, shapes, "How good scores turned out, night by night", "outcomes")


def _days(points: Sequence[Point | Outcome], left: int, right: int, y: int) -> str:
    """The first and the last day below an axis."""
    if not points:
        return ""
    last = f'<text x="{right}" y="{y}" text-anchor="end">{points[-1].day}</text>' if len(points) > 1 else ""
    return f'<text x="{left}" y="{y}">{points[0].day}</text>{last}'


def spark(points: Sequence[Point], *, alert: float) -> Markup:
    """The same line, small, for a table's cell."""
    top = max([point.psi for point in points if point.psi is not None] + [alert]) or 1
    step = 96 / max(len(points) - 1, 1)
    runs = _runs([point.psi for point in points])
    lines = "".join(
        f'<path class="psi" d="{_line([(2 + i * step, 21 - 18 * v / top) for i, v in run])}"/>' for run in runs
    )
    level = f'<path class="level alert" d="M0 {21 - 18 * alert / top:.1f}H100"/>'
    return _svg(100, 24, level + lines, "PSI of the last nights", "spark")


def heat_map(names: Sequence[str], days: Sequence[dt.date], psi: Sequence[Sequence[float | None]]) -> Markup:
    """Features down, nights across, darker for a larger PSI; grey where there was none.

    One path a shade, whatever the number of cells, keeps a quarter of nights of fifty features small.
    """
    left, row, right = 210, 16, 960
    step = (right - left) / max(len(days), 1)
    shades: dict[str, list[str]] = {}
    for y, values in enumerate(psi):
        for x, value in enumerate(values):
            shade = "none" if value is None else f"l{sum(value >= level for level in LEVELS)}"
            cell = f"M{left + x * step:.1f} {y * row}h{step * 0.94:.1f}v{row - 1}h-{step * 0.94:.1f}z"
            shades.setdefault(shade, []).append(cell)
    paths = "".join(f'<path class="{shade}" d="{"".join(cells)}"/>' for shade, cells in sorted(shades.items()))
    texts = "".join(
        f'<text x="{left - 6}" y="{y * row + 12}" text-anchor="end">{escape(_short(name, 32))}</text>'
        for y, name in enumerate(names)
    )
    bottom = len(names) * row + 14
    if days:
        texts += f'<text x="{left}" y="{bottom}">{days[0]}</text>'
        texts += f'<text x="{right}" y="{bottom}" text-anchor="end">{days[-1]}</text>' if len(days) > 1 else ""
    return _svg(right, bottom + 4, paths + texts, "PSI of every feature, night by night", "heat")


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches without a gap, as (position, value)."""
    runs: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((i, value))
    return [run for run in runs if run]


def _line(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _svg(width: int, height: float, content: str, label: str, name: str = "chart") -> Markup:
    head = f'<svg class="{name}" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(label)}">'
    return Markup(f"{head}{content}</svg>")  # every text in `content` is escaped above
