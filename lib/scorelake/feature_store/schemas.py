"""Schemas of feature views as `feast apply` would infer them, from contracts instead of a registry or Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from scorelake.errors import Finding

if TYPE_CHECKING:
    from feast.repo_contents import RepoContents

    from scorelake.feature_store.places import Places


def infer(contents: RepoContents, places: Places, conf_dir: Path) -> Iterator[Finding]:
    """Fill in schemas as Feast's `apply` would, from contracts instead of a registry; findings where that fails.

    Views over other sources than the lake keep what they declare: inferring more would need Spark.
    """
    from feast.inference import update_feature_views_with_inferred_features_and_entities
    from feast.infra.passthrough_provider import PassthroughProvider
    from feast.repo_config import RepoConfig

    from scorelake.feature_store.source import LakeSource

    offline = {"type": "scorelake.feature_store.offline_store.LakeOfflineStore", "conf_dir": str(conf_dir)}
    config = RepoConfig(project="check", provider="local", registry="unused", offline_store=offline, online_store=None)
    provider = PassthroughProvider(config)
    sound = []
    for view in contents.feature_views:
        if isinstance(view.batch_source, LakeSource) and any(view.batch_source.problems(conf_dir)):
            continue  # reported as the source's own
        try:
            if isinstance(view.batch_source, LakeSource) or view.features:
                update_feature_views_with_inferred_features_and_entities(provider, [view], contents.entities, config)
            sound.append(view)
        except Exception as error:
            yield places.finding(type(view).__name__, view.name, f"feature view {view.name}: {error}")
    yield from _resolve_services(contents, sound, places)


def _resolve_services(contents: RepoContents, views: Iterable[Any], places: Places) -> Iterator[Finding]:
    by_name = {view.name: view for view in (*views, *contents.stream_feature_views, *contents.on_demand_feature_views)}
    for on_demand in contents.on_demand_feature_views:
        for projection in on_demand.source_feature_view_projections.values():
            missing = _select(projection, by_name)
            if missing:
                message = f"on-demand view {on_demand.name}: {projection.name} has no feature {', '.join(missing)}"
                yield places.finding("on_demand_feature_view", on_demand.name, message)
    broken = {view.name for view in contents.feature_views} - set(by_name)
    for service in contents.feature_services:
        if broken & {projection.name for projection in service.feature_view_projections}:
            continue  # the view is what must be mended
        try:
            # References to one version of a view need a registry: they have no place in a repo that is read alone.
            service.resolve_pending_refs("", cast(Any, None), by_name)
            service.infer_features(by_name)
        except Exception as error:
            unknown = f"{type(error).__name__}: {error}"
            yield places.finding("FeatureService", service.name, f"feature service {service.name}: {unknown}")


def _select(projection: Any, views: dict[str, Any]) -> list[str]:
    """Fill in what `view[["feature"]]` selects of an inferred view, which Feast leaves out of on-demand sources.

    Returns the selected features that the view does not have.
    """
    view = views.get(projection.name)
    if view is None or not projection.desired_features:
        return []
    known = {feature.name: feature for feature in view.features}
    projection.features = [known[name] for name in projection.desired_features if name in known]
    return [name for name in projection.desired_features if name not in known]
