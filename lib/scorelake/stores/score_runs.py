"""The manifest of published scores, `ops.score_runs`: which version of everything made each night, and its digest.

It is a log: its rows follow from the marks of the commits and the tables, so that a night whose job was killed after
its commit gets its row with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scorelake import runs
from scorelake.digests import ENGINE_SEMANTICS, slice_digest
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Commit, Mark, newest
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark import sql
    from pyspark.sql import DataFrame, Row

TABLE = "ops.score_runs"
COLUMNS = (
    Column(name="score_date", type="date"),
    Column(name="model_name", type="string"),
    Column(name="role", type="string"),
    Column(name="model_version", type="string"),
    Column(name="model_digest", type="string", comment="sha256 over the version's files"),
    Column(name="way", type="string", comment="booster, linear, ensemble or library: how the model was asked"),
    Column(name="failure", type="string", comment="why a challenger or shadow has no rows; empty for none"),
    Column(name="rows", type="bigint", comment="published"),
    Column(name="rejected", type="bigint", comment="in quarantine.scores_<model>"),
    Column(name="digest", type="decimal(38,0)", comment="of the published rows, audit columns left out"),
    Column(name="table_version", type="bigint", comment="Delta version of scores.<model> that published the night"),
    Column(name="inputs", type="map<string,bigint>", comment="Delta versions read"),
    Column(name="definition_hash", type="string"),
    Column(name="code", type="string", comment="semantics version of the engine"),
    Column(name="predict_seconds", type="double", comment="inside the model, all tasks and nights of the run"),
    Column(name="run_id", type="string"),
    Column(name="recorded_at", type="timestamp", comment="wall clock, for audit only"),
)

Group = tuple[date, str, str]
"""Night, role, model version."""


def record(lake: Lake, model: str, *, steps: Sequence[str]) -> None:
    """Append what is not recorded yet of the newest commits of `steps` to `scores.<model>`."""
    lake.create(TABLE, COLUMNS, partitioned_by=["score_date"], comment="Which version of everything made each night.")
    commits = lake.commits(f"scores.{model}")
    known = _recorded_up_to(lake, model, commits)
    found = [item for step in steps for item in newest(commits, step).items()]
    new = [(day, version, mark) for day, (version, mark) in found if version > known]
    if not new:
        return
    days = sorted({day for day, _, _ in new})
    published, rejected = _published(lake, model, days), _rejected(lake, model, days)
    rows = [row for one in new for row in _rows(model, *one, published, rejected)]
    frame = lake.spark.createDataFrame(rows, ", ".join(column.ddl for column in COLUMNS))
    _, last, mark = max(new, key=lambda one: one[1])
    notes = {"model": model, "up_to": last, "run_id": mark.run_id}
    lake.append(frame, TABLE, Mark(runs.run_id(), "log", tuple(days), notes=notes))


def _recorded_up_to(lake: Lake, model: str, commits: Iterable[Commit]) -> int:
    """The version of `scores.<model>` up to which all of its `commits` are on record, -1 for none.

    The log's own marks say it; the table is asked, for the price of a hundred thousand scores, only where they do not.
    A table that was dropped and made again has other runs behind its versions: nothing of it is on record.
    """
    told: set[tuple[object, object]] = {
        (notes["up_to"], notes["run_id"])
        for notes in (commit.mark.notes for commit in lake.commits(TABLE))
        if notes.get("model") == model
    }
    if not told:
        rows = lake.read(TABLE).where(f"model_name = '{model}'").select("table_version", "run_id").distinct().collect()
        told = {(row["table_version"], row["run_id"]) for row in rows}
    return max((one.version for one in commits if (one.version, one.mark.run_id) in told), default=-1)


def _published(lake: Lake, model: str, days: Sequence[date]) -> Mapping[Group, Row]:
    return _totals(lake, f"scores.{model}", days, lambda rows: slice_digest(columns_of(rows)))


def _rejected(lake: Lake, model: str, days: Sequence[date]) -> Mapping[Group, Row]:
    from pyspark.sql import functions as F

    table = f"quarantine.scores_{model}"
    kept = lake.slices(table).intersection(days)
    return _totals(lake, table, kept, lambda _: [F.count("*").alias("rows")]) if kept else {}


def _totals(
    lake: Lake, table: str, days: Iterable[date], figures: Callable[[DataFrame], Sequence[sql.Column]]
) -> Mapping[Group, Row]:
    """`figures` of each night, role and version."""
    frame = lake.read_slices(table, days, column="score_date")
    found = frame.groupBy("score_date", "role", "model_version").agg(*figures(frame)).collect()
    return {(row["score_date"], row["role"], row["model_version"]): row for row in found}


def _rows(
    model: str, day: date, version: int, mark: Mark, published: Mapping[Group, Row], rejected: Mapping[Group, Row]
) -> Iterable[tuple[Any, ...]]:
    roles: Any = mark.notes["roles"]
    for role in roles:
        group = (day, role["role"], role["model_version"])
        mine, refused = published.get(group), rejected.get(group)
        yield (
            day,
            model,
            role["role"],
            role["model_version"],
            role["model_digest"],
            role["way"],
            role["failure"],
            mine["rows"] if mine is not None else 0,
            refused["rows"] if refused is not None else 0,
            mine["digest"] if mine is not None else Decimal(0),
            version,
            dict(mark.inputs),
            mark.definition_hash,
            ENGINE_SEMANTICS,
            role["seconds"],
            mark.run_id,
            runs.wall_clock(),
        )
