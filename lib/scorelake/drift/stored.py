"""Profiles and counts as table rows, and stored counts back as counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scorelake.drift.counts import Counts, reference, zero
from scorelake.drift.labels import cell_labels
from scorelake.drift.profile import Profile
from scorelake.drift.rows import Night
from scorelake.drift.tables import CountRow, ReferenceRow


def reference_rows(profile: Profile, *, subject: str, version: str) -> list[ReferenceRow]:
    """monitoring.drift_reference of a profile: every cell of every feature and segment."""
    counts = reference(profile)
    rows = []
    for position, segment in enumerate(profile.segments):
        for feature in profile.features:
            totals = counts.of(feature.name, position)
            rows += [
                ReferenceRow(
                    subject=subject,
                    version=version,
                    profile_hash=profile.hash,
                    segment=segment,
                    feature=feature.name,
                    role=feature.role,
                    type=feature.type,
                    cell=cell,
                    kind=feature.cells.names[cell],
                    label=label,
                    rows=int(totals.rows[cell]),
                    sum_w=float(totals.sum_w[cell]),
                    sum_w2=float(totals.sum_w2[cell]),
                )
                for cell, label in enumerate(cell_labels(feature))
            ]
    return rows


def count_rows(counts: Counts, night: Night) -> list[CountRow]:
    """monitoring.drift_counts of a night; the cells of `all` always, those of a segment when filled."""
    rows = []
    for position, segment in enumerate(counts.profile.segments):
        for feature in counts.profile.features:
            totals = counts.of(feature.name, position)
            rows += [
                CountRow(
                    subject=night.subject,
                    version=night.version,
                    run_date=night.run_date,
                    profile_hash=counts.profile.hash,
                    segment=segment,
                    feature=feature.name,
                    cell=cell,
                    rows=int(totals.rows[cell]),
                    sum_w=float(totals.sum_w[cell]),
                    sum_w2=float(totals.sum_w2[cell]),
                    problem=counts.problems.get(feature.name),
                    run_id=night.run_id,
                )
                for cell in range(feature.width)
                if position == 0 or totals.rows[cell]
            ]
    return rows


def counts_of(profile: Profile, rows: Iterable[CountRow]) -> Counts:
    """The counts that rows of drift_counts hold, of one night or summed over several.

    Rows of another profile are a problem of every feature: cells that were cut elsewhere do not add up.
    """
    counts, problems = zero(profile), {}
    sums = [counts.rows, counts.sum_w.copy(), counts.sum_w.copy()]
    segments = {segment: position for position, segment in enumerate(profile.segments)}
    for row in rows:
        if row.profile_hash != profile.hash:
            reason = f"counted in the cells of another profile ({row.profile_hash[:8]}, expected {profile.hash[:8]})"
            return zero(profile, dict.fromkeys(profile.offsets, reason))
        place = segments[row.segment], profile.offsets[row.feature] + row.cell
        for matrix, value in zip(sums, (row.rows, row.sum_w, row.sum_w2), strict=True):
            matrix[place] += value
        if row.problem is not None:
            problems[row.feature] = row.problem
    return replace(counts, rows=sums[0], sum_w=sums[1], sum_w2=sums[2], problems=problems)
