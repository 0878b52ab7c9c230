"""Shall this model be trained anew tonight? The answer, with its reason, is a row of `ops.decisions`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from scorelake.decisions import Decision
from scorelake.models import Retrain

GATE = "retrain"
TRAIN, WAIT, REFUSE = "train", "wait", "refuse"


@dataclass(frozen=True)
class Known:
    """What is known on the evening of the run date. `trained_on` is the newest version's run date, None without one;
    `drift` and `decay` say what was found, None if nothing; labels are those that became known after `trained_on`;
    `failed` are gates that did not let a slice pass, or were overridden, behind the data that would be learnt from.
    """

    trained_on: date | None
    drift: str | None = None
    decay: str | None = None
    new_labels: int = 0
    label_rate: float | None = None
    failed: tuple[str, ...] = ()


def judge(model: str, policy: Retrain, known: Known, run_date: date) -> Decision:
    """train, wait or refuse; the reason names everything that spoke for it and, if so, what spoke against."""
    reasons = list(_reasons(policy, known, run_date))
    if not reasons:
        return _decision(model, run_date, WAIT, f"no reason to: {_why_not(policy, known, run_date)}")
    age = None if known.trained_on is None else run_date - known.trained_on
    wanted = "; ".join(reasons)
    if age is not None and age < policy.at_least:
        soonest = _days(policy.at_least)
        reason = f"{wanted}; but it was trained {_days(age)} ago, never sooner than {soonest}"
        return _decision(model, run_date, WAIT, reason)
    against = list(_against(policy, known))
    if against:
        return _decision(model, run_date, REFUSE, f"{wanted}; but {'; '.join(against)}")
    return _decision(model, run_date, TRAIN, wanted)


def _reasons(policy: Retrain, known: Known, run_date: date) -> list[str]:
    if known.trained_on is None:
        return ["it has no version yet"]
    found = []
    age = run_date - known.trained_on
    if policy.every is not None and age >= policy.every:
        found.append(f"trained {_days(age)} ago, every {_days(policy.every)}")
    if policy.on_drift and known.drift is not None:
        found.append(f"drift: {known.drift}")
    if policy.on_decay and known.decay is not None:
        found.append(f"decay: {known.decay}")
    if policy.new_labels is not None and known.new_labels >= policy.new_labels:
        found.append(f"{known.new_labels:,} new labels, {policy.new_labels:,} are enough")
    return found


def _why_not(policy: Retrain, known: Known, run_date: date) -> str:
    found = []
    if policy.every is not None and known.trained_on is not None:
        found.append(f"trained {_days(run_date - known.trained_on)} ago, every {_days(policy.every)}")
    if policy.on_drift:
        found.append("no drift alert is firing")
    if policy.on_decay:
        found.append("no decay was found")
    if policy.new_labels is not None:
        found.append(f"{known.new_labels:,} new labels of {policy.new_labels:,}")
    return ", ".join(found)


def _against(policy: Retrain, known: Known) -> list[str]:
    found = [f"failed or overridden: {', '.join(known.failed)}"] if known.failed else []
    limits, rate = policy.label_rate, known.label_rate
    if limits is None or rate is None:
        return found
    low, high = limits.min, limits.max
    if (low is not None and rate < low) or (high is not None and rate > high):
        bounds = f"at least {low:g}" if high is None else f"at most {high:g}" if low is None else f"{low:g} to {high:g}"
        found.append(f"the new labels' mean is {rate:.4g}, expected {bounds}")
    return found


def _decision(model: str, run_date: date, verdict: str, reason: str) -> Decision:
    return Decision(GATE, model, run_date, "policy", None, None, verdict, reason)


def _days(length: timedelta) -> str:
    return f"{length / timedelta(days=1):g} days"
