"""What a table must keep to, and what follows when it does not."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from scorelake.dates import Duration
from scorelake.strict_yaml import Definition


class Expectation(Definition):
    """A Great Expectations expectation in its own form, and what follows when it fails.

    fail: nothing of the slice is written. quarantine: the failing rows leave (row-level only). warn: recorded.
    """

    type: str
    kwargs: dict[str, Any] = {}
    action: Literal["fail", "quarantine", "warn"]
    meta: dict[str, Any] = {}


def parse_share(text: Any) -> Any:
    """'2%' -> 0.02; a plain number between 0 and 1 stays."""
    if isinstance(text, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)):
        return float(match[1]) / 100
    return text


Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str | float), Field(ge=0, le=1)]


class Volume(Definition):
    """Accepted rows of a slice against the median of the table's own earlier slices.

    With fewer than `at_least` earlier slices nothing is judged, and the verdict says so.
    """

    slices: int = Field(default=28, ge=1, description="How many earlier due slices to look at.")
    same_weekday: bool = Field(default=False, description="Only those of the same day of the week.")
    at_least: int = Field(default=3, ge=1)
    low: float = Field(default=0.5, ge=0, description="Least rows, as a multiple of the median.")
    high: float = Field(default=2.0, gt=0, description="Most rows, as a multiple of the median.")
    action: Literal["fail", "warn"]


class Freshness(Definition):
    """The newest event time of a slice's accepted rows may lie at most `within` before the slice's end."""

    within: Duration
    action: Literal["fail", "warn"]


class ProfileCheck(Definition):
    """Distributions of a slice's accepted rows against a frozen profile of the table (`report_drift --freeze NAME`).

    A slice fails when a column has gone, changed its type, or drifted: statuses ERROR and ALERT of the drift report.
    Too few rows are not judged, and the verdict says so.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="The frozen profile.")
    alert: float = Field(default=0.20, gt=0, description="PSI from which a column has drifted, if significant.")
    min_rows: int = Field(default=1000, ge=1, description="Fewer rows in the slice or the profile are not judged.")
    action: Literal["fail", "warn"]
