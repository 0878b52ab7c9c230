"""Who was champion when, and why: `ops.promotions` is the truth, the alias in the registry follows it.

A record is committed under the next number of its model, and only while nobody else has taken that number. Whoever
comes second has judged against a champion of before and must judge again; so two promoters at once leave one champion
and two records. A registry alone could not tell: its aliases move without asking where they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from scorelake import runs
from scorelake.errors import Busy
from scorelake.stores.lake import Lake
from scorelake.stores.model_registry import CHAMPION
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import Row

    from scorelake.stores.model_registry import ModelRegistry

PROMOTIONS = "ops.promotions"
_ATTEMPTS = 10

Kind = Literal["gate", "approval", "override", "rollback"]


@dataclass(frozen=True)
class Promotion:
    """One record. `former` was champion before it, `champion` is from then on."""

    model: str
    number: int
    kind: Kind
    challenger: str
    run_date: date
    verdict: str
    former: str | None
    champion: str | None
    decided_by: str
    reason: str


COLUMNS = (
    Column(name="model", type="string"),
    Column(name="number", type="bigint", comment="1, 2, ... of its model; the greatest one tells who is champion"),
    Column(name="kind", type="string", comment="gate, approval, override or rollback"),
    Column(name="challenger", type="string", comment="the version that was asked about"),
    Column(name="run_date", type="date"),
    Column(name="verdict", type="string", comment="promote, keep, refuse or await approval"),
    Column(name="former", type="string", comment="champion before; null when there was none"),
    Column(name="champion", type="string", comment="champion from then on; null when there is none"),
    Column(name="decided_by", type="string", comment="gate, or a name"),
    Column(name="reason", type="string"),
    Column(name="run_id", type="string"),
    Column(name="decided_at", type="timestamp", comment="wall clock, for audit only"),
)


def history(lake: Lake, model: str) -> list[Promotion]:
    """Every record of `model`, newest first: a handful of rows a month."""
    from pyspark.sql import functions as F

    if not lake.exists(PROMOTIONS):
        return []
    rows = lake.read(PROMOTIONS).where(F.col("model") == model).orderBy(F.desc("number")).collect()
    return [_promotion(row) for row in rows]


def champion(lake: Lake, registry: ModelRegistry, model: str) -> str | None:
    """The champion as the newest record tells it; by alias for a model that has no record yet."""
    found = history(lake, model)
    return found[0].champion if found else registry.version_of(model, CHAMPION)


def recorded(lake: Lake, model: str, challenger: str, run_date: date, kind: Kind) -> Promotion | None:
    """What stands under this key; None when nobody has decided it yet."""
    return next((p for p in history(lake, model) if _key(p) == (challenger, run_date, kind)), None)


def decide(lake: Lake, model: str, decision: Callable[[int], Promotion]) -> Promotion:
    """Commit what `decision` says under the next number, asked again as often as somebody else was faster.

    The record that stands under its key: another's if that one decided the same before. Busy when others are always
    faster.
    """
    lake.create(PROMOTIONS, COLUMNS, partitioned_by=["model"], comment="Who became champion, and why.")
    for _ in range(_ATTEMPTS):
        newest = history(lake, model)
        wanted = decision(newest[0].number + 1 if newest else 1)
        _insert(lake, wanted)
        for standing in history(lake, model):
            if standing == wanted or (_key(standing) == _key(wanted) and wanted.kind != "rollback"):
                return standing
    raise Busy(f"model {model}: other promotions were faster {_ATTEMPTS} times; try again later")


def _insert(lake: Lake, wanted: Promotion) -> None:
    """Add the record unless its number or its key is taken; Delta refuses the later of two that look at once."""
    types = ", ".join(column.ddl for column in COLUMNS)
    frame = lake.spark.createDataFrame([(*astuple(wanted), runs.run_id(), runs.wall_clock())], types)
    is_same_key = "s.kind <> 'rollback' AND t.challenger = s.challenger AND t.run_date = s.run_date AND t.kind = s.kind"
    lake.insert_unless(frame, PROMOTIONS, f"t.model = s.model AND (t.number = s.number OR ({is_same_key}))")


def settle(lake: Lake, registry: ModelRegistry, model: str) -> None:
    """Point the alias at the champion of the newest record, until no newer one has come meanwhile.

    Repeats what a killed run left undone.
    """
    settled: Promotion | None = None
    while (found := history(lake, model)) and found[0] != settled:
        settled = found[0]
        if settled.champion is None or registry.version_of(model, CHAMPION) == settled.champion:
            continue
        if settled.kind == "rollback" and registry.version_of(model, CHAMPION) == settled.former:
            registry.rollback(model, settled.reason)
        else:
            has_moved = settled.former != settled.champion
            registry.promote(model, settled.champion, former=settled.former if has_moved else None)


def _key(promotion: Promotion) -> tuple[str, date, Kind]:
    """What is decided once a model; a rollback may happen twice on one day."""
    return promotion.challenger, promotion.run_date, promotion.kind


def _promotion(row: Row) -> Promotion:
    values: dict[str, Any] = {name.name: row[name.name] for name in fields(Promotion)}
    return Promotion(**values)
