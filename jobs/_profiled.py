"""Slices of a silver table against a frozen profile of the table, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from jobs import _monitoring
from scorelake.drift import counting, words
from scorelake.drift.counts import Counts, unweighted
from scorelake.drift.evaluate import evaluate
from scorelake.drift.profile import Family, Profile
from scorelake.drift.rows import Night
from scorelake.drift.status import Status
from scorelake.errors import MissingInput
from scorelake.models import Drift
from scorelake.quality.verdicts import Result, Verdict
from scorelake.tables import SLICE_COLUMN, ProfileCheck, Silver

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.stores.lake import Lake

GATE = "profile"


def judged(lake: Lake, contract: Silver, accepted: DataFrame, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with a word on the distributions of each slice that is not refused yet.

    `accepted` are the rows about to be written. One Spark job for all slices; a number a cell and slice reaches the
    driver.
    """
    check = contract.profile
    days = [verdict.run_date for verdict in verdicts if not verdict.refused]
    if check is None or not days:
        return list(verdicts)
    found = next((row for row in _monitoring.frozen(lake, contract.name) if row.version == check.name), None)
    if found is None:
        results = dict.fromkeys(days, _missing(contract.name, check))
    else:
        profile = Profile.from_json(found.profile, source=f"profile {check.name} of {contract.name}")
        nights = _by_day(accepted, profile, days)
        results = {day: _result(contract.name, check, profile, nights[day], day) for day in days}
    return [
        replace(verdict, results=(*verdict.results, results[verdict.run_date]))
        if verdict.run_date in results
        else verdict
        for verdict in verdicts
    ]


def _by_day(accepted: DataFrame, profile: Profile, days: Sequence[date]) -> dict[date, Counts]:
    """Counts of each slice, all in one pass: to the counting, slices are segments."""
    slices = Family(column=SLICE_COLUMN, values=tuple(map(str, days)))
    features = tuple(
        feature.model_copy(update={"counts": ((0,) * feature.width,) * (1 + len(days)), "sum_w": None, "sum_w2": None})
        for feature in profile.features
    )
    counted = counting.count(accepted, Profile(families=(slices,), features=features))
    return {
        day: unweighted(profile, counted.rows[position : position + 1], counted.problems)
        for position, day in enumerate(days, start=1)
    }


def _result(table: str, check: ProfileCheck, profile: Profile, counts: Counts, day: date) -> Result:
    limits = Drift(warn=min(Drift().warn, check.alert), alert=check.alert, min_rows=check.min_rows)
    verdicts = evaluate(profile, counts, Night(subject=table, version=check.name, run_date=day), limits)
    is_sound = verdicts.status not in (Status.ERROR, Status.ALERT)
    return Result(
        _rule(check),
        check.action,
        is_sound,
        observed=max((row.psi for row in verdicts.metrics if row.psi is not None), default=None),
        gate=GATE,
        threshold=limits.alert,
        reason=words.headline(verdicts.metrics),
    )


def _missing(table: str, check: ProfileCheck) -> Result:
    """A check that may fail slices says nothing without its profile, so nothing may be written either."""
    reason = f"{table} has no profile {check.name}; freeze it first: report_drift --table {table} --freeze {check.name}"
    if check.action == "fail":
        raise MissingInput(reason)
    return Result(_rule(check), check.action, False, gate=GATE, reason=reason)


def _rule(check: ProfileCheck) -> str:
    return f"distributions against profile {check.name}"
