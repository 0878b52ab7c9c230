"""Slices against their own past and their own clock: how many rows came, and how new the newest of them is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from statistics import median

from scorelake import dates
from scorelake.quality.verdicts import Result, Verdict
from scorelake.tables import Freshness, Volume

VOLUME = "rows against earlier slices"
FRESHNESS = "age of the newest row"
_DAY = timedelta(days=1)


def with_volume(
    verdicts: Iterable[Verdict], volume: Volume, earlier: Mapping[date, int], due: Collection[date]
) -> list[Verdict]:
    """The verdicts in date order, each of a due date judged against the slices before it.

    `earlier`: accepted rows of the due slices that stand. A slice judged here counts for those after it unless it is
    refused, so that a range says what single nights would have said.
    """
    known = dict(earlier)
    judged = []
    for found in sorted(verdicts, key=lambda verdict: verdict.run_date):
        verdict = found
        if verdict.run_date in due:
            result = volume_result(volume, verdict.run_date, verdict.accepted, known)
            verdict = replace(verdict, results=(*verdict.results, result))
            if not verdict.refused:
                known[verdict.run_date] = verdict.accepted
        judged.append(verdict)
    return judged


def volume_result(volume: Volume, day: date, rows: int, known: Mapping[date, int]) -> Result:
    """Rows of slice `day` as a multiple of the median of the newest slices before it."""
    before = sorted((each for each in known if each < day), reverse=True)
    if volume.same_weekday:
        before = [each for each in before if each.weekday() == day.weekday()]
    counts = [known[each] for each in before[: volume.slices]]
    if len(counts) < volume.at_least:
        reason = f"{rows:,} rows; not judged: {len(counts)} earlier slices, {volume.at_least} needed"
        return Result(VOLUME, volume.action, True, gate="volume", reason=reason)
    usual = median(counts)
    ratio = rows / usual if usual else (float("inf") if rows else 1.0)
    threshold = volume.low if ratio < 1 else volume.high
    reason = f"{rows:,} rows, {ratio:.2f} of the median {usual:,.0f} of {len(counts)} earlier slices"
    reason += f"; expected {volume.low} to {volume.high}"
    is_usual = volume.low <= ratio <= volume.high
    return Result(VOLUME, volume.action, is_usual, observed=ratio, gate="volume", threshold=threshold, reason=reason)


def with_freshness(verdict: Verdict, freshness: Freshness, newest: Mapping[date, datetime]) -> Verdict:
    """The verdict with a word on the newest event time of the slice (naive UTC), by date; absent: no row has one."""
    found = newest.get(verdict.run_date)
    limit = freshness.within / _DAY
    if found is None:
        reason = "no accepted row has an event time"
        result = Result(FRESHNESS, freshness.action, False, gate="freshness", threshold=limit, reason=reason)
    else:
        age = (dates.as_of(verdict.run_date) - found) / _DAY
        reason = f"{age:.2f} days before the slice's end; at most {limit:g} expected"
        result = Result(FRESHNESS, freshness.action, age <= limit, observed=age, gate="freshness", threshold=limit)
        result = replace(result, reason=reason)
    return replace(verdict, results=(*verdict.results, result))
