"""The verdict on one column in one segment on one night, and whether enough nights agree to raise an alert."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scorelake.drift.cells import NULL, UNSEEN
from scorelake.drift.compare import Comparison
from scorelake.models.watching import DriftLimits


class Status(StrEnum):
    """Worst first; never OK for want of data."""

    ERROR = "ERROR"
    ALERT = "ALERT"
    WARN = "WARN"
    NO_DATA = "NO_DATA"
    INSUFFICIENT = "INSUFFICIENT"
    OK = "OK"


UNCOUNTED = (Status.NO_DATA, Status.INSUFFICIENT)
"""Nights of these neither count towards k of n nor reset it."""


@dataclass(frozen=True)
class Verdict:
    """A status, the rule that gave it, what was found and what the limit was, in a sentence for people."""

    status: Status
    rule: str
    value: float | None
    threshold: float | None
    reason: str


def judge(
    comparison: Comparison,
    limits: DriftLimits,
    *,
    fdr: float,
    adjusted_p: float | None,
    adjusted_shares: Mapping[str, float] | None = None,
    problem: str | None = None,
) -> Verdict:
    """The first rule that matches: ERROR, NO_DATA, INSUFFICIENT, a share over its limit, PSI, else OK.

    `adjusted_p` is Benjamini-Hochberg's over the family, `adjusted_shares` the same of `share_tests` (not given: no
    family, as they are); `problem` says why the column cannot be compared.
    """
    if problem is not None:
        return Verdict(Status.ERROR, "comparable", None, None, problem)
    if comparison.m == 0:
        reason = "no label became known tonight" if comparison.feature.role == "label" else "no rows tonight"
        return Verdict(Status.NO_DATA, "rows", 0.0, float(limits.min_rows), reason)
    size, side = min((comparison.current.size, "tonight"), (comparison.reference.size, "in the reference"))
    if size < limits.min_rows or comparison.distance is None:
        reason = f"{size:,.0f} rows {side}, {limits.min_rows:,} are needed to tell drift from noise"
        return Verdict(Status.INSUFFICIENT, "min_rows", size, float(limits.min_rows), reason)
    shares = share_tests(comparison, limits) if adjusted_shares is None else adjusted_shares
    return _share_verdict(comparison, limits, fdr, shares) or _psi_verdict(comparison, limits, fdr, adjusted_p)


_SHARES = (("null_change", NULL, "null values"), ("unseen", UNSEEN, "values unseen before"))


def share_tests(comparison: Comparison, limits: DriftLimits) -> dict[str, float]:
    """How likely each share that has a limit changes so much by chance, by rule; shares that are nil on both sides
    are no test. A change within its limit has 1: it can only make the others of its family less certain."""
    found = {}
    for rule, cell, _ in _SHARES:
        shares = comparison.share(cell)
        if shares is not None and any(shares):
            found[rule] = comparison.change_p(cell) if _change(rule, shares) > getattr(limits, rule) else 1.0
    return found


def _change(rule: str, shares: tuple[float, float]) -> float:
    """Fewer nulls than before are a change too; fewer unseen values are not."""
    before, now = shares
    return abs(now - before) if rule == "null_change" else now - before


def _share_verdict(
    comparison: Comparison, limits: DriftLimits, fdr: float, adjusted: Mapping[str, float]
) -> Verdict | None:
    """A share of nulls or of unseen categories that moved further than allowed, and neither by the chance of its own
    sample nor by that of looking at many columns."""
    for rule, cell, words in _SHARES:
        shares = comparison.share(cell)
        if shares is None or rule not in adjusted:
            continue
        value, limit = _change(rule, shares), float(getattr(limits, rule))
        if value > limit and adjusted[rule] < fdr and comparison.change_p(cell) < limits.alpha:
            before, now = shares
            reason = f"{words}: {now:.2%} of rows, {before:.2%} in the reference; the limit is a change of {limit:.2%}"
            return Verdict(Status.ALERT, rule, value, limit, reason)
    return None


def _psi_verdict(comparison: Comparison, limits: DriftLimits, fdr: float, adjusted_p: float | None) -> Verdict:
    """PSI over a level counts only when the critical level and the false discovery rate agree."""
    distance = comparison.distance
    if distance is None:
        raise ValueError("a comparison without rows has no PSI")
    is_significant = distance.psi >= distance.crit and adjusted_p is not None and adjusted_p < fdr
    for status, limit in ((Status.ALERT, limits.alert), (Status.WARN, limits.warn)):
        if distance.psi >= limit and is_significant:
            reason = f"PSI {distance.psi:.3f} reaches {limit:g}, and chance alone stays below {distance.crit:.3f}"
            return Verdict(status, "psi", distance.psi, limit, reason)
    if distance.psi >= limits.warn:
        reason = f"PSI {distance.psi:.3f} reaches {limits.warn:g}, but with so few rows that may be chance"
    else:
        reason = f"PSI {distance.psi:.3f} is below {limits.warn:g}"
    return Verdict(Status.OK, "psi", distance.psi, limits.warn, reason)


def firing(nights: Sequence[Status], *, k: int, n: int) -> Status | None:
    """The level that enough nights agree on, ALERT or WARN; None when they do not.

    `nights` in order of date, the latest last. Of the last n nights with enough data k must reach the level,
    the latest of them included. An ERROR is a fact, not a sample: it fires at once.
    """
    counted = [status for status in nights if status not in UNCOUNTED]
    if not counted:
        return None
    if counted[-1] is Status.ERROR:
        return Status.ERROR
    for level, reached in ((Status.ALERT, (Status.ALERT,)), (Status.WARN, (Status.ALERT, Status.WARN))):
        if counted[-1] in reached and sum(status in reached for status in counted[-n:]) >= k:
            return level
    return None


def worst(statuses: Iterable[Status]) -> Status:
    """The status of a whole: its worst part's, NO_DATA when it has none."""
    order = list(Status)
    return min(statuses, key=order.index, default=Status.NO_DATA)


def is_muted(limits: DriftLimits, run_date: dt.date) -> bool:
    """Whether numbers are kept but alerts held back that night."""
    return limits.mute is not None and run_date <= limits.mute.until
