"""Say what a night would do: what is missing, stale and why, blocked and by what. Runs nothing, reads no data.

Reads   the marks in the commits of all tables, the definitions; ops.definitions for what changed in one
Writes  nothing

    ./spark-submit.sh plan --env local --run-date 2017-12-31
    ./spark-submit.sh plan --env local --from 2017-01-01 --to 2017-12-31 --json

A slice is stale when its definition changed, when a slice that it was made from was written again since (late or
re-landed data), or when one will be. Rows are estimated from the slices written before. Training is not planned:
train_model decides by itself, on demand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from json import dumps
from typing import TYPE_CHECKING

from jobs import _night, _screen, run_nightly
from scorelake.cli import ALL, Names, chosen, main
from scorelake.definitions import load_definitions
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph, meanings, plan
from scorelake.runs import Outcome
from scorelake.stores import known_definitions
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from scorelake.dates import RunDates
    from scorelake.nightly.graph import Node
    from scorelake.nightly.plan import Planned
    from scorelake.settings import Settings

OPTIONS = {"--json": {"action": "store_true", "help": "one JSON object a line, for programs"}}


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL, *, json: bool = False) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    lake = Lake(spark, settings.lake)
    nodes = graph.nightly_nodes(definitions, repo)
    wanted = set(chosen(dict.fromkeys(node.subject for node in nodes), only))

    def due(node: Node) -> Sequence[date]:
        return run_nightly.due_dates(definitions, node, dates)

    planned = [item for item in plan.plan(definitions, nodes, due, lake.commits) if item.subject in wanted]

    diffs = _diffs(lake, nodes, planned)
    _print_json(planned, diffs) if json else _print_table(planned, diffs)
    counts = Counter(item.action for item in planned)
    told = ", ".join(
        f"{count} to {action}" if action == plan.RUN else f"{count} {action}" for action, count in counts.items()
    )
    return Outcome() if json else Outcome(notes=(f"ranges: {told}" if told else "everything is up to date",))


def _diffs(lake: Lake, nodes: Sequence[Node], planned: Sequence[Planned]) -> dict[tuple[str, str], str]:
    """How each definition changed, by table and the hash before; nothing for one that no night has met."""
    changed = [(item.table, *item.changed) for item in planned if item.changed]
    now = _night.meanings(nodes) if changed else {}
    before = known_definitions.read(lake, {(table, old) for table, old, _ in changed})
    return {
        (table, old): meanings.diff(before.get((table, old), ""), now.get((table, new), ""))
        for table, old, new in changed
    }


def _print_json(planned: Sequence[Planned], diffs: Mapping[tuple[str, str], str]) -> None:
    for item in planned:
        data = {
            "step": item.step,
            "subject": item.subject,
            "table": item.table,
            "from": str(item.dates.first),
            "to": str(item.dates.last),
            "action": item.action,
            "cause": item.cause,
            "rows": item.rows,
        }
        if item.changed:
            before, now = item.changed
            data |= {"hash_before": before, "hash": now, "diff": diffs[item.table, before]}
        print(dumps(data))


def _print_table(planned: Sequence[Planned], diffs: Mapping[tuple[str, str], str]) -> None:
    table = _screen.table("step", "subject", "dates", "action", "cause", "rows", right=("rows",))
    for item in planned:
        rows = "" if item.rows is None else f"~{item.rows:,}"
        table.add_row(item.step, item.subject, str(item.dates), item.action, item.cause, rows)
    _screen.console().print(table)
    for (name, before), diff in diffs.items():
        told = diff or "what it was before is not on record: no night has met it"
        _screen.console().print(f"{name}, definition {before[:12]}:\n{told}", markup=False, highlight=False)


if __name__ == "__main__":
    main(run, description=__doc__)
