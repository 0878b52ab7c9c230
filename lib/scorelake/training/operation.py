"""Can the challenger be run every night? Tried on real features before it becomes champion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from scorelake.models import Promotion

PASS, FAIL = "pass", "fail"

Gate = tuple[str, float | None, float, str, str]
"""Metric, value, threshold, verdict, reason."""


@dataclass(frozen=True)
class Tried:
    """What came of scoring `rows` rows of features slice `day` (None: there is no slice).

    `failures` are rows without a finite score, all of them where the model raised `error`. `microseconds` are of CPU, a
    row; `psi` is that of its scores against the champion's on the same rows, None without a champion. `size` is that of
    the version's files in bytes.
    """

    size: int
    day: date | None = None
    rows: int = 0
    failures: int = 0
    error: str = ""
    microseconds: float | None = None
    psi: float | None = None
    has_champion: bool = False


def gates(limits: Promotion, tried: Tried) -> Iterator[Gate]:
    """One gate for each limit that the model file sets; what cannot be told fails."""
    if limits.max_bytes is not None:
        verdict = PASS if tried.size <= limits.max_bytes else FAIL
        reason = f"its files take {tried.size:,} bytes, expected at most {limits.max_bytes:,}"
        yield "bytes", float(tried.size), float(limits.max_bytes), verdict, reason
    if limits.smoke_rows is None:
        return
    where = f"{tried.rows:,} rows of the features of {tried.day}"
    if tried.day is None or not tried.rows:
        yield "smoke failures", None, 0.0, FAIL, "there are no features to try it on; run build_features first"
    else:
        told = f"{tried.failures:,} of {where} got no score{f' ({tried.error})' if tried.error else ''}, expected none"
        yield "smoke failures", float(tried.failures), 0.0, FAIL if tried.failures else PASS, told
    if limits.max_microseconds is not None:
        yield _limit("cpu microseconds a row", tried.microseconds, limits.max_microseconds, f"on {where}")
    if limits.max_score_psi is not None:
        metric = "psi of scores against the champion's"
        if not tried.has_champion:
            yield metric, None, limits.max_score_psi, PASS, "nobody is champion yet"
        else:
            yield _limit(metric, tried.psi, limits.max_score_psi, f"on {where}")


def _limit(metric: str, value: float | None, limit: float, where: str) -> Gate:
    if value is None:
        return metric, None, limit, FAIL, f"cannot be told {where}"
    passes = value <= limit  # NaN fails
    return metric, value, limit, PASS if passes else FAIL, f"{value:.4g}, expected at most {limit:g}, {where}"
