"""Judge each challenger at the gate of its model file and, if it passes, make it champion.

Reads   the model registry, the test part of training.<model> of the run date
Writes  ops.decisions, a row a gate and one for the verdict; ops.promotions; alias `champion`

    ./spark-submit.sh promote_model --env local --run-date 2017-12-24
    ./spark-submit.sh promote_model --env local --run-date 2017-12-24 --only lapse_xgboost \\
        --approve 7 --by "Ada Lovelace" --reason "agreed with marketing"

Challenger and champion are judged on the same rows. A repeated call returns the recorded decision. Exit code 4 when
a model is left without any champion. With `promotion.approval: true` in the model file, a passed gate waits for
--approve, which names a version, a person and a reason; it is refused (exit code 4) for a version that no gate has let
through beside the present champion, unless --override says that a person takes it on themselves.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from jobs import _contest, _registry
from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.errors import GateRefused, MissingInput, UsageError
from scorelake.runs import Outcome, combined
from scorelake.settings import Settings
from scorelake.stores import ops, promotions
from scorelake.stores.lake import Lake
from scorelake.stores.model_registry import CHALLENGER
from scorelake.stores.promotions import Promotion
from scorelake.training import gate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.definitions import Definitions
    from scorelake.stores.model_registry import ModelRegistry

OPTIONS = {
    "--approve": {"metavar": "VERSION", "help": "let this version of the one model that --only names become champion"},
    "--by": {"metavar": "NAME", "help": "who approves; kept with the decision"},
    "--reason": {"help": "why; kept with the decision"},
    "--override": {"action": "store_true", "help": "approve a version that the gate has not let through"},
}


def run(
    spark: SparkSession,
    settings: Settings,
    dates: RunDates,
    only: Names = ALL,
    *,
    approve: str | None = None,
    by: str | None = None,
    reason: str | None = None,
    override: bool = False,
) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    wanted = cli.chosen(definitions.models, only)
    lake = Lake(spark, settings.lake)
    registry = _registry.connect(settings)

    if approve is not None:
        if len(wanted) != 1 or not by or not reason:
            raise UsageError("--approve VERSION needs --only MODEL (one), --by NAME and --reason WHY")
        return _approved(lake, registry, wanted[0], dates.last, approve, by=by, reason=reason, override=override)
    if by or reason or override:
        raise UsageError("--by, --reason and --override belong to --approve VERSION")
    limit = settings.limits.local_matrix_bytes
    return combined(_promote(lake, registry, definitions, name, day, limit) for day in dates for name in wanted)


def _promote(
    lake: Lake, registry: ModelRegistry, definitions: Definitions, name: str, day: date, limit_bytes: int
) -> Outcome:
    version = registry.version_of(name, CHALLENGER)
    if version is None:
        raise MissingInput(f"model {name} has no {CHALLENGER}; run train_model first")

    def decision(number: int) -> Promotion:
        champion = promotions.champion(lake, registry, name)
        decisions = _contest.judged(
            lake, registry, definitions, name, day, challenger=version, champion=champion, limit_bytes=limit_bytes
        )
        ops.record_decisions(lake, decisions)
        said = decisions[-1]
        crowned = version if gate.is_promoted(decisions) else champion
        return Promotion(name, number, "gate", version, day, said.verdict, champion, crowned, "gate", said.reason)

    found = promotions.recorded(lake, name, version, day, "gate") or promotions.decide(lake, name, decision)
    promotions.settle(lake, registry, name)
    line = f"{name} version {version}: {found.verdict} ({found.reason})"
    refused = (line,) if found.verdict == gate.REFUSE else ()
    return Outcome(notes=() if refused else (line,), refused=refused)


def _approved(
    lake: Lake, registry: ModelRegistry, name: str, day: date, version: str, *, by: str, reason: str, override: bool
) -> Outcome:
    """A person's word. The gate must have compared the version with the champion of now, or the word is an override."""
    registry.require(name, version)
    kind: promotions.Kind = "override" if override else "approval"

    def decision(number: int) -> Promotion:
        champion = promotions.champion(lake, registry, name)
        if not override:
            _require_gate(lake, name, version, champion)
        return Promotion(name, number, kind, version, day, gate.PROMOTE, champion, version, by, reason)

    found = promotions.recorded(lake, name, version, day, kind)
    if found is None:
        found = promotions.decide(lake, name, decision)
        said = Decision(
            gate.GATE, f"{name}/{version}", day, kind, float(found.number), None, gate.PROMOTE, f"{by}: {reason}"
        )
        ops.record_decisions(lake, [said])
    promotions.settle(lake, registry, name)
    return Outcome(notes=(f"{name} version {version}: {kind} by {found.decided_by}: {found.reason}",))


def _require_gate(lake: Lake, name: str, version: str, champion: str | None) -> None:
    judged = [p for p in promotions.history(lake, name) if p.kind == "gate" and p.challenger == version]
    if not judged:
        raise GateRefused(f"{name} version {version} has not met the gate; run promote_model without --approve first")
    newest = judged[0]
    if newest.verdict not in (gate.AWAIT, gate.PROMOTE):
        raise GateRefused(f"{name} version {version}: the gate said {newest.verdict} ({newest.reason}); see --override")
    if champion not in (newest.former, version):
        raise GateRefused(
            f"{name} version {version} was judged beside version {newest.former or 'none'}, but the champion is "
            f"{champion or 'none'} now; run promote_model of a later run date first"
        )


if __name__ == "__main__":
    cli.main(run, description=__doc__)
