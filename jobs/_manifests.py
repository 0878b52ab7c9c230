"""Versions of tables that the models in use were made from, which nobody may clean away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scorelake.stores.lake import Lake
    from scorelake.stores.model_registry import ModelRegistry


def named_by_live_models(lake: Lake, registry: ModelRegistry, models: Iterable[str]) -> Mapping[str, set[int]]:
    """Table -> versions that the manifest of a live model names: its training set, and what that was made from.

    Live are the versions that have an alias, and the champion that a rollback returns to.
    """
    found: dict[str, set[int]] = {}
    for model in models:
        for tags in registry.live(model).values():
            table, _, version = tags.get(_registry.TRAINING_SET, "").partition("@")
            if not version:  # registered by somebody else
                continue
            made_from = next((c.mark.inputs for c in lake.commits(table) if c.version == int(version)), {})
            for name, number in {**made_from, table: int(version)}.items():
                found.setdefault(name, set()).add(number)
    return found
