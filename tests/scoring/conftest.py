from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest


@pytest.fixture(scope="module")
def batch() -> pa.RecordBatch:
    """Nulls everywhere, values far outside of training, categories that training never saw."""
    draw, rows = np.random.default_rng(3), 700
    numbers = {
        name: pa.array(draw.normal(size=rows) * 4, mask=draw.random(rows) < 0.2) for name in ("signal", "noise", "gaps")
    }
    regions = draw.choice(np.array(["north", "south", "west", "", None], object), rows)
    return pa.RecordBatch.from_pydict({**numbers, "region": pa.array(regions, pa.string())})
