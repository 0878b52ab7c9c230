"""All definitions of a team, loaded and checked against each other: tables, populations, models.

Feast's objects live in the feature repo and are read by `feature_store`, since that costs an import of Feast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from scorelake.dates import render_duration
from scorelake.errors import ConfigError, Finding
from scorelake.models import Model
from scorelake.strict_yaml import Document, load, parse
from scorelake.tables import CONTRACTS, LAYERS, AnyContract, Bronze, Gold, Silver, check_name

T = TypeVar("T")


@dataclass(frozen=True)
class Definitions:
    """`tables` by '<layer>.<table>', `sql` by table, `populations` (SQL) and `models` by name.

    `unreadable` are tables whose contract has mistakes; none in definitions that jobs run on.
    """

    conf_dir: Path
    tables: dict[str, AnyContract]
    sql: dict[str, str]
    populations: dict[str, str]
    models: dict[str, Model]
    documents: dict[str, Document]
    unreadable: frozenset[str] = frozenset()

    @cached_property
    def bronze(self) -> dict[str, Bronze]:
        return {name: table for name, table in self.tables.items() if isinstance(table, Bronze)}

    @cached_property
    def silver(self) -> dict[str, Silver]:
        return {name: table for name, table in self.tables.items() if isinstance(table, Silver)}

    @cached_property
    def gold(self) -> dict[str, Gold]:
        return {name: table for name, table in self.tables.items() if isinstance(table, Gold)}

    @cached_property
    def labels(self) -> dict[str, Gold]:
        return {name: table for name, table in self.gold.items() if table.label is not None}

    def sql_path(self, table: str) -> Path:
        layer, name = table.split(".")
        return self.conf_dir / "tables" / layer / f"{name}.sql"


def load_definitions(conf_dir: Path) -> Definitions:
    """Everything below `conf_dir`; raises one ConfigError with every finding of every file."""
    definitions, findings = read_definitions(conf_dir)
    if findings:
        raise ConfigError(findings)
    return definitions


def read_definitions(conf_dir: Path) -> tuple[Definitions, list[Finding]]:
    """What can be read below `conf_dir`, and what is wrong with the rest."""
    findings: list[Finding] = []
    tables: dict[str, AnyContract] = {}
    sql: dict[str, str] = {}
    documents: dict[str, Document] = {}
    unreadable: set[str] = set()
    for layer in LAYERS:
        for path in _yaml_files(conf_dir / "tables" / layer, findings):
            name = f"{layer}.{path.stem}"
            with_document = _collect(findings, partial(_contract, path, name, layer))
            if with_document is None:
                unreadable.add(name)
                continue
            documents[name], tables[name] = with_document
            sql_path = path.with_suffix(".sql")
            if sql_path.exists():
                sql[name] = sql_path.read_text(encoding="utf-8")
            elif (calendar := getattr(tables[name], "calendar", None)) is not None:
                sql[name] = calendar.query(tuple(tables[name].column_names))
            findings.extend(_sql_or_transform(tables[name], sql_path, documents[name]))
        findings.extend(_orphans(conf_dir / "tables" / layer))
    findings.extend(_unknown_layers(conf_dir / "tables"))
    populations = {p.stem: p.read_text(encoding="utf-8") for p in sorted((conf_dir / "populations").glob("*.sql"))}
    models: dict[str, Model] = {}
    for path in _yaml_files(conf_dir / "models", findings):
        with_model = _collect(findings, partial(_model, path))
        if with_model is not None:
            documents[f"model {path.stem}"], models[path.stem] = with_model
    found = Definitions(conf_dir, tables, sql, populations, models, documents, frozenset(unreadable))
    findings.extend(_dangling(found))
    findings.extend(_short_gaps(found))
    return found, findings


def _contract(path: Path, name: str, layer: str) -> tuple[Document, AnyContract]:
    document = load(path)
    return document, parse(CONTRACTS[layer], document, name=name)


def _model(path: Path) -> tuple[Document, Model]:
    document = load(path)
    return document, parse(Model, document, name=path.stem)


def _collect(findings: list[Finding], action: Callable[[], T]) -> T | None:
    """The result of `action`, or None after adding what was wrong to `findings`."""
    try:
        return action()
    except ConfigError as error:
        findings.extend(error.findings)
        return None


def _yaml_files(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    for path in sorted(folder.glob("*.y*ml")):
        if path.name.endswith(".tests.yaml"):  # a team's tests of its own SQL, read by test_definitions
            continue
        try:
            check_name(path.stem)
        except ValueError as error:
            findings.append(Finding(str(path), 0, str(error)))
            continue
        if path.suffix == ".yaml":
            yield path
        else:
            findings.append(Finding(str(path), 0, "rename it to .yaml"))


def _sql_or_transform(table: AnyContract, sql_path: Path, document: Document) -> Iterable[Finding]:
    has_sql = sql_path.exists()
    is_calendar = isinstance(table, Gold) and table.calendar is not None
    if isinstance(table, Bronze):
        if has_sql:
            yield Finding(str(sql_path), 0, "a bronze table has a source instead of SQL")
    elif has_sql and is_calendar:
        yield Finding(str(sql_path), 0, f"{table.name} is a calendar, which has no SQL of its own")
    elif not is_calendar and has_sql == (table.transform is not None):
        problem = "both SQL and transform" if has_sql else f"neither {sql_path.name} beside it nor transform"
        yield Finding(str(document.path), 0, f"{table.name} has {problem}")


def _orphans(folder: Path) -> Iterable[Finding]:
    for path in sorted(folder.glob("*.sql")):
        if not path.with_suffix(".yaml").exists():
            yield Finding(str(path), 0, f"no contract: {path.with_suffix('.yaml').name} is missing beside it")


def _unknown_layers(folder: Path) -> Iterable[Finding]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and path.name not in LAYERS:
            yield Finding(str(path), 0, f"unknown layer; expected one of {', '.join(LAYERS)}")


def _dangling(found: Definitions) -> Iterable[Finding]:
    """Names that refer to nothing: a table that a transform reads, a label's population, a model's label."""
    for name, contract in found.tables.items():
        for position, read in enumerate(getattr(contract, "reads", ())):
            if read not in found.tables and read not in found.unreadable:
                yield found.documents[name].finding(("reads", position), f"unknown table {read}")
    for name, table in found.labels.items():
        if table.label is not None and table.label.population not in found.populations:
            yield found.documents[name].finding(
                ("label", "population"), f"no population conf/populations/{table.label.population}.sql"
            )
    for name, model in found.models.items():
        if model.label not in found.labels and model.label not in found.unreadable:
            known = ", ".join(sorted(found.labels)) or "none"
            yield found.documents[f"model {name}"].finding(
                ("label",), f"{model.label} is no label table; label tables here: {known}"
            )


def _short_gaps(found: Definitions) -> Iterable[Finding]:
    """Gaps between rows that teach and rows that judge which a label's window reaches across."""
    for name, model in found.models.items():
        label = found.labels[model.label].label if model.label in found.labels else None
        gaps = {"split": getattr(model.split, "gap", None), "folds": model.folds.gap if model.folds else None}
        for part, gap in gaps.items():
            if label is not None and gap is not None and gap < label.horizon:
                horizon = f"the horizon of {model.label}, {render_duration(label.horizon)}"
                message = f"{part}.gap: {render_duration(gap)} is shorter than {horizon}: labels would reach across it"
                yield found.documents[f"model {name}"].finding((part, "gap"), message)
