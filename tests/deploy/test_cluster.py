"""A whole night on a real cluster: two workers, a driver in another folder, and only what the package carries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil
import pytest
from delta.tables import DeltaTable

from scorelake.definitions import load_definitions
from scorelake.nightly import graph
from scorelake.platforms import package, submit
from scorelake.platforms.package import Package
from scorelake.settings import load_settings
from tests.deploy.conftest import ROOT
from tests.ports import free_port
from tests.shop import land
from tests.shop.night import NIGHTS, SHOP, TRAINED_AT
from tests.shop.slices import digests_of

if TYPE_CHECKING:
    from tests.shop.night import Shop

pytestmark = pytest.mark.slow

SPARK = Path(sys.prefix) / "bin" / "spark-class"


def test_a_night_on_two_workers_writes_the_rows_of_a_night_on_one_machine(cluster: Cluster, shop: Shop) -> None:
    land.land(cluster.home / "landing", land.YEAR)
    tables = ",".join(sorted(labels_and_below()))
    cluster.run("backfill", "--from", land.YEAR.first, "--to", land.YEAR.last, "--only", tables)
    for job in ("build_training_set", "train_model", "promote_model"):
        cluster.run(job, "--run-date", TRAINED_AT.first)
    cluster.run("run_nightly", "--from", NIGHTS.first, "--to", NIGHTS.last)
    for table in ("silver.sales", "silver.events", "gold.churn_60d", "features.shop_v1", "scores.churn"):
        assert cluster.digests(shop, table) == digests_of(shop.lake.read(table), table), table


def test_executors_that_die_cost_no_row(cluster: Cluster, shop: Shop) -> None:
    second = replace(cluster, home=cluster.home.with_name("second home"))
    land.land(second.home / "landing", land.YEAR)
    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_executors, second.home / "lake/bronze/events/_delta_log" / f"{1:020}.json")
        tables = "bronze.events,silver.events"
        second.run("backfill", "--from", land.YEAR.first, "--to", land.YEAR.last, "--only", tables)
    assert killed.result() == 2
    assert second.digests(shop, "silver.events") == digests_of(shop.lake.read("silver.events"), "silver.events")


def test_workers_of_a_cluster_train_together_what_one_process_trains(cluster: Cluster) -> None:
    script = Path(__file__).with_name("trained_together.py")
    command = ["spark-submit", "--master", cluster.master, *cluster.options(), str(script), str(cluster.home)]
    cluster.home.mkdir(exist_ok=True)
    told = json.loads(cluster.submit(command).strip().splitlines()[-1])
    assert (cluster.home / "died").exists(), "no executor was killed"
    assert told["workers"] == [2, 2, 2]
    assert told["here"] > 0.7
    assert told["after_a_death"] == told["files"]
    assert [told["files"], told["jvm"]] == pytest.approx([told["here"]] * 2, abs=0.002)
    assert told["mllib"] == pytest.approx(told["here"], abs=0.02)


def kill_executors(commit: Path) -> int:
    """SIGKILL for every executor as soon as `commit` is there; how many there were."""
    for _ in range(6000):
        if commit.exists():
            break
        time.sleep(0.1)
    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("CoarseGrainedExecutorBackend" in word for word in process.info["cmdline"] or ())
    ]
    for process in found:
        process.kill()
    return len(found)


@dataclass(frozen=True)
class Cluster:
    """Jobs run as processes of their own, from what `shipped` holds and an environment that holds nothing else."""

    master: str
    shipped: Package
    conf: Path
    home: Path
    elsewhere: Path

    def run(self, *call: object) -> None:
        words = [*map(str, call), "--env", "cluster"]
        exports = {"SCORELAKE_MASTER": self.master, "SCORELAKE_HOME": str(self.home)}
        os.environ.update(exports)
        settings = load_settings(self.conf, "cluster", [], SHOP / "feature_repo")
        [command] = submit.commands(settings, self.shipped, words, exports, self.properties)
        self.submit(command)
        assert not list(self.elsewhere.rglob("_delta_log")), "a table was written where the driver stood"

    @property
    def properties(self) -> dict[str, str]:
        sized = {"spark.executor.memory": "1g", "spark.executor.cores": "1", "spark.sql.shuffle.partitions": "2"}
        sized |= {"spark.pyspark.python": sys.executable}
        return submit.spark_properties([ROOT / "conf" / "spark" / "cluster.conf"]) | sized

    def options(self) -> list[str]:
        """spark-submit's, for a script that needs the package's code and nothing else."""
        code = ["--py-files", str(self.shipped.zips[0])]
        return code + [part for key, value in self.properties.items() for part in ("--conf", f"{key}={value}")]

    def submit(self, command: Sequence[str]) -> str:
        """What the command says, which must end well."""
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "HOME": str(self.elsewhere)}
        environment |= {name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ}
        done = subprocess.run(
            command, cwd=self.elsewhere, env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    def digests(self, shop: Shop, table: str) -> dict[str, tuple[int, str]]:
        path = self.home / "lake" / table.replace(".", "/")
        return digests_of(DeltaTable.forPath(shop.spark, str(path)).toDF(), table)


def labels_and_below() -> set[str]:
    definitions = load_definitions(SHOP / "conf")
    nodes = graph.table_nodes(definitions)
    return {node.subject for node in nodes if node.table not in definitions.gold or node.table in definitions.labels}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place = tmp_path_factory.mktemp("a cluster")
    conf = place / "conf"
    subprocess.run(["cp", "-r", SHOP / "conf", conf], check=True)
    subprocess.run(["cp", ROOT / "conf" / "cluster.yaml", conf], check=True)
    shipped = package.build(ROOT, conf, SHOP / "feature_repo", place / "dist")
    (place / "elsewhere").mkdir()
    master, page = free_port(), free_port()
    with ExitStack() as running:
        started(running, place / "master.log", "master.Master", ["--port", str(master), "--webui-port", str(page)])
        for number in (1, 2):
            options = [
                "--cores",
                "1",
                "--memory",
                "1g",
                "--webui-port",
                "0",
                "--work-dir",
                str(place / f"work{number}"),
            ]
            started(running, place / f"worker{number}.log", "worker.Worker", [*options, f"spark://127.0.0.1:{master}"])
        wait_for_workers(page, 2)
        yield Cluster(f"spark://127.0.0.1:{master}", shipped, conf, place / "home", place / "elsewhere")


def started(running: ExitStack, log: Path, name: str, options: Sequence[str]) -> None:
    """A daemon that ends with the test."""
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
    written: IO[bytes] = running.enter_context(log.open("wb"))
    command = [SPARK, f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", *options]
    process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT, env=environment, cwd=log.parent)
    running.callback(process.wait, 30)
    running.callback(process.terminate)


def wait_for_workers(page: int, workers: int) -> None:
    """The master's own page says who has registered."""
    for _ in range(300):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
            if json.load(answer)["aliveworkers"] == workers:
                return
        time.sleep(0.2)
    raise AssertionError(f"the master at port {page} does not know {workers} workers after a minute")
