"""Interval tables of feature views, `features_history.<view>`: an as-of read of one is a join.

A view of lookups asks for one by its tag `history: keep`. It pays where many reads meet one state of the source:
training sets, notebooks, backfills. The table is derived and holds no date: it is made again as a whole when its source
or its definition has changed, and is used only while neither has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from scorelake.digests import definition_hash
from scorelake.feature_store import meaning
from scorelake.feature_store.selection import Selection, engine_view, table_of
from scorelake.stores.lake import columns_of
from scorelake.stores.marks import Mark
from scorelake.tables import check_name

if TYPE_CHECKING:
    from datetime import date

    from feast.feature_view import FeatureView
    from pyspark.sql import DataFrame

    from scorelake.stores.lake import Lake

LAYER = "features_history"
STEP = "build_history"
TAG, KEEP = "history", "keep"

Stored = Callable[[Selection], "DataFrame | None"]
"""From a selection to the interval table that answers it, its keys called as in the source; None: there is none."""


def is_kept(view: FeatureView) -> bool:
    return bool(view.tags.get(TAG) == KEEP)


def problems(view: FeatureView) -> Iterator[str]:
    """What is wrong with the tag of a view."""
    value = view.tags.get(TAG)
    if value is None:
        return
    if value != KEEP:
        yield f"tag {TAG}: {value}; the only value is {KEEP}"
    elif not _is_name(view.name):
        yield f"tag {TAG}: {KEEP} keeps the view in a table of its name, and {view.name!r} is no name of a table"
    elif getattr(view.batch_source, "aggregations", None):
        yield f"tag {TAG}: {KEEP} on a view of windows, which have no intervals; only lookups do"
    elif table_of(_whole(view)) is None:
        yield f"tag {TAG}: {KEEP} needs a LakeSource, whose versions tell when the history is stale"
    elif taken := _taken(view):
        yield f"tag {TAG}: {KEEP}: {', '.join(taken)} is a column of the interval table; rename yours by field_mapping"


def _taken(view: FeatureView) -> list[str]:
    from scorelake.features.history import OWN

    names = {field.name.lower() for field in (*view.entity_columns, *view.features)}
    return sorted(names.intersection(OWN))


def _is_name(name: str) -> bool:
    try:
        return bool(check_name(name))
    except ValueError:
        return False


def refresh(lake: Lake, view: FeatureView, *, run_id: str, conf_dir: str | None = None) -> int | None:
    """Make the interval table of `view` anew; the number of its rows, or None when it is current already."""
    from scorelake.features.history import intervals

    selection = _whole(view)
    source = str(table_of(selection))
    mark = Mark(run_id, STEP, (), _hash(selection, conf_dir), lake.versions([source]))
    if _version(lake, selection, mark) is not None:
        return None
    engine = engine_view(selection, _Pinned(lake, mark.inputs), conf_dir=conf_dir)
    rows = intervals(dataclasses.replace(engine, prefix=""))
    lake.create(table(view), columns_of(rows), partitioned_by=[], comment=f"When each row answers for {view.name}.")
    return lake.replace(rows, table(view), mark).rows


@dataclasses.dataclass(frozen=True)
class _Pinned:
    """Tables of a lake as they stood at `versions`."""

    lake: Lake
    versions: Mapping[str, int]

    def read(self, name: str) -> DataFrame:
        return self.lake.read(name, version=self.versions[name])

    def slices(self, name: str) -> Collection[date]:
        return self.lake.slices(name, version=self.versions[name])


def reader(lake: Lake, conf_dir: str | None = None) -> Stored:
    """Finds the interval tables that are current now."""

    def stored(selection: Selection) -> DataFrame | None:
        if not is_kept(selection.view) or any(problems(selection.view)):
            return None
        whole = _whole(selection.view)
        mark = Mark("", STEP, (), _hash(whole, conf_dir), lake.versions([str(table_of(whole))]))
        version = _version(lake, whole, mark)
        return None if version is None else lake.read(table(selection.view), version=version)

    return stored


def _version(lake: Lake, selection: Selection, wanted: Mark) -> int | None:
    """The version of the interval table that was made as `wanted` says; None when its last one was not."""
    last = next(iter(lake.commits(table(selection.view))), None)
    if last is None or last.mark.step != STEP:
        return None
    is_current = dict(last.mark.inputs) == dict(wanted.inputs) and last.mark.definition_hash == wanted.definition_hash
    return last.version if is_current else None


def table(view: FeatureView) -> str:
    """The name of a view's interval table."""
    return f"{LAYER}.{view.name}"


def _whole(view: FeatureView) -> Selection:
    """All features of a view by the view's own join keys."""
    return Selection(view, view.name, tuple(feature.name for feature in view.features))


def _hash(selection: Selection, conf_dir: str | None) -> str:
    """Over what decides the intervals: the ttl does not."""
    parts = meaning.source_meaning(selection, conf_dir)
    return definition_hash({"join_keys": selection.join_keys, "source": parts})
