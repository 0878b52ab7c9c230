"""What the gate says of a slice: the result of every rule, whether the slice may be written, and the decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from scorelake.decisions import Decision
from scorelake.quality.rules import Action

GATE = "data"
SHARE = "quarantined share"


@dataclass(frozen=True)
class Result:
    """Of one rule in one slice.

    `rows` are those the rule speaks of, `evaluated` those it could decide (the denominator of `mostly`), `unexpected`
    those that failed; all three are null where the slice is judged as a whole: there `observed` is what was found,
    null where a personal column is judged. `gate`, `threshold` and `reason` are for the decision.
    """

    rule: str
    action: Action
    success: bool
    rows: int | None = None
    evaluated: int | None = None
    unexpected: int | None = None
    mostly: float = 1.0
    observed: object = None
    evidence: Callable[[], Mapping[str, Any]] = field(default=dict, repr=False, compare=False)
    gate: str = GATE
    threshold: float | None = None
    reason: str = ""

    @property
    def gx(self) -> Mapping[str, Any]:
        """GX's own validation result as plain data, without values of rows; empty for the engine's own rules.

        Made when it is asked for: a year of slices has thousands of them, and few are ever shown.
        """
        return self.evidence()

    @property
    def share(self) -> float | None:
        """Failed rows of those evaluated."""
        if self.unexpected is None:
            return None
        return self.unexpected / self.evaluated if self.evaluated else 0.0

    @property
    def verdict(self) -> str:
        """pass, else what follows: warn, quarantine, fail."""
        return "pass" if self.success else self.action

    def __str__(self) -> str:
        if self.reason:
            return f"{self.rule}: {self.reason}"
        if self.unexpected is not None:
            return f"{self.rule}: {self.unexpected:,} of {self.evaluated or 0:,} rows fail"
        return f"{self.rule}: found {self.observed}" if self.observed is not None else f"{self.rule}: not met"


@dataclass(frozen=True)
class Verdict:
    """Of one slice: `rows` = `accepted` + `quarantined`, and what every rule said."""

    table: str
    run_date: date
    rows: int
    quarantined: int
    results: tuple[Result, ...]
    max_quarantined: float | None = None

    @property
    def accepted(self) -> int:
        return self.rows - self.quarantined

    @property
    def quarantined_share(self) -> float:
        return self.quarantined / self.rows if self.rows else 0.0

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why nothing of the slice may be written; empty when it may."""
        failed = [str(result) for result in self.results if result.verdict == "fail"]
        if self._is_over_limit:
            failed.append(
                f"{self.quarantined:,} of {self.rows:,} rows quarantined ({self.quarantined_share:.2%}), "
                f"at most {self.max_quarantined:.2%} allowed"
            )
        return tuple(failed)

    @property
    def refused(self) -> bool:
        return bool(self.refusals)

    @property
    def _is_over_limit(self) -> bool:
        return self.max_quarantined is not None and self.quarantined_share > self.max_quarantined

    def __str__(self) -> str:
        """The refusal as a job's message."""
        return f"{self.table} of {self.run_date} is refused: {'; '.join(self.refusals)}"

    def decisions(self) -> list[Decision]:
        """A row of `ops.decisions` for every rule, and one for the share of quarantined rows."""
        share = self.quarantined_share
        verdict = "fail" if self._is_over_limit else "pass"
        reason = f"{self.quarantined:,} of {self.rows:,} rows quarantined"
        whole = Decision(GATE, self.table, self.run_date, SHARE, share, self.max_quarantined, verdict, reason)
        return [*(self._decision(result) for result in self.results), whole]

    def _decision(self, result: Result) -> Decision:
        by_row = result.unexpected is not None
        value = result.share if by_row else _number(result.observed)
        threshold = 1.0 - result.mostly if by_row else result.threshold
        return Decision(
            result.gate, self.table, self.run_date, result.rule, value, threshold, result.verdict, str(result)
        )


def _number(observed: object) -> float | None:
    return float(observed) if isinstance(observed, int | float) else None
