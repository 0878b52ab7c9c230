"""What the report shows of each column and segment: rows of the tables turned into charts and words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from markupsafe import Markup

from scorelake.drift import charts
from scorelake.drift.charts import Bar, Point
from scorelake.drift.labels import RARE
from scorelake.drift.profile import OVERALL
from scorelake.drift.rows import WHOLE, worst_first
from scorelake.drift.status import Status
from scorelake.drift.tables import AlertRow, BinRow, MetricRow
from scorelake.drift.words import changes, figures, headline
from scorelake.metrics import better
from scorelake.models.watching import Drift

NIGHTS = 90
"""Nights that the series and the heat map reach back."""
DETAILED = 60
"""Features with charts, worst first; the others stand in the table alone, so that the file stays small."""
LARGEST = 6
"""Cells listed with their figures."""
CATEGORIES = 12
"""Categories drawn one by one, those with the largest part of the PSI; the rest as one."""


@dataclass(frozen=True)
class Segment:
    """A segment as the page shows it; `largest` are its worst features."""

    name: str
    rows: int
    status: Status
    largest: Sequence[MetricRow]


@dataclass(frozen=True)
class Period:
    """Tonight against a period other than training; `whole` is the row that sums it up."""

    whole: MetricRow
    headline: str
    largest: Sequence[MetricRow]


@dataclass(frozen=True)
class Matured:
    """How good the scores of a night turned out to be: the headline metric of what was served (monitoring.performance).

    `trained` is its value at training, `rows` the scores with a label.
    """

    score_date: dt.date
    metric: str
    value: float
    low: float | None
    high: float | None
    trained: float | None
    rows: int


@dataclass(frozen=True)
class Alert:
    """What the ledger says of a column: `segments` are where, besides all rows together; empty: only there."""

    event: str
    level: str | None
    feature: str
    segments: Sequence[str]
    reason: str
    nights: str


@dataclass(frozen=True)
class Entry:
    """A feature as the page shows it; `shift` is its mean's, in standard deviations of the reference."""

    number: int
    row: MetricRow
    shift: float | None
    changes: Sequence[str]
    figures: Sequence[tuple[str, str]]
    spark: Markup
    thumbnail: Markup | None
    histogram: Markup | None
    series: Markup | None
    largest: Sequence[Bar]
    link: str | None


def _overall(bins: Sequence[BinRow]) -> list[BinRow]:
    return sorted((row for row in bins if row.segment == OVERALL), key=lambda row: (row.feature, row.cell))


def series(rows: Sequence[MetricRow]) -> dict[str, list[Point]]:
    """The last nights of each feature, oldest first."""
    points: dict[str, list[Point]] = {}
    for row in sorted(rows, key=lambda row: row.run_date):
        points.setdefault(row.feature, []).append(Point(row.run_date, row.psi, row.crit, row.status))
    return {name: nights[-NIGHTS:] for name, nights in points.items()}


def entries(
    rows: Sequence[MetricRow],
    bins: Sequence[BinRow],
    nights: Mapping[str, Sequence[Point]],
    limits: Drift,
    links: Mapping[str, str],
) -> list[Entry]:
    """The features of these rows, in their order."""
    cells = {name: list(group) for name, group in groupby(_overall(bins), key=lambda row: row.feature)}
    return [
        _entry(number, row, cells.get(row.feature, []), nights[row.feature], limits, links.get(row.feature))
        for number, row in enumerate(rows, start=1)
    ]


def _entry(
    number: int,
    row: MetricRow,
    bins: Sequence[BinRow],
    series: Sequence[Point],
    limits: Drift,
    link: str | None,
) -> Entry:
    own, bars = limits.limits(row.feature), _bars(bins)
    is_detailed = number <= DETAILED
    has_charts = is_detailed and bool(bars) and row.psi is not None
    return Entry(
        number=number,
        row=row,
        shift=_shift(row),
        changes=changes(row),
        figures=figures(row),
        spark=charts.spark(series, alert=own.alert),
        thumbnail=charts.thumbnail(bars) if has_charts else None,
        histogram=charts.histogram(bars) if has_charts else None,
        series=charts.series(series, warn=own.warn, alert=own.alert) if is_detailed else None,
        largest=sorted((bar for bar in bars if bar.term > 0), key=lambda bar: -bar.term)[:LARGEST],
        link=safe_link(link) if link else None,
    )


def _bars(bins: Sequence[BinRow]) -> list[Bar]:
    """Cells to draw: bins as they are; of categories the ones that matter, all others and rare ones together."""
    bars = [Bar(row.label, row.share_reference, row.share, row.term or 0.0, _is_special(row)) for row in bins]
    if not any(row.kind == "other" for row in bins):
        return [bar for bar in bars if not bar.is_special or bar.before or bar.now]
    named = [bar for row, bar in zip(bins, bars, strict=True) if row.kind == "value" and row.label != RARE]
    drawn = sorted(named, key=lambda bar: (-bar.term, -bar.before))[:CATEGORIES]
    rest = [bar for row, bar in zip(bins, bars, strict=True) if row.kind in ("value", "other") and bar not in drawn]
    special = [bar for row, bar in zip(bins, bars, strict=True) if row.kind in ("unseen", "null")]
    other = Bar(
        "other categories",
        sum(bar.before for bar in rest),
        sum(bar.now for bar in rest),
        sum(bar.term for bar in rest),
        is_special=True,
    )
    return sorted(drawn, key=lambda bar: -bar.before) + [bar for bar in (other, *special) if bar.before or bar.now]


def _is_special(row: BinRow) -> bool:
    return row.kind not in ("bin", "value")


def heat_map(names: Sequence[str], series: Mapping[str, Sequence[Point]]) -> Markup | None:
    """None on a first night: one column is what the table shows."""
    days = sorted({point.day for points in series.values() for point in points})[-NIGHTS:]
    if len(days) < 2:
        return None
    known = {name: {point.day: point.psi for point in points} for name, points in series.items()}
    shown = names[:DETAILED]
    return charts.heat_map(shown, days, [[known[name].get(day) for day in days] for name in shown])


def segments(metrics: Sequence[MetricRow]) -> list[Segment]:
    """Each declared segment with its rows tonight, its status and the features that moved most in it; a muted one
    only where all are."""
    rows = sorted((row for row in metrics if row.segment != OVERALL), key=lambda row: row.segment)
    found = []
    for name, group in groupby(rows, key=lambda row: row.segment):
        everything = sorted(group, key=worst_first)
        # A column that cannot be compared at all is told once, not again in each segment.
        heard = [row for row in everything if row.muted_until is None] or everything
        ordered = [row for row in heard if row.status != Status.ERROR] or heard
        found.append(Segment(name, max(row.m for row in ordered), Status(ordered[0].status), ordered[:3]))
    return found


def outcomes(matured: Sequence[Matured]) -> Markup | None:
    """The line of the headline metric; None before the second night with labels."""
    if len(matured) < 2:
        return None
    points = [charts.Outcome(night.score_date, night.value, night.low, night.high) for night in matured[-NIGHTS:]]
    return charts.outcomes(points, trained=matured[-1].trained)


def outcome(matured: Sequence[Matured]) -> str | None:
    """The newest night in words, against what training promised; None when that is not known."""
    if not matured or matured[-1].trained is None:
        return None
    last, trained = matured[-1], matured[-1].trained
    gain = better(last.metric, last.value, trained)
    ends = [better(last.metric, end, trained) for end in (last.low, last.high) if end is not None]
    if not ends or min(ends) <= 0 <= max(ends):
        return "As good as training promised, as far as so many labels can tell."
    way = "Better" if gain > 0 else "Worse"
    return f"{way} than training promised, and more so than chance explains."


def period(metrics: Sequence[MetricRow]) -> Period:
    """What moved since a period, as its rows of drift_metrics tell."""
    rows = [row for row in metrics if row.segment == OVERALL and row.feature != WHOLE and row.psi is not None]
    return Period(metrics[-1], headline(metrics), sorted(rows, key=worst_first)[:3])


def _shift(row: MetricRow) -> float | None:
    if row.mean is None or row.mean_reference is None or not row.std_reference:
        return None
    return (row.mean - row.mean_reference) / row.std_reference


def alerts(ledger: Sequence[AlertRow], metrics: Sequence[MetricRow]) -> list[Alert]:
    """Tonight's entries of the ledger, what goes on firing, what is muted; segments of a column together."""
    told = {(row.segment, row.feature) for row in ledger}
    found = [Alert(row.event, row.level, row.feature, [row.segment], row.reason, row.nights) for row in ledger]
    for row in metrics:
        if row.firing and row.feature != WHOLE and (row.segment, row.feature) not in told:
            found.append(Alert("still", row.firing, row.feature, [row.segment], row.reason, ""))
        if row.muted_until and row.segment == OVERALL:
            reason = row.mute_reason or ""
            found.append(Alert(f"muted until {row.muted_until}", None, row.feature, [OVERALL], reason, ""))
    order = sorted(found, key=lambda alert: (alert.event == "still", alert.event, alert.level or "", alert.feature))
    return [_together(list(group)) for _, group in groupby(order, key=lambda a: (a.event, a.level, a.feature))]


def _together(same: Sequence[Alert]) -> Alert:
    first = next((alert for alert in same if alert.segments == [OVERALL]), same[0])
    everywhere = [segment for alert in same for segment in alert.segments]
    return replace(first, segments=[] if everywhere == [OVERALL] else everywhere)


def safe_link(address: str) -> str | None:
    """The address when a browser only opens it (http, https, relative); None when it could run it."""
    scheme = address.split(":", 1)[0].lower() if ":" in address.split("/", 1)[0] else ""
    return address if scheme in ("", "http", "https") else None
