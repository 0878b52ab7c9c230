"""How values are made alike on their way to silver: spelling, codes, bounds, and what stands for a missing value.

Figures (percentiles, medians by group) are frozen in a file that the contract names with its digest, so that a value
never depends on the slice in which it arrives.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scorelake.strict_yaml import Definition

FIGURES = ("min", "p01", "p05", "p25", "median", "p75", "p95", "p99", "max", "mean", "mode")
"""What a figures file holds of a column; texts have a mode alone."""
_BOUND = re.compile(r"min|max|p\d\d|median")


def _text_of(value: Any) -> Any:
    """YAML's numbers and words as the text that they are written with."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _texts(value: Any) -> Any:
    """Keys must be texts; `yes`, `no` and numbers without quotes are not, and what was written is lost."""
    if not isinstance(value, dict):
        return value
    odd = [key for key in value if not isinstance(key, str)]
    if odd:
        raise ValueError(f"YAML reads the key {odd[0]!r} as {type(odd[0]).__name__}; put keys in quotes")
    return {key: _text_of(item) for key, item in value.items()}


def _bound(value: Any) -> Any:
    if isinstance(value, str) and _BOUND.fullmatch(value) is None:
        raise ValueError(f"{value!r} is neither a number nor one of {', '.join(FIGURES[:9])}")
    return value


Bound = Annotated[str | int | float, BeforeValidator(_bound)]


class Cap(Definition):
    """Values beyond a bound become the bound; null and NaN stay. A bound is a number, or the name of a figure."""

    low: Bound | None = None
    high: Bound | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Cap:
        if self.low is None and self.high is None:
            raise ValueError("expected low, high or both")
        return self

    @property
    def figures(self) -> tuple[str, ...]:
        return tuple(bound for bound in (self.low, self.high) if isinstance(bound, str))


class Impute(Definition):
    """What a null becomes: the figure of its group, else (a group without one) that of the whole column."""

    figure: Literal["median", "mean", "mode"] = Field(alias="with")
    by: tuple[str, ...] = Field(default=(), description="Columns that make up a group.")


class Standard(Definition):
    """Of one column, in this order: normalise and map the text that arrived, cast it, cap it, impute it."""

    normalise: tuple[Literal["trim", "lower", "upper", "nfc", "nfkc"], ...] = Field(
        default=(), description="trim also takes Unicode's spaces; nfc and nfkc are its normal forms."
    )
    map: Annotated[dict[str, str], BeforeValidator(_texts)] = Field(
        default={}, description="Text as received (after normalise) -> text; others stay as they are."
    )
    cap: Cap | None = None
    impute: Impute | None = None

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures that it needs."""
        imputed = (self.impute.figure,) if self.impute is not None else ()
        return (*(self.cap.figures if self.cap is not None else ()), *imputed)


class FiguresFile(Definition):
    """The frozen figures of a table, made by `freeze_figures`."""

    file: str = Field(description="Relative to the conf folder, e.g. figures/customers.json.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Digest of the file; another file is refused.")
