"""What follows from a model's measured nights: how much is immature, how many have labels, where the headline heads.

Small arithmetic on the driver over rows of monitoring.performance, a dict each by column name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from scorelake import dates as calendar
from scorelake.metrics import Estimate
from scorelake.scoring import decay
from scorelake.scoring.figures import CHAMPION, EVERYBODY, SERVED

Row = dict[str, Any]
Nights = Mapping[date, int]
"""Rows that each night served."""


def immature(run_dates: Iterable[date], nights: Nights, *, wait: timedelta) -> Iterable[Row]:
    """Of each run date the served rows up to it whose labels cannot be known on it; `score_date` is the first night.

    `wait` is the time from a score's as-of instant to its label.
    """
    for day in run_dates:
        last_mature = (calendar.as_of(day) - wait - calendar.ONE_DAY).date()
        waiting = {night: rows for night, rows in nights.items() if last_mature < night <= day}
        rows = sum(waiting.values())
        first = min(waiting, default=None)
        yield _row(day, first, "immature", "immature_rows", Estimate(float(rows), None, None, rows))


def coverage(rows: Iterable[Row], nights: Nights) -> Iterable[Row]:
    """The part of each judged night's served scores that has a label: some entities never get one."""
    judged = {
        (row["run_date"], row["score_date"], row["model_version"]): row["rows"]
        for row in rows
        if (row["kind"], row["role"], row["segment"]) == ("metric", SERVED, EVERYBODY)
    }
    for (day, night, version), labelled in judged.items():
        share = labelled / nights[night] if nights.get(night) else None
        yield _row(day, night, "coverage", "labelled_share", Estimate(share, None, None, labelled), version)


def with_references(rows: Iterable[Row], trained: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The rows with `reference`, the value of each metric when its version was trained (`trained` by version, metric).

    What was served is held against that night's champion.
    """
    given = list(rows)
    champions = _champions(given)
    return [
        row | {"reference": trained.get(_version(row, champions), {}).get(row["metric"])}
        if row["kind"] == "metric"
        else row
        for row in given
    ]


def headlines(rows: Sequence[Row], *, model: str, metric: str) -> list[decay.Night]:
    """The headline of what was served, night by night, from rows `with_references`."""
    champions = _champions(rows)
    return [
        decay.Night(
            f"{model}/{_version(row, champions)}",
            row["run_date"],
            row["score_date"],
            metric,
            Estimate(row["value"], row["low"], row["high"], row["rows"]),
            row["reference"],
        )
        for row in rows
        if _is_headline(row, metric)
    ]


def trends(
    rows: Iterable[Row], earlier: Mapping[date, float | None], run_dates: Iterable[date], *, metric: str, nights: int
) -> Iterable[Row]:
    """How the served headline changes a night, as of each run date: over its newest `nights` nights.

    `earlier` are its values by score date as known before the first of the run dates.
    """
    told = [row for row in rows if _is_headline(row, metric)]
    known = dict(earlier)
    for day in run_dates:
        known |= {row["score_date"]: row["value"] for row in told if row["run_date"] == day}
        values = {night: value for night, value in known.items() if value is not None}
        found = decay.trend({night: values[night] for night in sorted(values)[-nights:]})
        if found is not None:
            yield _row(day, None, "trend", metric, found)


def with_ranks(rows: Iterable[Row], importance: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The rows with the rank by importance at training beside each contribution (`importance` by version, feature)."""
    ranks = {
        version: {name: rank for rank, name in enumerate(sorted(of, key=lambda name: (-of[name], name)), start=1)}
        for version, of in importance.items()
    }
    return [
        row | {"rank_reference": ranks.get(row["model_version"], {}).get(row["metric"])}
        if row["kind"] == "contribution"
        else row
        for row in rows
    ]


def _champions(rows: Iterable[Row]) -> dict[date, str]:
    return {row["score_date"]: row["model_version"] for row in rows if row["role"] == CHAMPION}


def _version(row: Row, champions: Mapping[date, str]) -> str:
    return str(champions.get(row["score_date"], "")) if row["role"] == SERVED else str(row["model_version"])


def _is_headline(row: Row, metric: str) -> bool:
    place = (row["kind"], row["role"], row["segment"], row["metric"])
    return place == ("metric", SERVED, EVERYBODY, metric)


def _row(day: date, night: date | None, kind: str, metric: str, estimate: Estimate, version: str | None = None) -> Row:
    place = {"run_date": day, "score_date": night, "role": SERVED, "model_version": version, "segment": EVERYBODY}
    return {**place, "kind": kind, "metric": metric, **vars(estimate)}
