"""Show what a silver or gold table would hold, without writing anything.

Reads   what the table's SQL reads: of silver a sample of the bronze slice, of gold everything, as of the run date
Writes  nothing

    ./spark-submit.sh preview gold.recency --env local --run-date 2017-11-26
    ./spark-submit.sh preview silver.transactions --env local --run-date 2017-11-26 --rows 5

Values of personal columns are shown as ***. Beside a silver row stand the rules of the engine that it fails, if any;
expectations are not asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _as_of, _silver
from jobs.build_gold import asked_of, rows_of
from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores.lake import Lake
from scorelake.tables import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from scorelake.nightly.graph import Node

OPTIONS = {
    "table": {"help": "a silver or gold table, such as gold.recency"},
    "--rows": {"type": "int", "default": 10, "help": "how many rows to show (default 10)"},
}


def run(
    spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL, *, table: str, rows: int = 10
) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    [name] = cli.chosen([*definitions.silver, *definitions.gold], frozenset([table]))
    [node] = [node for node in graph.table_nodes(definitions) if node.table == name]

    preview = _of_silver if name in definitions.silver else _of_gold
    header, values = preview(lake, definitions, node, dates, rows)
    return Outcome(notes=(f"{name} {dates}, {len(values)} rows", *_aligned([header, *values])))


Shown = tuple[list[str], list[list[str]]]
"""Header, and at most as many rows as were asked for."""


def _of_silver(lake: Lake, definitions: Definitions, node: Node, dates: RunDates, rows: int) -> Shown:
    from pyspark.sql import functions as F

    contract = definitions.silver[node.table]
    kept: list[DataFrame] = []
    sample = lake.read_slices(node.same_date[0], dates).limit(rows)
    found = _silver.candidates(lake, definitions, node, sample, kept)
    failed = F.array_compact(F.array(*(F.when(flag, F.lit(rule)) for rule, flag in found.rules)))
    frame = found.frame.select(*map(quoted, contract.column_names), F.array_join(failed, "; ").alias("fails"))
    shown = _shown(frame, [*contract.column_names, "fails"], contract.personal, rows)
    for each in kept:
        each.unpersist()
    return shown


def _of_gold(lake: Lake, definitions: Definitions, node: Node, dates: RunDates, rows: int) -> Shown:
    contract = definitions.gold[node.table]
    asked = asked_of(contract, dates)
    with _as_of.reader(lake, definitions, node.inputs, instants=len(asked)) as at:
        frame = rows_of(lake.spark, definitions, node, asked, at)
        return _shown(frame, contract.column_names, contract.personal, rows)


def _shown(frame: DataFrame, names: Sequence[str], personal: Sequence[str], rows: int) -> Shown:
    """The first rows as text, with *** where a value may not be seen: it is not even brought here."""
    from pyspark.sql import functions as F

    columns = [F.lit("***").alias(n) if n in personal else F.col(quoted(n)).cast("string").alias(n) for n in names]
    found = frame.limit(rows).select(*columns).collect()
    return list(names), [["" if value is None else str(value) for value in row] for row in found]


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


if __name__ == "__main__":
    cli.main(run, description=__doc__)
