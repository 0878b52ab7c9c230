"""What is said of published scores once their labels are in, and when that is decay."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scorelake.strict_yaml import Definition


class Performance(Definition):
    """How matured scores are judged. The verdict compares the headline metric of what was served with its value on
    the test part when the model was trained."""

    max_loss: float = Field(
        default=0.10, ge=0, description="Decay from this on: how much worse, as a share of the value at training."
    )
    min_rows: int = Field(default=100, ge=1, description="Fewer matured scores are INSUFFICIENT.")
    on_decay: Literal["report", "fail"] = Field(default="report", description="fail: decay ends with exit code 4.")
    trend_nights: int = Field(default=30, ge=3, description="Nights that the trend of the headline looks back on.")
    segments: tuple[str, ...] = Field(default=(), description="Columns of the features; each value is judged apart.")
    business: dict[str, str] = Field(
        default={},
        description="Figures by name: a SQL aggregate over served scores with their `label`, such as "
        "sum(if(decision = 1, 20 * label - 2, 0)).",
    )
