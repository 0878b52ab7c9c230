"""May the challenger become champion? Every reason is a row of `ops.decisions`; the last row is the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from scorelake import metrics
from scorelake.decisions import Decision
from scorelake.metrics import Estimate
from scorelake.models import METRICS, Model
from scorelake.training import deciding, operation, subgroups
from scorelake.training.operation import Tried
from scorelake.training.subgroups import Subgroup

GATE = "promotion"
PASS, FAIL, INSUFFICIENT = "pass", "fail", "insufficient"
PROMOTE, KEEP, REFUSE, AWAIT = "promote", "keep", "refuse", "await approval"


@dataclass(frozen=True)
class Contender:
    """A version and its score of each row, as in `scorelake.metrics`; what stands beside it, and the cut it decides by,
    where it brings them along."""

    version: str
    score: NDArray[np.float64] = field(repr=False)
    calibrated: NDArray[np.float64] | None = field(default=None, repr=False)
    cut: float | None = None


@dataclass(frozen=True)
class Contest:
    """The matured rows on which both are judged; bounded by the caller. `entity` tells rows of one entity,
    `groups` the value of each subgroup column; `tried` is what came of running the challenger on real features."""

    label: NDArray[np.float64] = field(repr=False)
    challenger: Contender
    champion: Contender | None = None
    entity: NDArray[np.int64] | None = field(default=None, repr=False)
    groups: Mapping[str, NDArray[np.object_]] = field(default_factory=dict, repr=False)
    tried: Tried | None = None


def judge(spec: Model, contest: Contest, run_date: date) -> tuple[Decision, ...]:
    """One row a gate, then the verdict: `promote`, `keep` the champion, or `refuse` when there is none to keep;
    `await approval` instead of `promote` where the model file asks for a human.

    A metric that the rows cannot tell fails its gate. To replace the champion, the whole interval of the paired gain
    must lie above `min_gain`; ties keep it. Where a version calibrates its scores, calibration_error and bias are
    judged on those.
    """
    judging = _Judging(spec, contest, run_date)
    if contest.champion is not None and contest.challenger.version == contest.champion.version:
        return (judging.verdict(KEEP, "it is the champion already"),)
    gates = list(judging.gates())
    must_tell = spec.subgroups is not None and spec.subgroups.too_few == "fail"
    failed = [gate.metric for gate in gates if gate.verdict == FAIL or (gate.verdict == INSUFFICIENT and must_tell)]
    if failed:
        verdict = REFUSE if contest.champion is None else KEEP
        return (*gates, judging.verdict(verdict, f"failed: {', '.join(failed)}"))
    if contest.champion is None and spec.promotion.no_champion == "refuse":
        return (*gates, judging.verdict(REFUSE, "nobody is champion yet, and promotion.no_champion says refuse"))
    verdict = AWAIT if spec.promotion.approval else PROMOTE
    return (*gates, judging.verdict(verdict, f"passed {len(gates)} gates"))


def by_subgroup(spec: Model, contest: Contest) -> tuple[Subgroup, ...]:
    """The challenger on each subgroup, decided by its cut."""
    challenger, cut = contest.challenger, spec.scoring.cut_of(contest.challenger.cut)
    entity = np.arange(len(contest.label)) if contest.entity is None else contest.entity
    return subgroups.judged(spec, contest.label, challenger.score, entity, contest.groups, cut=cut)


def is_promoted(decisions: Sequence[Decision]) -> bool:
    return bool(decisions) and decisions[-1].verdict == PROMOTE


@dataclass(frozen=True)
class _Judging:
    spec: Model
    contest: Contest
    run_date: date

    def gates(self) -> Iterator[Decision]:
        found = metrics.evaluate(self.spec.task, self.contest.label, self.contest.challenger.score)
        if self.contest.challenger.calibrated is not None:
            calibrated = metrics.evaluate(self.spec.task, self.contest.label, self.contest.challenger.calibrated)
            found |= {name: calibrated[name] for name in ("calibration_error", "bias")}
        for name, bounds in self.spec.promotion.require.items():
            told = Estimate(found[name], None, None, self._rows)
            if bounds.min is not None:
                yield self._limit(name, told, bounds.min, is_minimum=True)
            if bounds.max is not None:
                yield self._limit(name, told, bounds.max, is_minimum=False)
        if self.contest.tried is not None:
            for metric, value, threshold, verdict, reason in operation.gates(self.spec.promotion, self.contest.tried):
                yield self._decision(metric, value, threshold, verdict, reason)
        yield from self._floors()
        if self.spec.promotion.max_cost is not None:
            yield self._cost(self.spec.promotion.max_cost)
        yield self._gain("a constant", self._best_constant(), least=0.0)
        if self.contest.champion is not None:
            champion = self.contest.champion
            yield self._gain(f"champion {champion.version}", champion.score, least=self.spec.promotion.min_gain)

    def verdict(self, verdict: str, reason: str) -> Decision:
        return self._decision("verdict", None, None, verdict, reason)

    def _limit(self, name: str, found: Estimate, limit: float, *, is_minimum: bool) -> Decision:
        """`found` may come without an interval; the limit is held against its value."""
        metric, value = f"{name} {'min' if is_minimum else 'max'}", found.value
        if value is None:
            return self._decision(metric, None, limit, FAIL, f"cannot be told from {found.rows} rows")
        passes = value >= limit if is_minimum else value <= limit
        reason = f"{value:.6g}, expected {'at least' if is_minimum else 'at most'} {limit:g}, on {found.rows} rows"
        if found.low is not None and found.high is not None:
            reason += f" ({found.low:.4g} to {found.high:.4g})"
        if name in METRICS[self.spec.task] and not passes and metrics.better(name, value, limit) > 0:
            reason += "; better than believable: look for a feature that knows the label"
        return self._decision(metric, value, limit, PASS if passes else FAIL, reason)

    def _floors(self) -> Iterator[Decision]:
        """Every limit in every subgroup. Too few rows, or rows that cannot tell the metric, pass nobody silently."""
        asked = self.spec.subgroups
        if asked is None or not asked.require:
            return
        for group in by_subgroup(self.spec, self.contest):
            for name, bounds in asked.require.items():
                found = group.estimates[name]
                for limit, is_minimum in ((bounds.min, True), (bounds.max, False)):
                    if limit is None:
                        continue
                    if group.rows >= asked.min_rows and found.value is not None:
                        yield self._limit(f"{group.name}: {name}", found, limit, is_minimum=is_minimum)
                        continue
                    metric = f"{group.name}: {name} {'min' if is_minimum else 'max'}"
                    lacking = f"{group.rows:,} rows, {asked.min_rows:,} are needed"
                    if found.value is None:
                        lacking = f"cannot be told from {group.rows:,} rows"
                    effect = "not promoted for it" if asked.too_few == "fail" else "told, not held against it"
                    yield self._decision(metric, found.value, limit, INSUFFICIENT, f"{lacking}; {effect}")

    def _cost(self, limit: float) -> Decision:
        """Of what the version's decisions cost; that of deciding nothing is told for comparison."""
        cut_by, challenger = self.spec.scoring.cut_by, self.contest.challenger
        cut = self.spec.scoring.cut_of(challenger.cut)
        metric = "expected cost a row"
        if cut is None or cut_by is None:
            return self._decision(metric, None, limit, FAIL, "the version brings no cut along; train it again")
        cost, nobody = (
            deciding.decisions(self.contest.label, challenger.score, value, cut_by.costs).get("expected_cost")
            for value in (cut, deciding.NOBODY)
        )
        if cost is None or nobody is None:
            return self._decision(metric, None, limit, FAIL, f"cannot be told from {self._rows} rows")
        reason = f"{cost:.6g} at cut {cut:.6g}, expected at most {limit:g}; choosing nobody costs {nobody:.6g}"
        return self._decision(metric, cost, limit, PASS if cost <= limit else FAIL, reason)

    def _gain(self, rival: str, score: NDArray[np.float64], *, least: float) -> Decision:
        gain = metrics.gains(
            self.spec.task,
            self.contest.label,
            self.contest.challenger.score,
            score,
            seed=self.spec.seed,
            rounds=self.spec.metrics.bootstrap,
            confidence=self.spec.metrics.confidence,
            groups=self.contest.entity,
        )[self.spec.headline]
        metric = f"{self.spec.headline} gain over {rival}"
        if gain.value is None or gain.low is None or gain.high is None:
            return self._decision(metric, None, least, FAIL, f"cannot be told from {gain.rows} rows")
        interval = f"{self.spec.metrics.confidence:.0%} interval {gain.low:.6g} to {gain.high:.6g}"
        reason = f"{gain.value:.6g}, {interval}, expected wholly above {least:g}, on {gain.rows} rows"
        return self._decision(metric, gain.value, least, PASS if gain.low > least else FAIL, reason)

    def _best_constant(self) -> NDArray[np.float64]:
        """The constant that fits these very rows best; no constant model could honestly do better."""
        label = self.contest.label
        if self.spec.task != "multiclass":
            return np.full(len(label), label.mean() if len(label) else 0.0)
        classes = self.contest.challenger.score.shape[1]
        shares = np.bincount(label.astype(np.int64), minlength=classes) / max(1, len(label))
        return np.tile(shares, (len(label), 1))

    @property
    def _rows(self) -> int:
        return len(self.contest.label)

    def _decision(
        self, metric: str, value: float | None, threshold: float | None, verdict: str, reason: str
    ) -> Decision:
        subject = f"{self.spec.name}/{self.contest.challenger.version}"
        return Decision(GATE, subject, self.run_date, metric, value, threshold, verdict, reason)
