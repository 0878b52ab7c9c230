"""Freeze the percentiles, means and modes that a silver table caps and imputes with.

Reads   bronze.*, the slices of the given run dates, as the table's SQL makes them, before anything is capped or imputed
Writes  the file that the contract names under `figures:`; printed is the digest that belongs beside it

    ./spark-submit.sh freeze_figures --env local --from 2017-01-01 --to 2017-06-30 --only silver.customers

Rows that fail to parse, and losers of their key, are left out. Personal columns have no figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _silver
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.errors import ConfigError
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake
from scorelake.transform import figures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.nightly.graph import Node


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    with_figures = [name for name, contract in definitions.silver.items() if contract.figures is not None]
    wanted = cli.chosen(with_figures, only)
    nodes = [node for node in graph.table_nodes(definitions) if node.table in wanted]
    return runs.combined(_freeze(lake, definitions, node, dates) for node in nodes)


def _freeze(lake: Lake, definitions: Definitions, node: Node, dates: RunDates) -> Outcome:
    contract = definitions.silver[node.table]
    assert contract.figures is not None
    personal = [name for name, each in contract.standardise.items() if each.figures and name in contract.personal]
    if personal:
        raise ConfigError(f"{contract.name}: {', '.join(personal)} is personal, so that no figure of it may be kept")
    untouched = {
        name: standard.model_copy(update={"cap": None, "impute": None})
        for name, standard in contract.standardise.items()
    }
    kept: list[DataFrame] = []
    found = _silver.candidates(
        lake,
        definitions,
        node,
        lake.read_slices(node.same_date[0], dates),
        kept,
        contract=contract.model_copy(update={"standardise": untouched, "figures": None}),
    )
    rows = found.frame
    for _, failed in found.rules:
        rows = rows.where(~failed)
    text = figures.measure(rows, contract).to_json()
    for frame in kept:
        frame.unpersist()

    path = definitions.conf_dir / contract.figures.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Outcome(notes=(f"{path}: figures of {contract.name}, {dates}; sha256: {figures.digest(text)}",))


if __name__ == "__main__":
    cli.main(run, description=__doc__)
