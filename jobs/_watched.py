"""What report_drift watches, a model version or a table, and how the rows of one of its nights are counted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import _monitoring, _registry, _roles
from scorelake.definitions import Definitions
from scorelake.drift import counting, physical
from scorelake.drift.build import build
from scorelake.drift.counting import Source
from scorelake.drift.counts import Counts, zero
from scorelake.drift.profile import Profile
from scorelake.drift.tables import ProfileRow
from scorelake.errors import MissingInput, UsageError
from scorelake.models import Drift
from scorelake.nightly import graph, hashes
from scorelake.stores.lake import files_of
from scorelake.tables import RESERVED, SLICE_COLUMN, Versioned, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.dates import RunDates
    from scorelake.stores.lake import Lake
    from scorelake.stores.model_registry import ModelRegistry

STEP = "report_drift"
_CHAMPION = "role = 'champion'"


@dataclass(frozen=True)
class Watched:
    """A reference, the limits that hold for it, and `count`, which counts a night's rows in its cells.

    `rows_of` is the SQL condition on its rows in the monitoring tables; `headline` the metric that labels judge it by.
    """

    subject: str
    version: str
    profile: Profile
    limits: Drift
    count: Callable[[date], Counts] = field(repr=False)
    rows_of: str
    mark: str
    definition_hash: str
    inputs: Mapping[str, int]
    importance: Mapping[str, float] = field(default_factory=dict)
    cut: float | None = None
    headline: str | None = None


# ------------------------------------------------------------------ models


def versions(
    lake: Lake, registry: ModelRegistry, definitions: Definitions, name: str, dates: RunDates
) -> Iterable[tuple[Watched, list[date]]]:
    """Which version scored which dates, with its reference."""
    marks = lake.marks(f"scores.{name}", "score_batch")
    missing = [str(day) for day in dates if day not in marks]
    if missing:
        raise MissingInput(f"scores.{name} has no slice {', '.join(missing)}; run score_batch for it first")
    scored_by = {day: str(marks[day][1].notes["model_version"]) for day in dates}
    runs_of = {day: marks[day][1].run_id for day in dates}
    spec = definitions.models[name]
    inputs = lake.versions([f"features.{spec.feature_service}", f"scores.{name}", spec.label])
    with tempfile.TemporaryDirectory(prefix="scorelake-models-") as folder:
        for version in sorted(set(scored_by.values())):
            model = registry.pin(name, version, Path(folder))
            profile = Profile.from_json(model.file(_registry.PROFILE).decode(), source=f"{name} version {version}")
            nights = _Nights(lake, definitions, name, version, profile, runs_of)
            watched = Watched(
                name,
                version,
                profile,
                spec.drift,
                nights.count,
                rows_of=f"subject = '{name}'",
                mark=graph.mark_of(STEP, name),
                definition_hash=hashes.drift(definitions, name),
                inputs=inputs,
                importance=json.loads(model.file(_registry.IMPORTANCE)),
                cut=spec.scoring.cut_of(_roles.cut(model)),
                headline=spec.headline,
            )
            yield watched, [day for day in dates if scored_by[day] == version]


@dataclass(frozen=True)
class _Nights:
    """The nights of one model version."""

    lake: Lake
    definitions: Definitions
    name: str
    version: str
    profile: Profile
    runs_of: Mapping[date, str]

    def count(self, day: date) -> Counts:
        """A night's counts: those that the scoring pass left, if any, and what disagrees with its rows counted again.

        Features are read where their files lie; all that is counted is one Spark job.
        """
        published = _monitoring.counts_of_run(self.lake, self.name, self.version, self.profile, day, self.runs_of[day])
        if published is None:
            return self._counted(zero(self.profile), day, set(self.profile.offsets))
        rows = self.lake.read_slices(self._features, [day]).count()
        labels = {feature.name for feature in self.profile.features if feature.role == "label"}
        return self._counted(published, day, labels | set(published.disagreeing(rows)))

    def _counted(self, counts: Counts, day: date, names: set[str]) -> Counts:
        by_role = {"feature": self._of_features, "score": self._of_scores, "label": self._of_labels}
        sources = []
        for role, source in by_role.items():
            wanted = [feature.name for feature in self.profile.features if feature.role == role]
            if names & set(wanted):
                sources.append(source(day, self.profile.only(names & set(wanted))))
        for found in counting.collected(sources):
            counts = counts.replaced(found)
        return counts

    @property
    def _features(self) -> str:
        return f"features.{self.definitions.models[self.name].feature_service}"

    def _of_features(self, day: date, profile: Profile) -> Source:
        return source_of(self.lake, self.lake.read_slices(self._features, [day]), profile)

    def _of_scores(self, day: date, profile: Profile) -> Source:
        """The champion's scores: it scores everybody, and the reference is its own."""
        scores = self.lake.read_slices(f"scores.{self.name}", [day], column="score_date").where(_CHAMPION)
        columns = [family.column for family in profile.families]
        if columns:
            keys = list(self.definitions.labels[self.definitions.models[self.name].label].keys)
            features = self.lake.read_slices(self._features, [day])
            segments = features.select(*map(quoted, dict.fromkeys([*keys, *columns])))
            scores = scores.select(*map(quoted, keys), "score").join(segments, on=keys, how="left")
        return counting.of_frame(scores, profile)

    def _of_labels(self, day: date, profile: Profile) -> Source:
        """Labels that became known on that night, of whichever night they judge; immature ones do not exist yet."""
        label = self.definitions.models[self.name].label
        if not self.lake.exists(label):
            return Source(profile, profile, None, {})
        return counting.of_frame(
            self.lake.read_slices(label, [day]).where("label IS NOT NULL").select("label"), profile
        )


def source_of(lake: Lake, rows: DataFrame, profile: Profile) -> Source:
    """Whole slices, read inside the workers where the lake's files can be opened by path, else through Spark."""
    if lake.settings.catalog:
        return counting.of_frame(rows, profile)
    types = {column.name: column.dataType.simpleString() for column in rows.schema}
    tasks = int(lake.spark.conf.get("spark.sql.shuffle.partitions") or 1)
    return counting.of_files(lake.spark, files_of(rows), profile, types=types, tasks=tasks)


# ------------------------------------------------------------------ tables without a model


def table(lake: Lake, name: str, version: str | None) -> Watched:
    """The table against the profile of this name, else the one frozen of its latest rows."""
    found = [row for row in _monitoring.frozen(lake, name) if version in (None, row.version)]
    if not found:
        named = f"profile {version}" if version else "profile"
        raise MissingInput(f"{name} has no {named}; freeze one first: report_drift --table {name} --freeze NAME")
    profile = Profile.from_json(found[0].profile, source=f"profile {found[0].version} of {name}")

    def count(day: date) -> Counts:
        return counting.collected([source_of(lake, lake.read_slices(name, [day]), profile)])[0]

    return Watched(
        name,
        found[0].version,
        profile,
        Drift(),
        count,
        rows_of=f"subject = '{name}' AND version = '{found[0].version}'",
        mark=graph.mark_of(STEP, f"{name} {found[0].version}"),
        definition_hash=profile.hash,
        inputs=lake.versions([name]),
    )


def frozen_profile(lake: Lake, definitions: Definitions, name: str, dates: RunDates, version: str) -> ProfileRow:
    """A profile of the table's slices of these dates. MissingInput when they hold no row."""
    rows = lake.read_slices(name, dates)
    if rows.isEmpty():
        raise MissingInput(f"{name} has no rows on {dates}; a profile of nothing compares with nothing")
    profile = build(rows, _columns(rows, definitions, name))
    return ProfileRow(
        subject=name,
        version=version,
        profile_hash=profile.hash,
        first_date=dates.first,
        last_date=dates.last,
        profile=profile.to_json(),
        run_id="",
    )


def _columns(rows: DataFrame, definitions: Definitions, name: str) -> Sequence[str]:
    """Columns worth a profile: neither keys nor personal nor the engine's own, of a type that has cells; nor clocks,
    which are later every night."""
    contract = definitions.tables.get(name)
    left_out = {*RESERVED, SLICE_COLUMN, *(contract.personal if contract else ())}
    if isinstance(contract, Versioned):
        clocks = (contract.event_time, contract.availability.column if contract.availability else None)
        left_out |= {*contract.keys, *filter(None, clocks)}
    found = [
        column.name
        for column in rows.schema
        if column.name not in left_out and physical.can_be_profiled(column.dataType.simpleString())
    ]
    if not found:
        raise UsageError(f"--table {name}: it has nothing to profile besides keys, clocks, personal and engine columns")
    return found
