"""`ops.definitions`: what every definition hash that a night has met stands for, so that a change can be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scorelake import runs
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column

DEFINITIONS = "ops.definitions"
COLUMNS = (
    Column(name="definition_hash", type="string"),
    Column(name="table_name", type="string", comment="the table whose rows it shapes"),
    Column(name="meaning", type="string", comment="contract, SQL, features, as YAML"),
    Column(name="first_seen_at", type="timestamp"),
    Column(name="run_id", type="string"),
)


def record(lake: Lake, meanings: Mapping[tuple[str, str], str]) -> None:
    """Append the meanings of (table, hash) that are not there yet; mostly none, and then nothing is written."""
    lake.create(DEFINITIONS, COLUMNS, partitioned_by=["table_name"], comment="What definition hashes stand for.")
    known = set(read(lake, meanings))
    rows = [
        (digest, table, text, runs.wall_clock(), runs.run_id())
        for (table, digest), text in meanings.items()
        if text and (table, digest) not in known
    ]
    if rows:
        frame = lake.spark.createDataFrame(rows, ", ".join(column.ddl for column in COLUMNS))
        lake.append(frame, DEFINITIONS, Mark(runs.run_id(), "log", ()))


def read(lake: Lake, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The meaning of each (table, hash) that is known: as many rows as were asked for, and their repetitions."""
    from pyspark.sql import functions as F

    pairs = list(wanted)
    if not pairs or not lake.exists(DEFINITIONS):
        return {}
    rows = lake.read(DEFINITIONS).where(F.col("definition_hash").isin([digest for _, digest in pairs]))
    found = {(row["table_name"], row["definition_hash"]): row["meaning"] for row in rows.collect()}
    return {pair: found[pair] for pair in pairs if pair in found}
