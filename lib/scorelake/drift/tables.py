"""Rows of the monitoring tables, one frozen class a table; a field's annotation is its column's DDL.

All are sliced by (run_date, subject, version): a re-run replaces the slice. `drift_counts` is the source of
all others; everything else can be made again from it and the profile.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

Text = Annotated[str, "string"]
OptionalText = Annotated[str | None, "string"]
Day = Annotated[dt.date, "date"]
OptionalDay = Annotated[dt.date | None, "date"]
Int = Annotated[int, "int"]
Long = Annotated[int, "bigint"]
Double = Annotated[float, "double"]
OptionalDouble = Annotated[float | None, "double"]
Flag = Annotated[bool, "boolean"]


@dataclass(frozen=True, kw_only=True)
class ReferenceRow:
    """monitoring.drift_reference: the frozen cells of a version and how many training rows each held."""

    subject: Annotated[Text, "model or table that is watched"]
    version: Annotated[Text, "model version, or the profile's name for a table"]
    profile_hash: Annotated[Text, "sha256 of the profile the cells belong to"]
    segment: Annotated[Text, "all, or column=value"]
    feature: Text
    role: Annotated[Text, "feature, score or label"]
    type: Annotated[Text, "Spark type of the column"]
    cell: Annotated[Int, "position of the cell, from 0"]
    kind: Annotated[Text, "bin, value, below, above, nan, null, other or unseen"]
    label: Annotated[Text, "the cell for people; rare categories are not spelled out"]
    rows: Long
    sum_w: Annotated[Double, "sum of weights, the rows when unweighted"]
    sum_w2: Annotated[Double, "sum of squared weights"]


@dataclass(frozen=True, kw_only=True)
class ProfileRow:
    """monitoring.drift_profiles: references frozen of tables; those of models travel with the model version."""

    subject: Annotated[Text, "the table"]
    version: Annotated[Text, "the profile's name"]
    profile_hash: Text
    first_date: Annotated[Day, "first run date of its rows"]
    last_date: Day
    profile: Annotated[Text, "the profile as JSON"]
    run_id: Text


@dataclass(frozen=True, kw_only=True)
class CountRow:
    """monitoring.drift_counts: rows of a night in each cell; cells without rows are left out in segments."""

    subject: Text
    version: Text
    run_date: Day
    profile_hash: Text
    segment: Text
    feature: Text
    cell: Int
    rows: Long
    sum_w: Double
    sum_w2: Double
    problem: Annotated[OptionalText, "why the column could not be counted; then its rows are 0"]
    run_id: Text


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """monitoring.drift_metrics: every measure and the verdict, a row a segment and feature.

    Shares stand as `<cell>_share_reference` and `<cell>_share` (tonight); null where there is no such cell.
    """

    subject: Text
    version: Text
    run_date: Day
    against: Annotated[Text, "training, or the period compared with"]
    segment: Text
    feature: Annotated[Text, "column; * is the whole subject"]
    role: Text
    n: Annotated[Long, "rows of the reference"]
    m: Annotated[Long, "rows tonight"]
    n_effective: Annotated[Double, "(sum w)^2 / sum w^2; n when unweighted"]
    m_effective: Double
    psi: Annotated[OptionalDouble, "for feature *: importance-weighted mean"]
    noise: Annotated[OptionalDouble, "PSI to expect without drift"]
    crit: Annotated[OptionalDouble, "PSI that chance exceeds with probability alpha"]
    chi2: OptionalDouble
    p: Annotated[OptionalDouble, "of the chi-square test"]
    p_adjusted: Annotated[OptionalDouble, "Benjamini-Hochberg over the features of a segment family"]
    js: Annotated[OptionalDouble, "Jensen-Shannon distance, base 2"]
    kl_pq: Annotated[OptionalDouble, "KL divergence, reference against tonight, nats"]
    kl_qp: OptionalDouble
    hellinger: OptionalDouble
    ks_lo: Annotated[OptionalDouble, "Kolmogorov-Smirnov distance, at least"]
    ks_hi: Annotated[OptionalDouble, "at most"]
    w1: Annotated[OptionalDouble, "Wasserstein distance in reference standard deviations"]
    anderson_darling: OptionalDouble
    null_share_reference: OptionalDouble
    null_share: OptionalDouble
    nan_share_reference: OptionalDouble
    nan_share: OptionalDouble
    below_share_reference: OptionalDouble
    below_share: OptionalDouble
    above_share_reference: OptionalDouble
    above_share: OptionalDouble
    other_share_reference: OptionalDouble
    other_share: OptionalDouble
    unseen_share_reference: OptionalDouble
    unseen_share: OptionalDouble
    mean_reference: OptionalDouble
    mean: Annotated[OptionalDouble, "tonight's, as far as cells can tell"]
    std_reference: OptionalDouble
    std: Annotated[OptionalDouble, "tonight's, as far as cells can tell"]
    cut_share_reference: Annotated[OptionalDouble, "share of scores that the model's cut decides 1, about"]
    cut_share: Annotated[OptionalDouble, "tonight's"]
    became_constant: Annotated[Flag, "all rows in one cell, unlike the reference"]
    importance: OptionalDouble
    status: Annotated[Text, "ERROR, ALERT, WARN, NO_DATA, INSUFFICIENT or OK"]
    rule: Annotated[Text, "the rule that gave the status"]
    value: OptionalDouble
    threshold: OptionalDouble
    reason: Text
    firing: Annotated[OptionalText, "level that k of the last n nights agree on"]
    nights: Annotated[Int, "nights in a row with this status, this one included"]
    muted_until: OptionalDay
    mute_reason: OptionalText
    run_id: Text


@dataclass(frozen=True, kw_only=True)
class BinRow:
    """monitoring.drift_bins: both shares of each cell and its part of the PSI (the terms sum to it)."""

    subject: Text
    version: Text
    run_date: Day
    against: Text
    segment: Text
    feature: Text
    cell: Int
    kind: Text
    label: Text
    rows_reference: Long
    rows: Long
    share_reference: Double
    share: Double
    term: Annotated[OptionalDouble, "null when either side has no rows"]
    run_id: Text


@dataclass(frozen=True, kw_only=True)
class AlertRow:
    """monitoring.drift_alerts: a row when an alert opens, changes its level, closes or is muted."""

    subject: Text
    version: Text
    run_date: Day
    against: Text
    segment: Text
    feature: Text
    event: Annotated[Text, "opened, changed, closed or muted"]
    level: Annotated[OptionalText, "level after the event"]
    previous: Annotated[OptionalText, "level before it"]
    rule: Text
    value: OptionalDouble
    threshold: OptionalDouble
    nights: Annotated[Text, "statuses of the nights that decided, oldest first"]
    reason: Text
    muted_until: OptionalDay
    mute_reason: OptionalText
    run_id: Text


Row = ReferenceRow | ProfileRow | CountRow | MetricRow | BinRow | AlertRow


def ddl(row: type[Row]) -> str:
    """The table's columns as Spark DDL, with comments."""
    columns = []
    for name, hint in get_type_hints(row, include_extras=True).items():
        kind, *comment = hint.__metadata__
        columns.append(
            f"`{name}` {kind}" + "".join(f" COMMENT '{text.replace(chr(39), chr(92) + chr(39))}'" for text in comment)
        )
    return ", ".join(columns)


def values(row: Row) -> tuple[Any, ...]:
    """The row's values in the order of `ddl`, for `createDataFrame`."""
    return tuple(getattr(row, name) for name in row.__dataclass_fields__)
