"""What `plan` costs for a year of twenty tables once the session has started; a commit a table and night.

The logs are written as Delta writes them, without the data: a plan reads nothing else.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import plan
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.nightly import graph
from scorelake.nightly.graph import Node
from scorelake.runs import Outcome
from scorelake.settings import Settings, load_settings
from scorelake.stores.marks import Mark
from tests.benchmarks import harness
from tests.benchmarks.harness import Options, Report

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST = date(2024, 1, 1)
SOURCES = 7
"""Each with a bronze and a silver table; gold tables that read two silver tables make it twenty."""
GOLD = 6
FILES = 4
"""Added and removed in each commit, with the statistics that Delta writes: lines that a plan must pass over."""


def bench(spark: SparkSession, options: Options) -> Report:
    """`plan` of a whole year, everything up to date, against the same with every slice still missing."""
    nights = RunDates(FIRST, FIRST + timedelta(days=max(1, round(366 * options.scale)) - 1))
    with tempfile.TemporaryDirectory() as folder:
        done, empty = (_settings(Path(folder) / name) for name in ("done", "empty"))
        nodes = graph.table_nodes(load_definitions(done.conf_dir))
        for node in nodes:
            _write_log(Path(done.lake.root) / node.table.replace(".", "/"), node, nights)
        told: dict[str, Outcome] = {}
        seconds: dict[str, float] = {}

        def planned(name: str, settings: Settings) -> None:
            began = time.monotonic()
            with contextlib.redirect_stdout(io.StringIO()):
                told[name] = plan.run(spark, settings, nights)
            seconds[f"{name}_wall_seconds"] = min(time.monotonic() - began, seconds.get(f"{name}_wall_seconds", 1e9))

        sides = {"up to date": lambda: planned("done", done), "missing": lambda: planned("empty", empty)}
        cpu = harness.measure(sides, options.rounds, warm_up=1)
    equal = told["done"].notes == ("everything is up to date",) and told["empty"].notes == (
        f"ranges: {len(nodes)} to run",
    )
    return Report("planning", equal, cpu, {}, len(nodes) * len(nights), options.rounds, extra=seconds)


def _settings(home: Path) -> Settings:
    conf = home / "conf"
    for name, text in _definitions().items():
        path = conf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (home / "feature_repo").mkdir()
    (home / "feature_repo" / "feature_store.yaml").write_text("project: none\nprovider: local\nregistry: registry.db\n")
    return load_settings(conf, "local", [f"local.home={home}"])


def _definitions() -> dict[str, str]:
    found = {"base.yaml": "", "local.yaml": "{}"}
    columns = "[id BIGINT, at TIMESTAMP, amount DOUBLE]"
    for n in range(SOURCES):
        found[f"tables/bronze/t{n}.yaml"] = (
            "description: Rows.\ncolumns: [id STRING, at STRING, amount STRING]\n"
            f'source: {{kind: csv, path: "t{n}/{{run_date}}/*", delivery: events, starts: {FIRST}, delivers: daily}}\n'
        )
        found[f"tables/silver/t{n}.yaml"] = f"{{description: Rows., columns: {columns}, keys: [id], event_time: at}}\n"
        found[f"tables/silver/t{n}.sql"] = f"SELECT id, at, amount FROM bronze.t{n}\n"
    for n in range(GOLD):
        found[f"tables/gold/g{n}.yaml"] = "{description: Sums., columns: [id BIGINT, amount DOUBLE], keys: [id]}\n"
        found[f"tables/gold/g{n}.sql"] = (
            f"SELECT a.id, sum(a.amount) AS amount FROM silver.t{n} a "
            f"LEFT JOIN silver.t{n + 1} b ON a.id = b.id GROUP BY a.id"
        )
    return found


def _write_log(place: Path, node: Node, nights: RunDates) -> None:
    log = place / "_delta_log"
    log.mkdir(parents=True)
    for version, day in enumerate(nights, 1):
        mark = Mark(f"run-{version}", node.mark, (day,), node.definition_hash, dict.fromkeys(node.inputs, version))
        info = {
            "timestamp": 1_700_000_000_000 + version,
            "operation": "WRITE",
            "userMetadata": mark.to_json(),
            "operationMetrics": {"numOutputRows": "1000", "numFiles": str(FILES)},
        }
        statistics = json.dumps({"numRecords": 1000, "minValues": {"id": 1}, "maxValues": {"id": 10**9}})
        actions = [
            {kind: {"path": f"run_date={day}/part-{number}.parquet", "size": 10**6, "stats": statistics}}
            for kind in ("add", "remove")
            for number in range(FILES)
        ]
        lines = [{"commitInfo": info}, *actions]
        (log / f"{version:020}.json").write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines))


if __name__ == "__main__":
    harness.main(bench)
