"""Signs of leakage that only the whole training set and its history can tell."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from jobs import _registry, verify_pit
from scorelake.decisions import Decision
from scorelake.models import EntitySplit, StratifiedSplit
from scorelake.tables import quoted
from scorelake.training import leakage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.models import Model
    from scorelake.stores.lake import Lake
    from scorelake.stores.model_registry import ModelRegistry


def of_rows(
    lake: Lake, registry: ModelRegistry, repo: FeatureRepo, spec: Model, rows: DataFrame, day: date
) -> Iterator[Decision]:
    """Entities on both sides of a split that keeps them apart; earlier looks at this test part; and, for some rows,
    that whatever happened or became known after t changes nothing."""
    if isinstance(spec.split, EntitySplit | StratifiedSplit):
        yield leakage.shared_entities(spec, shared(rows, spec.split.keys), run_date=day)
    table = f"training.{spec.name}"
    version, _ = lake.marks(table, "build_training_set")[day]
    looks = registry.count(spec.name, {_registry.TRAINING_SET: f"{table}@{version}"})
    yield leakage.second_look(spec, looks, run_date=day)
    if spec.prove_rows:
        nobody = frozenset[str]()  # differences are counted here, never shown
        yield verify_pit.proved(lake, repo, spec.feature_service, table, day, spec.prove_rows, nobody)[0]


def shared(rows: DataFrame, keys: tuple[str, ...]) -> int:
    """Entities that stand in more than one part; one number reaches the driver."""
    from pyspark.sql import functions as F

    parts = rows.groupBy(*map(quoted, keys)).agg(F.count_distinct("split").alias("parts"))
    return parts.where("parts > 1").count()
