"""May the challenger become champion? Every reason is a row of `ops.decisions`; the last row is the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from scorelake import metrics
from scorelake.decisions import Decision
from scorelake.models import Model

GATE = "promotion"
PASS, FAIL = "pass", "fail"
PROMOTE, KEEP, REFUSE, AWAIT = "promote", "keep", "refuse", "await approval"


@dataclass(frozen=True)
class Contender:
    """A version and its score of each row, as in `scorelake.metrics`."""

    version: str
    score: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Contest:
    """The matured rows on which both are judged; bounded by the caller. `entity` tells rows of one entity."""

    label: NDArray[np.float64] = field(repr=False)
    challenger: Contender
    champion: Contender | None = None
    entity: NDArray[np.int64] | None = field(default=None, repr=False)


def judge(spec: Model, contest: Contest, run_date: date) -> tuple[Decision, ...]:
    """One row a gate, then the verdict: `promote`, `keep` the champion, or `refuse` when there is none to keep;
    `await approval` instead of `promote` where the model file asks for a human.

    A metric that the rows cannot tell fails its gate. To replace the champion, the whole interval of the paired gain
    must lie above `min_gain`; ties keep it.
    """
    judging = _Judging(spec, contest, run_date)
    if contest.champion is not None and contest.challenger.version == contest.champion.version:
        return (judging.verdict(KEEP, "it is the champion already"),)
    gates = list(judging.gates())
    failed = [gate.metric for gate in gates if gate.verdict != PASS]
    if failed:
        verdict = REFUSE if contest.champion is None else KEEP
        return (*gates, judging.verdict(verdict, f"failed: {', '.join(failed)}"))
    if contest.champion is None and spec.promotion.no_champion == "refuse":
        return (*gates, judging.verdict(REFUSE, "nobody is champion yet, and promotion.no_champion says refuse"))
    verdict = AWAIT if spec.promotion.approval else PROMOTE
    return (*gates, judging.verdict(verdict, f"passed {len(gates)} gates"))


def is_promoted(decisions: Sequence[Decision]) -> bool:
    return bool(decisions) and decisions[-1].verdict == PROMOTE


@dataclass(frozen=True)
class _Judging:
    spec: Model
    contest: Contest
    run_date: date

    def gates(self) -> Iterator[Decision]:
        found = metrics.evaluate(self.spec.task, self.contest.label, self.contest.challenger.score)
        for name, bounds in self.spec.promotion.require.items():
            if bounds.min is not None:
                yield self._limit(name, found[name], bounds.min, is_minimum=True)
            if bounds.max is not None:
                yield self._limit(name, found[name], bounds.max, is_minimum=False)
        yield self._gain("a constant", self._best_constant(), least=0.0)
        if self.contest.champion is not None:
            champion = self.contest.champion
            yield self._gain(f"champion {champion.version}", champion.score, least=self.spec.promotion.min_gain)

    def verdict(self, verdict: str, reason: str) -> Decision:
        return self._decision("verdict", None, None, verdict, reason)

    def _limit(self, name: str, value: float | None, limit: float, *, is_minimum: bool) -> Decision:
        metric = f"{name} {'min' if is_minimum else 'max'}"
        if value is None:
            return self._decision(metric, None, limit, FAIL, f"cannot be told from {self._rows} rows")
        passes = value >= limit if is_minimum else value <= limit
        reason = f"{value:.6g}, expected {'at least' if is_minimum else 'at most'} {limit:g}, on {self._rows} rows"
        if not passes and metrics.better(name, value, limit) > 0:
            reason += "; better than believable: look for a feature that knows the label"
        return self._decision(metric, value, limit, PASS if passes else FAIL, reason)

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
