"""What moved, in words for a reader who has never heard of PSI."""

from __future__ import annotations

from collections.abc import Sequence

from scorelake.drift.charts import percent
from scorelake.drift.profile import OVERALL
from scorelake.drift.rows import TRAINING, WHOLE, worst_first
from scorelake.drift.status import UNCOUNTED
from scorelake.drift.tables import MetricRow

_NOTICEABLE = 0.005
"""A share that moved by less is not worth a sentence."""


def headline(metrics: Sequence[MetricRow]) -> str:
    """The night in one sentence."""
    rows = [row for row in metrics if row.segment == OVERALL and row.feature != WHOLE and row.muted_until is None]
    rows = [row for row in rows if row.role != "label" or row.status not in UNCOUNTED]
    found = {status: [row for row in rows if row.status == status] for status in {row.status for row in rows}}
    lost = len(found.get("ERROR", []))
    if lost:
        rest = [row for row in metrics if row.status != "ERROR"]
        return f"{_columns(lost)} could not be compared. {headline(rest) if rest else ''}".strip()
    if rows and len(found.get("NO_DATA", [])) == len(rows):
        return "There are no rows tonight."
    if rows and len(found.get("INSUFFICIENT", [])) == len(rows):
        return "There are too few rows tonight to tell drift from chance."
    moved = len(found.get("ALERT", [])) + len(found.get("WARN", []))
    if not moved:
        hidden = any(row.status in ("ALERT", "WARN") for row in metrics if row.segment not in (OVERALL,))
        tail = ", but some segments did: see below" if hidden else ""
        return f"Nothing moved more than chance explains{tail}."
    largest = sorted((row for row in rows if row.status in ("ALERT", "WARN")), key=lambda row: -(row.psi or 0))[:3]
    names = ", ".join(row.feature for row in largest) + (f" and {moved - 3} more" if moved > 3 else "")
    return f"{moved} of {_columns(len(rows))} moved further than chance explains: {names}."


def advice(metrics: Sequence[MetricRow]) -> str:
    """What a reader may do about the night, in plain words."""
    rows = [row for row in metrics if row.muted_until is None and row.feature != WHOLE]
    found = {row.status for row in rows if row.segment == OVERALL}
    if "ERROR" in found:
        return (
            "Look first at the step that builds what could not be compared: a model that needs it may answer wrongly."
        )
    if {row.status for row in rows} & {"ALERT", "WARN"}:
        return (
            "Ask whether the world changed (a season, a campaign) or the data broke. "
            "A fault is mended where the data come from; a change that lasts is a reason to train again."
        )
    if "OK" not in found:
        return "Nothing can be told of such a night, which is not the same as all being well: did all input arrive?"
    return "Nothing has to be done. Whether the answers are still right, only labels can tell."


def sentence(text: str) -> str:
    """A reason as it stands by itself."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def first_to_look_at(metrics: Sequence[MetricRow]) -> list[MetricRow]:
    """At most three columns that moved, were lost or cannot be compared, the worst first; nothing that is muted."""
    rows = [row for row in metrics if row.segment == OVERALL and row.feature != WHOLE and row.muted_until is None]
    return [row for row in sorted(rows, key=worst_first) if row.status in ("ERROR", "ALERT", "WARN")][:3]


def message(metrics: Sequence[MetricRow], report: str) -> dict[str, object]:
    """What a notification says: the night in a sentence, three things to look at, where the report is. Names of
    columns and figures over all rows, no value of a row."""
    whole = metrics[-1]
    return {
        "subject": whole.subject,
        "version": whole.version,
        "run_date": whole.run_date.isoformat(),
        "status": whole.status,
        "alert": whole.firing,
        "headline": headline(metrics),
        "first": [f"{row.feature}: {row.reason}" for row in first_to_look_at(metrics)],
        "report": report,
    }


def reference(row: MetricRow) -> str:
    """What tonight is compared with: a model's training, or the profile that was frozen of a table."""
    return f"profile {row.version}" if row.against == TRAINING and "." in row.subject else row.against


def changes(row: MetricRow) -> list[str]:
    """What is different tonight, most tangible first; empty when nothing is."""
    if row.status in ("ERROR", "NO_DATA"):
        return [row.reason]
    found, past = [], f"in {reference(row)}"
    for words, before, now in (
        ("empty (null)", row.null_share_reference, row.null_share),
        ("not a number (NaN)", row.nan_share_reference, row.nan_share),
        (f"below the lowest value {past}", row.below_share_reference, row.below_share),
        (f"above the highest value {past}", row.above_share_reference, row.above_share),
        (f"of a value that did not occur {past}", row.unseen_share_reference, row.unseen_share),
        ("of a less common category", row.other_share_reference, row.other_share),
    ):
        if before is not None and now is not None and abs(now - before) >= _NOTICEABLE:
            found.append(f"{percent(now)} of rows are {words}, {percent(before)} {past}")
    if row.became_constant:
        found.append("all rows now fall into one and the same cell")
    return found + _moved(row)


def figures(row: MetricRow) -> list[tuple[str, str]]:
    """Every other measure that the column has, by name, for experts."""
    named = {
        "rows of the reference": f"{row.n:,}",
        "rows tonight": f"{row.m:,}",
        "noise": row.noise,
        "chance (critical PSI)": row.crit,
        "chi-square": row.chi2,
        "p": row.p,
        "p, adjusted": row.p_adjusted,
        "Jensen-Shannon": row.js,
        "KL (reference, tonight)": row.kl_pq,
        "KL (tonight, reference)": row.kl_qp,
        "Hellinger": row.hellinger,
        "KS, at least": row.ks_lo,
        "KS, at most": row.ks_hi,
        "Wasserstein": row.w1,
        "Anderson-Darling": row.anderson_darling,
        "mean, reference": row.mean_reference,
        "mean, about": row.mean,
        "std, reference": row.std_reference,
        "std, about": row.std,
    }
    return [
        (name, value if isinstance(value, str) else f"{value:.3g}")
        for name, value in named.items()
        if value is not None
    ]


def _moved(row: MetricRow) -> list[str]:
    if row.mean is None or row.mean_reference is None or not row.std_reference:
        return []
    steps = (row.mean - row.mean_reference) / row.std_reference
    if abs(steps) < 0.05:
        return []
    way = "higher" if steps > 0 else "lower"
    return [f"values are {way}: about {row.mean:.4g} on average, {row.mean_reference:.4g} in {reference(row)}"]


def _columns(count: int) -> str:
    return f"{count} column" if count == 1 else f"{count} columns"
