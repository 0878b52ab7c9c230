"""Run the rows-in, rows-out tests that stand in <table>.tests.yaml beside the SQL of silver and gold tables.

Reads   conf/tables/*/*.tests.yaml and the definitions that they test; no table of the lake
Writes  nothing

    ./spark-submit.sh test-definitions --env local
    ./spark-submit.sh test-definitions --env local --only gold.recency

Exit code 1 when a test fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _silver
from jobs.build_gold import rows_of
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.definitions import Definitions, load_definitions
from scorelake.nightly import graph
from scorelake.quality import gate
from scorelake.quality.gate import Subject
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.tables import Silver, Versioned
from scorelake.transform import cases, figures, python, silver, visible
from scorelake.transform.cases import Case

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from scorelake.nightly.graph import Node
    from scorelake.transform.visible import History

DATES = False


def run(spark: SparkSession, settings: Settings, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    python.import_all(definitions.conf_dir)
    nodes = {node.table: node for node in graph.table_nodes(definitions)}
    tested = {name: path for name in nodes if (path := _file(definitions, name)).is_file()}

    outcomes = []
    for name in cli.chosen(tested, only):
        for case in cases.load_cases(tested[name]):
            found = _differences(spark, definitions, nodes[name], case, str(tested[name]))
            said = tuple(f"{name}: {case.name}: {text}" for text in found)
            outcomes.append(Outcome(failed=said) if said else Outcome(notes=(f"{name}: {case.name}: ok",)))
    return runs.combined(outcomes)


def _file(definitions: Definitions, table: str) -> Path:
    return definitions.sql_path(table).with_suffix(cases.SUFFIX)


def _differences(spark: SparkSession, definitions: Definitions, node: Node, case: Case, file: str) -> list[str]:
    if node.table in definitions.silver:
        return _of_silver(spark, definitions, node, case, file)
    at = visible.at({name: _history(spark, definitions, name, case, file) for name in node.inputs})
    return cases.differences(spark, rows_of(spark, definitions, node, [case.run_date], at), case, file=file)


def _of_silver(spark: SparkSession, definitions: Definitions, node: Node, case: Case, file: str) -> list[str]:
    contract, bronze = definitions.silver[node.table], definitions.bronze[node.same_date[0]]
    rows = cases.given(spark, bronze, case, file=file)
    frozen = figures.load(definitions.conf_dir, contract)
    if contract.transform is not None:
        function = python.load(definitions.conf_dir, contract.transform)
        found = silver.candidates_of(function, contract, bronze, rows, figures=frozen)
    else:
        others = {name: _history(spark, definitions, name, case, file) for name in node.history}
        query = definitions.sql[node.table]
        found = silver.candidates(spark, query, contract, bronze, rows, others=others, figures=frozen)
    days = [case.run_date]
    subject, own_rules = Subject.of(contract), _silver.implied(found)
    judge = gate.prepare(found.frame, subject, contract.expectations, own_rules, days, kept=found.columns)
    staged = judge.staged(found.frame, lambda frame: frame.localCheckpoint())
    verdicts = judge.verdicts(staged, due=())
    accepted = judge.accepted(staged, verdicts, found.columns)
    rejected = judge.quarantined(staged, verdicts, found.received).select("source_row", "reasons").collect()
    have = {row["source_row"]: list(row["reasons"]) for row in rejected}
    want = {each.row: list(each.reasons) for each in case.rejected}
    return [
        *cases.differences(spark, accepted, case, file=file),
        *(f"row {row} is quarantined: {', '.join(have[row])}" for row in sorted(have) if have[row] != want.get(row)),
        *(f"row {row} is not quarantined" for row in sorted(set(want) - set(have))),
    ]


def _history(spark: SparkSession, definitions: Definitions, name: str, case: Case, file: str) -> History:
    contract = definitions.tables[name]
    assert isinstance(contract, Versioned)
    rows: DataFrame = cases.given(spark, contract, case, file=file)
    if isinstance(contract, Silver):
        is_snapshot = graph.source_of(definitions, name).repeats_snapshots
        days = {row[0] for row in rows.select("run_date").distinct().collect()} if is_snapshot else None
        return visible.History(rows, contract, snapshots=days)
    return visible.History(rows, contract)


if __name__ == "__main__":
    cli.main(run, description=__doc__)
