"""Prove features on your own data: recompute sampled rows by brute force, straight from the source tables.

Reads   features.<service> and training.<model>, the slices of the given run dates, and every table behind them
Writes  ops.decisions, a row a table and date

    ./spark-submit.sh verify_pit --env local --run-date 2017-12-31
    ./spark-submit.sh verify_pit --env local --run-date 2017-12-24 --only training.lapse_xgboost --sample 500

`--only` takes services and training sets; without it every service is proved. Half of the sample are rare cases:
corrected rows, ties, instants at the edge of a window. The recomputation is plain Python that shares nothing with the
engine. Every difference is shown with both sides and the source rows that decide; exit code 4 when there is one.
On-demand features are left out: they are functions of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from jobs import _pit_sample
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.errors import MissingInput
from scorelake.feature_store import definitions as feature_definitions
from scorelake.features import oracle
from scorelake.features.oracle import Rules
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops
from scorelake.stores.lake import Lake
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.features.views import View

OPTIONS = {"--sample": {"type": "int", "default": 200, "help": "rows of each slice to recompute (default 200)"}}

Entity = tuple[Any, ...]


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL, *, sample: int = 200) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)

    services = graph.populations_of_services(definitions)
    training_sets = {f"training.{name}": model.feature_service for name, model in definitions.models.items()}
    wanted = services if only is ALL else cli.chosen({**services, **training_sets}, only)
    personal = frozenset(name for table in definitions.tables.values() for name in table.personal)
    return runs.combined(
        _verify(lake, repo, training_sets.get(name, name), _table(name), day, sample, personal)
        for day in dates
        for name in wanted
    )


def _table(name: str) -> str:
    return name if name.startswith("training.") else f"features.{name}"


def _verify(
    lake: Lake, repo: FeatureRepo, service: str, table: str, day: date, sample: int, personal: frozenset[str]
) -> Outcome:
    decision, differences = proved(lake, repo, service, table, day, sample, personal)
    ops.record_decisions(lake, [decision])
    line = f"{table} of {day}: {decision.reason}"
    return Outcome(refused=(line, *differences[:20])) if differences else Outcome(notes=(line,))


def proved(
    lake: Lake, repo: FeatureRepo, service: str, table: str, day: date, sample: int, personal: frozenset[str]
) -> tuple[Decision, list[str]]:
    """The verdict on a slice, to be recorded by the caller, and every difference in a sentence."""
    request = repo.request(service)
    views = repo.views_of(service, lake)
    slice_ = lake.read_slices(table, [day])
    found = _pit_sample.sampled(slice_, views, list(request.join_keys), sample)
    if not found:
        raise MissingInput(f"{table} has no slice {day}; run the job that writes it first")
    chosen = lake.spark.createDataFrame(found, slice_.schema)
    rows = [row.asDict(recursive=True) for row in found]

    differences: list[str] = []
    compared = 0
    for view in views:
        stored = {view.prefix + name: name for alias, name in request.asked if view.prefix == f"{alias}__"}
        sources = _source_rows(view, chosen)
        for row in rows:
            compared += len(stored)
            differences += _differences(view, row, sources, stored, personal)

    verdict = "fail" if differences else "pass"
    reason = f"{len(differences)} of {compared:,} values of {len(rows)} sampled rows differ from brute force"
    return Decision("pit", table, day, "differences", float(len(differences)), 0.0, verdict, reason), differences


def _source_rows(view: View, sampled: DataFrame) -> Mapping[Entity, list[dict[str, Any]]]:
    """Rows of the sampled entities, and every other version of these, by entity; bounded by the sample.

    A version may have moved its row to another entity: it is listed under each entity that the row ever had.
    """
    from pyspark.sql import functions as F

    source, entity_columns = view.rows, tuple(view.join_keys.values())
    if view.join_keys:
        pairs = [F.col(quoted(ours)).alias(theirs) for ours, theirs in view.join_keys.items()]
        own = source.join(sampled.select(*pairs).distinct(), on=list(view.join_keys.values()), how="left_semi")
    else:
        own = source
    known = [row.asDict(recursive=True) for row in own.collect()]
    if view.row_keys and view.join_keys:  # without keys, every row is known already
        without_identity = [row for row in known if None in _values(row, view.row_keys)]  # a null meets nothing
        identities = {_values(row, view.row_keys): [row[name] for name in view.row_keys] for row in known}
        schema = source.select(*map(quoted, view.row_keys)).schema
        wanted = source.sparkSession.createDataFrame(list(identities.values()), schema)
        moved = source.join(wanted, on=list(view.row_keys), how="left_semi")
        known = [*without_identity, *(row.asDict(recursive=True) for row in moved.collect())]
    versions: dict[Entity, list[dict[str, Any]]] = defaultdict(list)
    for row in known:
        versions[_values(row, view.row_keys)].append(row)
    by_entity: dict[Entity, list[dict[str, Any]]] = defaultdict(list)
    for identity, of_row in versions.items():
        if not identity or None in identity:  # each row is its own
            for row in of_row:
                by_entity[_values(row, entity_columns)].append(row)
            continue
        for entity in {_values(row, entity_columns) for row in of_row}:
            by_entity[entity] += of_row
    return by_entity


def _values(row: Mapping[str, Any], names: tuple[str, ...]) -> Entity:
    """The values as something that may be looked up: keys may be arrays or structs."""
    return tuple(_hashable(row[name]) for name in names)


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _hashable(each)) for name, each in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _differences(
    view: View,
    row: Mapping[str, Any],
    sources: Mapping[Entity, list[dict[str, Any]]],
    stored: Mapping[str, str],
    personal: frozenset[str],
) -> Iterator[str]:
    """One message a value that brute force answers differently, with the clocks of the rows that decide.

    Values of personal columns are not shown, nor are those of their entities.
    """
    entity = _values(row, tuple(view.join_keys))
    answers = oracle.answers(Rules.of(view), row, sources.get(entity, ()))
    clocks = [name for name in (view.event_time, view.available_at) if name is not None]
    is_personal = not personal.isdisjoint(view.columns())
    for name, column in stored.items():
        answer = answers[name]
        if not answer.agrees(row[column]):
            decided_by = [tuple(str(found[name]) for name in clocks) for found in answer.rows][:5]
            shown = "values not shown" if is_personal else f"stored {row[column]!r}, brute force {answer.value!r}"
            whose = "a row" if is_personal else str(entity)
            yield f"{view.name}.{column} of {whose} at {row['event_timestamp']}: {shown}, rows of {decided_by}"


if __name__ == "__main__":
    cli.main(run, description=__doc__)
