"""Train, promote and roll back against a real MLflow server: files travel by HTTP, aliases and tags by its API."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import _registry, _returning, train_model
from scorelake.errors import ScorelakeError
from scorelake.nightly.attempts import attempt
from scorelake.runs import Outcome
from scorelake.scoring.package import pack, predictor
from scorelake.settings import LakeSettings, NightSettings
from scorelake.stores import promotions
from scorelake.stores.lake import Lake
from scorelake.stores.model_registry import connect
from scorelake.stores.promotions import Promotion
from scorelake.training import train
from tests.ports import free_port
from tests.stores.test_model_registry import bundle, record
from tests.training.made_up import dataset, model

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow  # a server takes ten seconds to start
DAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    port = free_port()
    with serving(tmp_path_factory.mktemp("mlflow"), port) as process:
        yield await_answer(port, process)


@contextmanager
def serving(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that starts; SQLite below, artifacts by way of the server."""
    store = ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "artifacts")]
    call = [sys.executable, "-m", "mlflow", "server", *store, "--host", "127.0.0.1"]
    call += ["--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def await_answer(port: int, process: subprocess.Popen[bytes]) -> str:
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            if answer.status == 200:
                return address
        time.sleep(0.5)
    raise AssertionError("the server does not answer after five minutes")


def test_a_version_is_trained_promoted_shown_and_rolled_back(spark: SparkSession, server: str, tmp_path: Path) -> None:
    spark.sql("DROP SCHEMA IF EXISTS ops CASCADE")
    registry, lake = connect(server), Lake(spark, LakeSettings(root=str(tmp_path / "lake")))
    fitted = train.fit(model(calibration="isotonic"), dataset(rows=200))
    files = {name.replace(".", "_"): content for name, content in train_model._decided(fitted).items()}
    for number in (1, 2):
        assert registry.register("churn", bundle(fitted, **files), record()) == str(number)

        def decision(next_: int, version: str = str(number)) -> Promotion:
            former = promotions.champion(lake, registry, "churn")
            return Promotion("churn", next_, "gate", version, DAY, "promote", former, version, "gate", "better")

        promotions.decide(lake, "churn", decision)
        promotions.settle(lake, registry, "churn")
        assert registry.version_of("churn", "champion") == str(number)

    pinned = registry.resolve("churn", "champion", tmp_path)
    assert pinned.replay is not None
    answers = predictor(pack(pinned.folder, digest=pinned.digest, features=pinned.features))
    pinned.check_replay(answers(pinned.replay.batch(pinned.columns)))
    assert pinned.has(_registry.CALIBRATION)

    registry.attach("churn", "2", f"promotion/{DAY}.html", b"<p>side by side</p>")
    found = registry.client.download_artifacts(pinned.run_id, f"promotion/{DAY}.html", str(tmp_path))
    assert Path(found).read_bytes() == b"<p>side by side</p>"
    assert registry.pin("churn", "2", tmp_path / "again").digest == pinned.digest, "a version's files stay as they are"

    told = _returning.back(lake, registry, "churn", DAY, reason="scores fell")
    assert told == "version 2 left, version 1 returned: scores fell"
    assert registry.version_of("churn", "champion") == "1"
    assert registry.version_of("churn", "challenger") is None
    assert [(p.kind, p.champion) for p in promotions.history(lake, "churn")] == [
        ("rollback", "1"),
        ("gate", "2"),
        ("gate", "1"),
    ]
    spark.sql("DROP SCHEMA IF EXISTS ops CASCADE")


def test_a_step_goes_on_when_the_lost_server_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    port = free_port()
    with serving(tmp_path, port) as process:
        registry = connect(await_answer(port, process))
        registry.register("churn", bundle(train.fit(model(), dataset(rows=200))), record())

    asked = []

    def ask() -> Outcome:
        asked.append(1)
        with ExitStack() as running:
            if len(asked) == 3:
                await_answer(port, running.enter_context(serving(tmp_path, port)))
            # The first attempt has a registry that answered before, the second finds none.
            found = registry if len(asked) == 1 else connect(f"http://127.0.0.1:{port}")
            return Outcome(notes=tuple(version.version for version in found.history("churn")))

    policy = NightSettings(retries=2, backoff=timedelta(seconds=0))
    outcome, attempts = attempt(ask, policy, threading.Event())
    assert (outcome.exit_code, outcome.notes, attempts) == (0, ("1",), 3)


def test_a_server_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ScorelakeError, match=r"MLflow at http://127.0.0.1:1 does not answer"):
        connect("http://127.0.0.1:1")
