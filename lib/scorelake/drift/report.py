"""The night's report: one HTML file that opens anywhere, the verdict first.

Made of rows of the monitoring tables only, so it can be made again at any time and holds no value of a row:
rare categories are added to the other ones.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from scorelake.drift import view
from scorelake.drift.charts import percent
from scorelake.drift.evaluate import Verdicts
from scorelake.drift.profile import OVERALL
from scorelake.drift.rows import WHOLE, worst_first
from scorelake.drift.tables import MetricRow
from scorelake.drift.view import Matured
from scorelake.drift.words import advice, first_to_look_at, headline, reference, sentence
from scorelake.models.watching import Drift

if TYPE_CHECKING:
    from jinja2 import Template

RECENT = 14
"""Nights of a subject that the index shows at once; earlier ones unfold."""
ICONS = {"ERROR": "✕", "ALERT": "▲", "WARN": "◆", "NO_DATA": "∅", "INSUFFICIENT": "…", "OK": "✓"}


def render(
    verdicts: Verdicts,
    limits: Drift,
    *,
    others: Sequence[Verdicts] = (),
    matured: Sequence[Matured] = (),
    history: Sequence[MetricRow] = (),
    links: Mapping[str, str] | None = None,
    index: str | None = None,
) -> str:
    """The report of a night.

    `others` are verdicts of the same night against other periods; `matured` how good earlier scores turned out, oldest
    first; `history` are earlier rows of drift_metrics of the same subject and version; `links` lead from a feature to
    its definition (http, https or a relative path), `index` to the page over all nights.
    """
    rows = sorted((row for row in verdicts.metrics if row.segment == OVERALL and row.feature != WHOLE), key=worst_first)
    nights = view.series([*_past(verdicts, history), *rows])
    entries = view.entries(rows, verdicts.bins, nights, limits, links or {})
    page = _template("report.html.j2").render(
        night=verdicts.night,
        whole=verdicts.metrics[-1],
        headline=headline(verdicts.metrics),
        reference=reference(verdicts.metrics[-1]),
        advice=advice(verdicts.metrics),
        index=index if index and view.safe_link(index) else None,
        counted=Counter(row.status for row in rows),
        first=[entry for entry in entries if entry.row in first_to_look_at(verdicts.metrics)],
        scores=[entry for entry in entries if entry.row.role == "score"],
        labels=[entry for entry in entries if entry.row.role == "label"],
        matured=matured,
        outcomes=view.outcomes(matured),
        outcome=view.outcome(matured),
        entries=entries,
        has_importance=any(row.importance for row in rows),
        heat=view.heat_map([row.feature for row in rows], nights),
        segments=view.segments(verdicts.metrics),
        others=[view.period(other.metrics) for other in others],
        alerts=view.alerts(verdicts.alerts, verdicts.metrics),
        limits=limits,
        detailed=view.DETAILED,
    )
    return str(page)


def render_index(rows: Sequence[MetricRow], *, reports: Mapping[tuple[str, str, dt.date], str]) -> str:
    """A page over all nights and subjects, newest first.

    `rows` are those of drift_metrics whose feature is `*`; `reports` leads from (subject, version, run date) to a
    report's address relative to the page.
    """
    ordered = sorted(rows, key=lambda row: (row.subject, -row.run_date.toordinal(), row.version))
    subjects = {subject: list(group) for subject, group in groupby(ordered, key=lambda row: row.subject)}
    return str(_template("index.html.j2").render(subjects=subjects, reports=reports, nights=view.NIGHTS, recent=RECENT))


def _past(verdicts: Verdicts, history: Sequence[MetricRow]) -> list[MetricRow]:
    night = verdicts.night
    return [
        row
        for row in history
        if row.segment == OVERALL and row.against == night.against and row.run_date < night.run_date
    ]


def _template(name: str) -> Template:
    """Read through the package, so that it is found inside a zip as well; all values are escaped."""
    from jinja2 import Environment, FunctionLoader

    folder = files("scorelake.drift").joinpath("templates")
    loader = FunctionLoader(lambda wanted: folder.joinpath(wanted).read_text(encoding="utf-8"))
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "safe_link": view.safe_link, "sentence": sentence}
    environment.globals |= {"icons": ICONS, "style": Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))}
    return environment.get_template(name)
