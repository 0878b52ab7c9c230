"""Every benchmark once at a tiny size: its answers, never its times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import drift, pit, pit_scale, scoring, scoring_job, windows
from tests.benchmarks.harness import Options

if TYPE_CHECKING:
    from types import ModuleType

    from pyspark.sql import SparkSession


SLOW = [
    pytest.param(scoring, marks=pytest.mark.slow),  # MLflow's own UDF loads the model in every task
    pytest.param(scoring_job, marks=pytest.mark.slow),  # processes of their own
]


@pytest.mark.parametrize(
    "module",
    [drift, pit, pit_scale, *SLOW, windows],
    ids=["drift", "pit", "pit_scale", "scoring", "scoring_job", "windows"],
)
def test_both_sides_answer_alike(spark: SparkSession, module: ModuleType) -> None:
    report = module.bench(spark, Options(scale=0.002, rounds=0))
    assert report.answers_equal
    assert report.line().startswith(f'{{"bench": "{report.bench}", "answers_equal": true, "ratios": ')
