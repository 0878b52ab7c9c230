"""A registered model answers MLflow's own scoring server with the values that a night would hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scorelake.scoring.asking import one_number
from scorelake.scoring.predictors import compile_model
from tests.ports import free_port
from tests.scoring.made_up import FEATURES, saved


def ask(port: int, body: bytes, *, patience: float) -> list[object]:
    """The server's predictions, once it is up."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, headers={"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request) as response:
                return list(json.load(response)["predictions"])
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.mark.slow
def test_mlflows_server_gives_the_scores_of_a_night(tmp_path: Path, batch: pa.RecordBatch) -> None:
    folder = saved(tmp_path, "binary", "sklearn.linear_model.LogisticRegression", "one_hot", "standard")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", str(port)]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    server = subprocess.Popen([*command, "--env-manager", "local", "--workers", "1"], env=environment)
    try:
        rows = batch.slice(0, 50).to_pandas()
        body = json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split", index=False))}).encode()
        served = np.array(ask(port, body, patience=180))
    finally:
        server.terminate()
        server.wait()
    ours = compile_model(folder, FEATURES).predict(batch.slice(0, 50))
    np.testing.assert_allclose(one_number(served), ours, rtol=0, atol=1e-9)
