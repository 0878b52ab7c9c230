"""Which step makes which table out of which others, derived from the definitions, never written twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from scorelake import sql
from scorelake.errors import ConfigError, Finding
from scorelake.nightly import hashes

if TYPE_CHECKING:
    from scorelake.definitions import Definitions


@dataclass(frozen=True)
class Node:
    """One table and the step that writes it. `subject` is what `--only` takes.

    Slice D is made from slice D of `same_date`, and from the slices up to D of `history`.
    """

    step: str
    subject: str
    table: str
    same_date: tuple[str, ...]
    history: tuple[str, ...]
    definition_hash: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.same_date, *self.history)


@dataclass(frozen=True)
class ServiceInputs:
    """What a feature service says of itself: the tables its views read, and its definition hash."""

    tables: tuple[str, ...]
    definition_hash: str


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
        digest = hashes.table(definitions, name)
        reads = sorted(reads_of(definitions, name) - {name})
        if name in definitions.bronze:
            yield Node("ingest_bronze", name, name, (), (), digest)
        elif name in definitions.silver:
            bronze = tuple(table for table in reads if table in definitions.bronze)
            others = tuple(table for table in reads if table not in definitions.bronze)
            yield Node("build_silver", name, name, bronze, others, digest)
        else:
            yield Node("build_gold", name, name, (), tuple(reads), digest)


def reads_of(definitions: Definitions, table: str) -> set[str]:
    """Tables that a table's SQL reads; for a label those of its population too."""
    found = sql.tables_read(definitions.sql[table]) if table in definitions.sql else set()
    contract = definitions.tables[table]
    declared = getattr(contract, "reads", ())
    label = definitions.labels[table].label if table in definitions.labels else None
    population = sql.tables_read(definitions.populations[label.population]) if label is not None else set()
    return {*found, *declared, *population} - {sql.POPULATION}


def feature_nodes(definitions: Definitions, services: Mapping[str, ServiceInputs]) -> list[Node]:
    """One node a feature service in use: its population's features, slice by slice."""
    nodes = []
    for service, population in sorted(populations_of_services(definitions).items()):
        reads = {*services[service].tables, *sql.tables_read(definitions.populations[population])}
        digest = hashes.combined(services[service].definition_hash, hashes.population(definitions, population))
        nodes.append(Node("build_features", service, f"features.{service}", (), tuple(sorted(reads)), digest))
    return nodes


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
