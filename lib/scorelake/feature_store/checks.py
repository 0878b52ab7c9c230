"""What is wrong in a feature repo, found without reading data: against contracts, against itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorelake.errors import Finding
from scorelake.feature_store import histories
from scorelake.feature_store.code import reads
from scorelake.feature_store.contracts import repeats_snapshots

if TYPE_CHECKING:
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView
    from feast.repo_contents import RepoContents

    from scorelake.feature_store.places import Places
    from scorelake.feature_store.source import LakeSource

RESERVED = ("event_timestamp", "run_date", "run_id", "ingested_at")
"""Columns of every features table; a feature cannot be called so."""


def findings(contents: RepoContents, places: Places, conf_dir: Path) -> Iterator[Finding]:
    """Every finding about sources, views, services and names; schemas must have been inferred."""
    from scorelake.feature_store.source import LakeSource

    for source in contents.data_sources:
        if isinstance(source, LakeSource):
            for problem in source.problems(conf_dir):
                yield places.finding("LakeSource", source.name, f"source {source.name}: {problem}")
    entities = {entity.name: entity for entity in contents.entities}
    for view in contents.feature_views:
        for problem in _view_problems(view, entities, conf_dir):
            yield places.finding(type(view).__name__, view.name, f"feature view {view.name}: {problem}")
    for on_demand in contents.on_demand_feature_views:
        for problem in _on_demand_problems(on_demand):
            yield places.finding(
                "on_demand_feature_view", on_demand.name, f"on-demand view {on_demand.name}: {problem}"
            )
    for service in contents.feature_services:
        for problem in _service_problems(service):
            yield places.finding("FeatureService", service.name, f"feature service {service.name}: {problem}")
    yield from _duplicates(contents, places)


def warnings(contents: RepoContents, places: Places, conf_dir: Path) -> Iterator[Finding]:
    """What is allowed but may surprise. Sources must be free of findings."""
    from scorelake.feature_store.source import LakeSource

    for source in contents.data_sources:
        if not isinstance(source, LakeSource):
            continue
        if not source.available_at:
            message = f"the second clock is off: corrections of {source.table} leak into the past"
            yield places.finding("LakeSource", source.name, f"source {source.name}: {message}")
        contract = source.contract(conf_dir)
        if not contract.keys and not repeats_snapshots(contract, conf_dir):
            message = f"{source.table} has no keys: a row that is delivered again counts twice"
            yield places.finding("LakeSource", source.name, f"source {source.name}: {message}")
    for view in contents.feature_views:
        instants = [feature.name for feature in view.features if str(feature.dtype) == "UnixTimestamp"]
        if view.online and instants:
            message = f"online stores hold {', '.join(instants)} as an instant in whole seconds"
            yield places.finding(type(view).__name__, view.name, f"feature view {view.name}: {message}")
    for on_demand in contents.on_demand_feature_views:
        for projection in on_demand.source_feature_view_projections.values():
            if projection.desired_features:
                message = f"a plain `feast apply` loses which features of {projection.name} it reads; ours does not"
                message = f"on-demand view {on_demand.name}: {message}"
                yield places.finding("on_demand_feature_view", on_demand.name, message)


def _view_problems(view: FeatureView, entities: dict[str, Entity], conf_dir: Path) -> Iterator[str]:
    from feast.feature_view import DUMMY_ENTITY_NAME

    from scorelake.feature_store.source import LakeSource

    if view.ttl is not None and view.ttl < timedelta(0):
        yield f"ttl is {view.ttl}; expected zero (no limit) or more"
    keys = [entities[name] for name in view.entities if name != DUMMY_ENTITY_NAME and name in entities]
    for name in view.entities:
        if name not in entities:
            yield f"entity {name} is not in the feature repo"
    yield from histories.problems(view)
    source = view.batch_source
    if isinstance(source, LakeSource) and not any(source.problems(conf_dir)):
        yield from _lake_view_problems(view, source, keys, conf_dir)


def _lake_view_problems(view: FeatureView, source: LakeSource, keys: list[Entity], conf_dir: Path) -> Iterator[str]:
    from scorelake.feature_store.contracts import types_of

    if view.ttl and source.aggregations:
        yield f"ttl {view.ttl} on a view of windows; a window has its time_window, leave the ttl out"
    types = types_of(source.contract(conf_dir))
    renamed = {source.field_mapping.get(name, name): kind for name, kind in types.items()}
    for entity in keys:
        yield from _key_problems(entity, source, renamed)
    outputs = source.outputs(conf_dir)
    for feature in view.features:
        if feature.name not in outputs:
            kind = "aggregation" if source.aggregations else "column"
            yield f"feature {feature.name}: {source.table} has no such {kind}; there are {', '.join(outputs)}"
        elif not _same_type(feature.dtype.to_value_type(), outputs[feature.name]):
            yield f"feature {feature.name} is declared {feature.dtype}, but is {outputs[feature.name]}"
        if feature.name.lower() in RESERVED:
            yield f"feature {feature.name}: the name is taken by a column of every features table"


def _key_problems(entity: Entity, source: LakeSource, types: dict[str, str]) -> Iterator[str]:
    from feast.value_type import ValueType

    key = entity.join_key
    if key not in types:
        yield f"join key {key} of entity {entity.name} is no column of {source.table}"
    elif types[key] in ("float", "double"):
        yield f"join key {key} of {source.table} is {types[key]}; floating point is no key"
    elif entity.value_type == ValueType.UNKNOWN and source.aggregations:
        yield f"entity {entity.name} has no value_type, which a view of windows cannot infer; declare it"
    elif entity.value_type != ValueType.UNKNOWN and not _same_type(entity.value_type, types[key]):
        yield f"entity {entity.name} is {entity.value_type.name}, but {source.table}.{key} is {types[key]}"


def _same_type(declared: Any, spark_type: str) -> bool:
    """Whether a declared Feast type fits a column: widths of integers may differ, nothing else."""
    from feast.value_type import ValueType

    from scorelake.feature_store.source import feast_type

    integers = {ValueType.INT32, ValueType.INT64}
    found = feast_type(spark_type)
    return declared == found or (declared in integers and found in integers)


def _on_demand_problems(view: OnDemandFeatureView) -> Iterator[str]:
    """Feast restores a function from its own text where that is possible, and then without its module's globals."""
    from feast.transformation.udf_rehydrate import rehydrate_udf_from_source

    transformation: Any = view.feature_transformation
    restored = rehydrate_udf_from_source(transformation.udf_string, preferred_name=transformation.udf.__name__)
    if restored is not None:
        lost = sorted({name for name, _ in reads(transformation.udf)} - set(getattr(restored, "__globals__", {})))
        if lost:
            yield f"uses {', '.join(lost)} of its module, which Feast's registry loses; define them in the function"
    if view.write_to_online_store:
        yield (
            "write_to_online_store: nothing is stored of an on-demand view, Feast computes it from its stored inputs "
            "when it is asked; leave it out"
        )
    sources = view.source_feature_view_projections.values()
    decimals = [f.name for source in sources for f in source.features if str(f.dtype) == "Decimal"]
    if decimals and view.mode == "python":
        yield (
            f"Feast has no sample of {', '.join(decimals)}, decimals, to try a function of mode python on; "
            'select other features (view[["..."]]) or use mode pandas'
        )


def _service_problems(service: FeatureService) -> Iterator[str]:
    names = [feature.name for projection in service.feature_view_projections for feature in projection.features]
    lower = [name.lower() for name in names]  # no table holds names that differ in case alone
    for name in sorted({name for name in names if lower.count(name.lower()) > 1}):
        yield f"two features are called {name}; rename one (field_mapping, or the aggregation's name)"


def _duplicates(contents: RepoContents, places: Places) -> Iterator[Finding]:
    """Feast compares names of one kind without case, and keeps whichever came last."""
    views = [*contents.feature_views, *contents.stream_feature_views, *contents.on_demand_feature_views]
    kinds: dict[str, list[Any]] = {
        "feature view": views,
        "entity": contents.entities,
        "feature service": contents.feature_services,
        "source": contents.data_sources,
    }
    for kind, objects in kinds.items():
        names = [item.name.lower() for item in objects]
        for item in objects:
            if names.count(item.name.lower()) > 1:
                yield places.finding(type(item).__name__, item.name, f"two objects are called {kind} {item.name}")
