"""Which columns of its inputs each column of a table comes from, derived from the definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scorelake import sql
from scorelake.sql.columns import Origins, columns_read

if TYPE_CHECKING:
    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.nightly.graph import Node


def columns_of(node: Node, definitions: Definitions, repo: FeatureRepo) -> Mapping[str, Origins]:
    """By column of the node's table; a column of which nothing can be told (Python, on-demand code) has no entry."""
    if node.table in definitions.sql:
        return _of_sql(node.table, definitions)
    if node.step == "build_features":
        return _of_features(node.subject, repo)
    if node.step == "score_batch":
        model = definitions.models[node.subject]
        features = [feature for _, feature in repo.request(model.feature_service).asked]
        return {"score": frozenset((node.same_date[0], name) for name in model.features.choose(features))}
    return {}


def _of_sql(table: str, definitions: Definitions) -> Mapping[str, Origins]:
    known = {name: sql.sql_columns(contract) for name, contract in definitions.tables.items()}
    label = definitions.labels[table].label if table in definitions.labels else None
    within = {sql.POPULATION: definitions.populations[label.population]} if label is not None else {}
    return columns_read(definitions.sql[table], definitions.tables[table].column_names, known, within=within)


def _of_features(service: str, repo: FeatureRepo) -> Mapping[str, Origins]:
    """A stored feature comes from one column; an on-demand one from every feature that its code is given."""
    from scorelake.feature_store.selection import sources_of

    request = repo.request(service)
    stored = {
        (selection.alias, feature): frozenset((table, column) for table, column in sources)
        for selection in request.selections
        for feature, sources in sources_of(selection).items()
    }
    for wanted in request.on_demand:
        origins = frozenset(origin for name in wanted.inputs() for origin in stored.get(name, ()))
        stored |= {(wanted.alias, feature): origins for feature in wanted.features}
    return {feature: stored[alias, feature] for alias, feature in request.asked if (alias, feature) in stored}
