"""Which step makes which table out of which others, derived from the definitions, never written twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from scorelake import dates as calendar
from scorelake import sql
from scorelake.errors import ConfigError, Finding
from scorelake.nightly import hashes
from scorelake.tables import Bronze, Gold, Source

if TYPE_CHECKING:
    from scorelake.dates import RunDates
    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo


PERFORMANCE = "monitoring.performance"
DRIFT_METRICS = "monitoring.drift_metrics"


@dataclass(frozen=True)
class Node:
    """One table and the step that writes it. `subject` is what `--only` takes.

    Slice D is made from slice D of `same_date`, and from the slices up to D of `history`. A `shared` table holds
    slices of several subjects.
    """

    step: str
    subject: str
    table: str
    same_date: tuple[str, ...]
    history: tuple[str, ...]
    definition_hash: str
    shared: bool = False
    meaning: Mapping[str, object] = field(default_factory=dict, compare=False)
    """What the hash is made over, as far as a person can read it."""

    @property
    def mark(self) -> str:
        """The step as it stands in the marks of commits."""
        return mark_of(self.step, self.subject) if self.shared else self.step

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.same_date, *self.history)


def mark_of(step: str, subject: str) -> str:
    """What a step calls itself in the commits of a table that several subjects share."""
    return f"{step} {subject}"


def table_nodes(definitions: Definitions) -> list[Node]:
    """Bronze, silver and gold, every table after those that it reads. ConfigError names a cycle."""
    nodes = {node.table: node for node in _table_nodes(definitions)}
    order = TopologicalSorter({table: set(node.inputs) & set(nodes) for table, node in nodes.items()})
    try:
        return [nodes[table] for table in order.static_order()]
    except CycleError as error:
        raise ConfigError([Finding(str(definitions.conf_dir), 0, f"cycle: {' <- '.join(error.args[1])}")]) from None


def _table_nodes(definitions: Definitions) -> Iterable[Node]:
    for name in definitions.tables:
        meaning = hashes.table_meaning(definitions, name)
        reads = sorted(reads_of(definitions, name) - {name})
        # A bronze slice is read by the silver slice of its date alone; everything else as of t.
        bronze = tuple(table for table in reads if table in definitions.bronze)
        others = tuple(table for table in reads if table not in definitions.bronze)
        digest = hashes.table(definitions, name)
        yield Node(step_of(definitions, name), name, name, bronze, others, digest, meaning=meaning)


def reads_of(definitions: Definitions, table: str) -> set[str]:
    """Tables that a table's SQL reads; for a label those of its population too."""
    found = sql.tables_read(definitions.sql[table]) if table in definitions.sql else set()
    contract = definitions.tables[table]
    declared = getattr(contract, "reads", ())
    label = definitions.labels[table].label if table in definitions.labels else None
    population = sql.tables_read(definitions.populations[label.population]) if label is not None else set()
    return {*found, *declared, *population} - {sql.POPULATION}


def step_of(definitions: Definitions, table: str) -> str:
    """The step that writes a table of the definitions."""
    if table in definitions.bronze:
        return "ingest_bronze"
    return "build_silver" if table in definitions.silver else "build_gold"


def source_of(definitions: Definitions, silver: str) -> Source:
    """The source of the one bronze table that a silver table is made from."""
    [bronze] = [table for table in reads_of(definitions, silver) if table in definitions.bronze]
    return definitions.bronze[bronze].source


def due_dates(definitions: Definitions, table: str, dates: RunDates) -> list[date]:
    """The dates of the range for which `table` has a slice: drops of its source, cut-offs of its labels, or all."""
    contract = definitions.tables[table]
    if isinstance(contract, Gold):
        return list(dates)
    source = contract.source if isinstance(contract, Bronze) else source_of(definitions, table)
    return calendar.due_dates(dates, starts=source.starts, delivers=source.delivers)


def feature_nodes(definitions: Definitions, repo: FeatureRepo) -> list[Node]:
    """One node a feature service in use: its population's features, slice by slice."""
    nodes = []
    for service, population in sorted(populations_of_services(definitions).items()):
        reads = {*repo.inputs(service), *sql.tables_read(definitions.populations[population])}
        digest = hashes.combined(repo.definition_hash(service), hashes.population(definitions, population))
        meaning = {**repo.meaning(service), "population": sql.meaning(definitions.populations[population])}
        table = f"features.{service}"
        nodes.append(Node("build_features", service, table, (), tuple(sorted(reads)), digest, meaning=meaning))
    return nodes


def training_nodes(definitions: Definitions, repo: FeatureRepo) -> list[Node]:
    """One node a model: its labels joined to the features of its service."""
    nodes = []
    for name, model in definitions.models.items():
        reads = tuple(sorted({*repo.inputs(model.feature_service), model.label}))
        parts = (repo.definition_hash(model.feature_service), hashes.table(definitions, model.label))
        digest = hashes.combined(*parts, hashes.split(definitions, name))
        nodes.append(Node("build_training_set", name, f"training.{name}", (), reads, digest))
    return nodes


def scoring_nodes(definitions: Definitions, repo: FeatureRepo) -> list[Node]:
    """For each model its scores, their evaluation and their drift report."""
    nodes = []
    for name, model in definitions.models.items():
        service = model.feature_service
        features, scores = f"features.{service}", f"scores.{name}"
        of_features, of_drift = repo.definition_hash(service), hashes.drift(definitions, name)
        of_performance = hashes.performance(definitions, name)
        nodes += [
            Node("score_batch", name, scores, (features,), (), of_features),
            Node("evaluate_scores", name, PERFORMANCE, (model.label,), (scores,), of_performance, shared=True),
            Node("report_drift", name, DRIFT_METRICS, (features, scores, model.label), (), of_drift, shared=True),
        ]
    return nodes


def nightly_nodes(definitions: Definitions, repo: FeatureRepo) -> list[Node]:
    """Everything that a night writes, every table after those that it reads."""
    return [*table_nodes(definitions), *feature_nodes(definitions, repo), *scoring_nodes(definitions, repo)]


def populations_of_services(definitions: Definitions) -> dict[str, str]:
    """Feature service -> population: that of the labels of the models which use it. ConfigError when there are two."""
    found: dict[str, str] = {}
    for name, model in definitions.models.items():
        label = definitions.labels[model.label].label
        population = label.population if label is not None else ""
        if found.setdefault(model.feature_service, population) != population:
            document = definitions.documents[f"model {name}"]
            message = f"{model.feature_service} serves population {found[model.feature_service]}, not {population}"
            raise ConfigError([document.finding(("feature_service",), message)])
    return found


def tables_written(definitions: Definitions) -> list[str]:
    """Every table that the jobs write for these definitions, logs included."""
    tables = [node.table for node in table_nodes(definitions)]
    quarantines = [f"quarantine.{name.partition('.')[2]}" for name in definitions.silver]
    services = [f"features.{service}" for service in sorted(populations_of_services(definitions))]
    of_models = [
        f"{prefix}{name}" for name in definitions.models for prefix in ("training.", "scores.", "quarantine.scores_")
    ]
    monitoring = [
        "performance",
        "drift_reference",
        "drift_profiles",
        "drift_counts",
        "drift_metrics",
        "drift_bins",
        "drift_alerts",
    ]
    logs = ["ops.decisions", "ops.definitions", "ops.runs", "ops.score_runs"]
    return [*tables, *quarantines, *services, *of_models, *(f"monitoring.{name}" for name in monitoring), *logs]
