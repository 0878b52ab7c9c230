"""Evidently's own PSI of every column, in an interpreter of its own: CPU seconds of the comparison as one number.

    PYTHON_WITH_EVIDENTLY tests/benchmarks/evidently_psi.py CURRENT.parquet REFERENCE.parquet

Imports, reading and its HTML are left out of the figure.
"""

from __future__ import annotations

import resource
import sys
import warnings


def main(current: str, reference: str) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    warnings.simplefilter("ignore")
    now, before = pd.read_parquet(current), pd.read_parquet(reference)
    texts = [name for name in now if not pd.api.types.is_numeric_dtype(now[name])]
    definition = DataDefinition(
        numerical_columns=[name for name in now if name not in texts], categorical_columns=texts
    )
    start = _cpu_seconds()
    snapshot = Report([DataDriftPreset(method="psi")]).run(
        Dataset.from_pandas(now, definition), Dataset.from_pandas(before, definition)
    )
    values = [metric["value"] for metric in snapshot.dict()["metrics"]][1:]
    used = _cpu_seconds() - start
    if len(values) != len(now.columns):
        raise SystemExit(f"expected a PSI for each of {len(now.columns)} columns, found {len(values)}")
    print(used)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
