"""Everything that can be wrong with definitions and can be found without reading data or starting Spark."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake import sql
from scorelake.definitions import Definitions, read_definitions
from scorelake.errors import ConfigError, Finding
from scorelake.nightly import graph
from scorelake.tables import Gold, Silver, Versioned

if TYPE_CHECKING:
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.settings import Settings


def quick(conf_dir: Path) -> tuple[Definitions, list[Finding]]:
    """The definitions as far as they can be read, and every finding in YAML and SQL alone."""
    definitions, findings = read_definitions(conf_dir)
    findings += [*_sql(definitions), *_populations(definitions), *_figures(definitions)]
    if not findings:
        findings += _graph(definitions)
    return definitions, findings


def thorough(settings: Settings) -> tuple[list[Finding], list[Finding]]:
    """Mistakes as `quick` finds them and those that need Great Expectations and Feast; and what is allowed but may
    surprise.
    """
    definitions, findings = quick(settings.conf_dir)
    findings += _expectations(definitions)
    findings += _transforms(definitions)
    repo = _feature_repo(settings, findings)
    if repo is None:
        return sorted(set(findings)), []
    findings += _models(definitions, repo)
    return sorted(set(findings)), sorted(repo.warnings())


# ------------------------------------------------------------------ SQL


def _sql(definitions: Definitions) -> Iterator[Finding]:
    known, as_of = _known(definitions)
    keys: dict[str, Collection[str] | None] = dict.fromkeys(definitions.unreadable)
    keys |= {table: list(c.keys) for table, c in definitions.tables.items() if isinstance(c, Versioned)}
    for name, query in definitions.sql.items():
        contract, file = definitions.tables[name], str(definitions.sql_path(name))
        if isinstance(contract, Silver):
            yield from sql.check_silver(query, known, keys=keys, file=file)
        elif isinstance(contract, Gold) and contract.label is not None:
            tables = {**as_of, sql.POPULATION: _population_columns(definitions, contract.label.population)}
            yield from sql.check(query, tables, file=file, parameters=sql.LABEL_PARAMETERS)
        else:
            yield from sql.check(query, as_of, file=file)


def _known(definitions: Definitions) -> tuple[sql.Tables, sql.Tables]:
    """Columns that SQL may name of every table, and of those that it sees as of an instant: all but bronze."""
    known: dict[str, Collection[str] | None] = dict.fromkeys(definitions.unreadable)
    known |= {name: sql.sql_columns(table) for name, table in definitions.tables.items()}
    return known, {name: columns for name, columns in known.items() if not name.startswith("bronze.")}


def _populations(definitions: Definitions) -> Iterator[Finding]:
    _, as_of = _known(definitions)
    for name, query in definitions.populations.items():
        yield from sql.check(query, as_of, file=str(definitions.conf_dir / "populations" / f"{name}.sql"))


def _population_columns(definitions: Definitions, name: str) -> list[str]:
    """Names that a population returns; empty when it is missing or cannot be read, which is a finding of its own."""
    try:
        return [projection.alias_or_name for projection in sql.parse(definitions.populations.get(name, "")).selects]
    except ConfigError:
        return []


def _figures(definitions: Definitions) -> Iterator[Finding]:
    """Files of figures that contracts name: there, with the digest named, and holding what is needed."""
    from scorelake.transform import figures

    for contract in definitions.silver.values():
        try:
            figures.load(definitions.conf_dir, contract)
        except ConfigError as error:
            yield from error.findings


def _graph(definitions: Definitions) -> list[Finding]:
    try:
        graph.table_nodes(definitions)
        graph.populations_of_services(definitions)
    except ConfigError as error:
        return error.findings
    return []


# ------------------------------------------------------------------ with libraries


def _expectations(definitions: Definitions) -> Iterator[Finding]:
    from scorelake.quality.catalogue import refusals
    from scorelake.transform import python

    try:
        python.import_all(definitions.conf_dir)
    except Exception as error:
        yield Finding(str(definitions.conf_dir / "python"), 0, f"{type(error).__name__}: {error}")
    for name, contract in definitions.tables.items():
        if isinstance(contract, Versioned):
            for position, reason in refusals(contract.expectations, contract.column_names):
                yield definitions.documents[name].finding(("expectations", position), reason)


def _transforms(definitions: Definitions) -> Iterator[Finding]:
    from scorelake.transform import python

    for name, contract in definitions.tables.items():
        transform = getattr(contract, "transform", None)
        if transform is not None:
            try:
                python.load(definitions.conf_dir, transform)
            except ConfigError as error:
                message = str(error).rpartition(": ")[2] if error.findings else str(error)
                yield definitions.documents[name].finding(("transform",), message)
            except Exception as error:
                yield definitions.documents[name].finding(("transform",), f"{type(error).__name__}: {error}")


def _feature_repo(settings: Settings, findings: list[Finding]) -> FeatureRepo | None:
    from scorelake.feature_store import definitions as feature_definitions

    try:
        return feature_definitions.load(settings.feature_repo, settings.conf_dir)
    except ConfigError as error:
        findings += error.findings
        return None


def _subgroups(definitions: Definitions, repo: FeatureRepo, name: str) -> Iterator[Finding]:
    """Columns that no feature of the service has, or whose values may not be shown in a card."""
    model, document = definitions.models[name], definitions.documents[f"model {name}"]
    if model.subgroups is None:
        return
    available = [feature for _, feature in repo.request(model.feature_service).asked]
    personal = personal_inputs(definitions, repo, model.feature_service)
    for column in model.subgroups.by:
        if column not in available:
            message = f"no feature {column}; there are: {', '.join(available)}"
            yield document.finding(("subgroups", "by"), message)
        elif column in personal:
            message = f"{column} is personal, and the card shows the values of subgroups: derive a coarser feature"
            yield document.finding(("subgroups", "by"), message)


def personal_inputs(definitions: Definitions, repo: FeatureRepo, service: str) -> set[str]:
    """Names of columns that a table which the service reads marks as personal."""
    inputs = [definitions.tables[table] for table in repo.inputs(service) if table in definitions.tables]
    return {column for table in inputs for column in getattr(table, "personal", ())}


def _models(definitions: Definitions, repo: FeatureRepo) -> Iterable[Finding]:
    """Feature services and features that a model names but nobody defines; entities that its population lacks."""
    for name, model in definitions.models.items():
        document = definitions.documents[f"model {name}"]
        if model.feature_service not in repo.services:
            known = ", ".join(sorted(repo.services)) or "none"
            yield document.finding(
                ("feature_service",), f"no feature service {model.feature_service}; there are: {known}"
            )
            continue
        request = repo.request(model.feature_service)
        try:
            model.features.choose([feature for _, feature in request.asked])
        except ValueError as error:
            yield document.finding(("features",), str(error))
        yield from _subgroups(definitions, repo, name)
        label = definitions.labels[model.label].label if model.label in definitions.labels else None
        if label is not None and label.population in definitions.populations:
            lacking = sorted(set(request.join_keys) - set(_population_columns(definitions, label.population)))
            if lacking:
                message = f"population {label.population} lacks {', '.join(lacking)}, by which the service joins"
                yield document.finding(("feature_service",), message)
