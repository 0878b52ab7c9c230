"""The feature repo, read without Spark and without a registry: what its services ask for and what is wrong in it."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.errors import ConfigError, Finding
from scorelake.feature_store import checks, meaning, schemas
from scorelake.feature_store.contracts import conf_dir_exported
from scorelake.feature_store.on_demand import OnDemand
from scorelake.feature_store.places import Places, import_failure, places_of
from scorelake.feature_store.retrieve import Request
from scorelake.feature_store.selection import Selection, Tables, alias_of, engine_views

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore, FeatureView, OnDemandFeatureView
    from feast.feature_view_projection import FeatureViewProjection
    from feast.repo_contents import RepoContents

    from scorelake.features.views import View
    from scorelake.settings import Settings

log = logging.getLogger(__name__)
_PROCESS = threading.Lock()
"""The environment, the modules and the working directory are the process's own; steps of a night, which are threads,
load the repo side by side."""


@dataclass(frozen=True)
class FeatureRepo:
    """Feast's objects of one folder, their schemas filled in from the contracts of their tables."""

    path: Path
    conf_dir: Path
    contents: RepoContents = field(repr=False)
    places: Places = field(repr=False)

    @cached_property
    def services(self) -> dict[str, FeatureService]:
        return {service.name: service for service in self.contents.feature_services}

    @cached_property
    def views(self) -> dict[str, FeatureView]:
        return {view.name: view for view in (*self.contents.feature_views, *self.contents.stream_feature_views)}

    @cached_property
    def on_demand_views(self) -> dict[str, OnDemandFeatureView]:
        return {view.name: view for view in self.contents.on_demand_feature_views}

    def service(self, name: str) -> FeatureService:
        """ConfigError when the repo has no such service."""
        if name not in self.services:
            known = ", ".join(sorted(self.services)) or "none"
            raise ConfigError([Finding(str(self.path), 0, f"no feature service {name}; services there: {known}")])
        return self.services[name]

    def request(self, service: str) -> Request:
        """What the service asks for, view by view, and the hidden inputs of its on-demand views."""
        projections = self.service(service).feature_view_projections
        asked = tuple((alias_of(p), feature.name) for p in projections for feature in p.features)
        stored = [p for p in projections if p.name in self.views]
        on_demand = tuple(self._on_demand(p) for p in projections if p.name in self.on_demand_views)
        hidden = [source for wanted in on_demand for source in wanted.view.source_feature_view_projections.values()]
        return Request(asked, self._selections([*stored, *hidden]), on_demand)

    def _selections(self, projections: list[FeatureViewProjection]) -> tuple[Selection, ...]:
        """One selection an alias; features that several projections ask for are fetched once."""
        merged: dict[str, Selection] = {}
        for projection in projections:
            alias = alias_of(projection)
            before = merged[alias].features if alias in merged else ()
            names = dict.fromkeys((*before, *(feature.name for feature in projection.features)))
            merged[alias] = Selection(self.views[projection.name], alias, tuple(names), dict(projection.join_key_map))
        return tuple(merged.values())

    def _on_demand(self, projection: FeatureViewProjection) -> OnDemand:
        names = tuple(feature.name for feature in projection.features)
        return OnDemand(self.on_demand_views[projection.name], alias_of(projection), names)

    def views_of(self, service: str, tables: Tables) -> list[View]:
        """The engine's views of a service over the tables of a lake."""
        return engine_views(self.request(service).selections, tables, conf_dir=str(self.conf_dir))

    def inputs(self, service: str) -> frozenset[str]:
        """Lake tables that the service reads."""
        return self.request(service).tables

    def definition_hash(self, service: str) -> str:
        """Changes with the meaning of what the service asks for, not with its descriptions, order or layout."""
        return meaning.hash_of(self.request(service), repo=self.path, conf_dir=str(self.conf_dir))

    def meaning(self, service: str) -> dict[str, object]:
        """What the hash of the service is made over."""
        return meaning.meaning_of(self.request(service), repo=self.path, conf_dir=str(self.conf_dir))

    def warnings(self) -> list[Finding]:
        """What is allowed but may surprise: a second clock that is off, a table whose rows have no identity."""
        return list(checks.warnings(self.contents, self.places, self.conf_dir))


def load(feature_repo: Path, conf_dir: Path) -> FeatureRepo:
    """The repo with every schema inferred. One ConfigError holds every finding.

    Imports the repo's modules, as `feast apply` does; importing Feast itself takes seconds.
    """
    from feast.repo_operations import get_repo_files

    feature_repo = feature_repo.resolve()
    if not (feature_repo / "feature_store.yaml").is_file():
        raise ConfigError([Finding(str(feature_repo), 0, "no feature repo: feature_store.yaml expected in it")])
    places = places_of(feature_repo, get_repo_files(feature_repo))
    with _PROCESS, conf_dir_exported(conf_dir):
        contents = _parsed(feature_repo)
        repo = FeatureRepo(feature_repo, conf_dir, contents, places)
        findings = [*schemas.infer(contents, places, conf_dir), *checks.findings(contents, places, conf_dir)]
    if findings:
        raise ConfigError(dict.fromkeys(findings))
    return repo


def _parsed(repo: Path) -> RepoContents:
    from feast.repo_operations import parse_repo

    with _own_modules(repo), contextlib.chdir(repo):
        try:
            return parse_repo(repo)
        except Exception as error:
            raise ConfigError([import_failure(repo, error)]) from error


@contextlib.contextmanager
def _own_modules(repo: Path) -> Iterator[None]:
    """The repo first on the import path, and its modules forgotten afterwards: another repo may reuse their names."""
    before, writes = dict(sys.modules), sys.dont_write_bytecode
    names = {path.relative_to(repo).parts[0].removesuffix(".py") for path in repo.rglob("*.py")}
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]
    sys.path.insert(0, str(repo))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path.remove(str(repo))
        sys.dont_write_bytecode = writes
        for name in [name for name in sys.modules if name.partition(".")[0] in names]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in names})


def open_store(settings: Settings) -> FeatureStore:
    """Feast's own store of the environment. Sets the variables that `feature_store.yaml` refers to."""
    from feast import FeatureStore

    with _PROCESS:
        os.environ.update(settings.exported())
    if "://" not in settings.feast.registry:  # Feast makes the last folder only
        Path(settings.feast.registry).parent.mkdir(parents=True, exist_ok=True)
    return FeatureStore(repo_path=str(settings.feature_repo))


def apply(settings: Settings) -> FeatureRepo:
    """The repo, checked and registered; what is no longer in it leaves the registry. Starts no Spark."""
    from feast.project import Project
    from feast.repo_operations import apply_total_with_repo_instance

    repo = load(settings.feature_repo, settings.conf_dir)
    store = open_store(settings)
    if not repo.contents.projects:
        repo.contents.projects.append(Project(name=store.project))
    with quietly():
        apply_total_with_repo_instance(store, store.project, store.registry, repo.contents, skip_source_validation=True)
    return repo


@contextlib.contextmanager
def importing_meanwhile() -> Iterator[None]:
    """Import Feast, which costs 4 s of CPU, beside the block: one that waits for something else, such as a JVM."""
    import pyspark.sql  # noqa: F401  before, so that no two threads import it at once

    thread = threading.Thread(target=importlib.import_module, args=("feast.repo_operations",), daemon=True)
    thread.start()
    yield
    thread.join()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What Feast prints inside the block goes to the log, at debug level."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        yield
    for line in filter(None, map(str.strip, output.getvalue().splitlines())):
        log.debug("feast: %s", line)
