"""What a request means, as plain data: equal meanings give equal hashes, whatever their text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorelake.digests import definition_hash
from scorelake.feature_store import aggregations
from scorelake.feature_store.code import function_meaning
from scorelake.feature_store.contracts import repeats_snapshots, types_of

if TYPE_CHECKING:
    from scorelake.feature_store.on_demand import OnDemand
    from scorelake.feature_store.retrieve import Request
    from scorelake.feature_store.selection import Selection


def hash_of(request: Request, *, repo: Path, conf_dir: str | None = None) -> str:
    """Over the features that are asked for and everything that decides their values; `repo` is the feature repo.

    Descriptions, tags, owners, layout and the order of features leave no trace.
    """
    return definition_hash(meaning_of(request, repo=repo, conf_dir=conf_dir))


def meaning_of(request: Request, *, repo: Path, conf_dir: str | None = None) -> dict[str, Any]:
    """What the hash of a request is made over."""
    return {
        "asked": sorted(f"{alias}:{name}" for alias, name in request.asked),
        "views": {selection.alias: _selection(selection, conf_dir) for selection in request.selections},
        "on_demand": {wanted.alias: _on_demand(wanted, repo) for wanted in request.on_demand},
    }


def _selection(selection: Selection, conf_dir: str | None) -> dict[str, Any]:
    ttl = selection.view.ttl
    return {
        "join_keys": selection.join_keys,
        "ttl_seconds": ttl.total_seconds() if ttl else None,
        "source": source_meaning(selection, conf_dir),
    }


def source_meaning(selection: Selection, conf_dir: str | None) -> dict[str, Any]:
    """What decides the values of a selection, its ttl and join keys apart."""
    from scorelake.feature_store.source import LakeSource

    source = selection.view.batch_source
    if not isinstance(source, LakeSource):
        proto = source.to_proto() if source is not None else None
        return {"feast": repr(proto and proto.spark_options), "features": sorted(selection.features)}
    contract = source.contract(conf_dir)
    windows = {aggregations.name_of(a): aggregations.to_json(a) for a in source.aggregations}
    columns = {new: old for old, new in source.field_mapping.items()}
    used = {windows[name]["column"] if name in windows else columns.get(name, name) for name in selection.features}
    order = _deciding(contract.total_order, used)
    types = types_of(contract)
    join_keys = [columns.get(key, key) for key in selection.join_keys.values()]
    return {
        "table": source.table,
        "event_time": source.timestamp_field_in(contract),
        "second_clock": source.available_at,
        "keys": sorted(contract.keys),
        "order": order,
        "deletes": getattr(contract, "delete_when", None) is not None,
        **({"snapshots": "each row until the next"} if repeats_snapshots(contract, conf_dir) else {}),
        "types": {name: types[name] for name in sorted({*order, *contract.keys, *join_keys})},
        "features": {name: windows.get(name, columns.get(name, name)) for name in sorted(selection.features)},
    }


def _deciding(order: Sequence[str], used: set[str]) -> list[str]:
    """The part of the total order that can decide a value: rows equal up to the last used column are interchangeable.

    So a column added at the end of a contract changes no hash.
    """
    last = max((position for position, column in enumerate(order) if column in used), default=-1)
    return list(order[: last + 1])


def _on_demand(wanted: OnDemand, repo: Path) -> dict[str, Any]:
    view = wanted.view
    types = {feature.name: str(feature.dtype) for feature in view.features}
    return {
        "mode": str(view.mode),
        "code": function_meaning(getattr(view.feature_transformation, "udf", None), repo),
        "inputs": sorted(f"{alias}:{name}" for alias, name in wanted.inputs()),
        "request": {name: str(kind) for name, kind in sorted(view.get_request_data_schema().items())},
        "outputs": {name: types[name] for name in sorted(wanted.features)},
    }
