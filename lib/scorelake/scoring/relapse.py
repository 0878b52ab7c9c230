"""Whether the champion has fallen so far, on enough matured nights, that its predecessor returns by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from scorelake.decisions import Decision
from scorelake.metrics import Estimate
from scorelake.models import Performance, Rollback
from scorelake.scoring import decay
from scorelake.scoring.decay import Night

GATE = "relapse"
ROLLBACK, KEEP, INSUFFICIENT = "rollback", "keep", "insufficient"


def judge(
    champion: str,
    nights: Sequence[Night],
    limits: Rollback,
    *,
    run_date: date,
    min_rows: int,
    predecessor: Mapping[date, Estimate] | None = None,
) -> Decision:
    """rollback when `limits.k` of the newest `limits.n` nights have fallen, the newest one among them.

    `nights` are of the champion alone (`champion` is '<model>/<version>'). A night has fallen when the headline lost
    more than `max_loss` of its value at training and the whole interval agrees that it is a loss. `predecessor` is the
    paired gain over the champion, by score date, of the version that would return, where it was scored beside it: a
    night on which that interval does not lie wholly above 0 has not fallen, since going back would not have helped.
    Nights that cannot be told (too few rows) neither count nor reset.
    """
    asked = Performance(max_loss=limits.max_loss, min_rows=min_rows)
    judged = [(night, decay.judge(night, asked)) for night in sorted(nights, key=lambda night: night.score_date)]
    told = [(night, found) for night, found in judged if found.verdict != decay.INSUFFICIENT][-limits.n :]
    metric = f"nights with a loss beyond {limits.max_loss:.0%}"
    if not told:
        return Decision(
            GATE,
            champion,
            run_date,
            metric,
            None,
            float(limits.k),
            INSUFFICIENT,
            "no matured night of it can be judged yet",
        )
    fallen = [
        night.score_date
        for night, found in told
        if found.verdict == decay.DECAY and _would_help(predecessor or {}, night.score_date)
    ]
    is_newest = told[-1][0].score_date in fallen
    verdict = ROLLBACK if len(fallen) >= limits.k and is_newest else KEEP
    reason = f"{len(fallen)} of its {len(told)} newest matured nights have fallen, {limits.k} of {limits.n} are needed"
    reason += f", the newest among them; that one: {told[-1][1].reason}"
    return Decision(GATE, champion, run_date, metric, float(len(fallen)), float(limits.k), verdict, reason)


def _would_help(predecessor: Mapping[date, Estimate], night: date) -> bool:
    gain = predecessor.get(night)
    return gain is None or (gain.low is not None and gain.low > 0)
