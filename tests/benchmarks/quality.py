"""Gate, split and write both sides, against a plain cast and write, and against Great Expectations and the same write.

5 M bronze rows of 20 text columns, 12 row-level and 4 table-level expectations; most hold for every row, and one row in
some 600 is quarantined.

The gate side does all that build_silver does but the commit log; the plain side casts the same columns and writes them
without asking anything. GX answers in two ways: `gx` names the rows that failed, so that both sides can be written as
the gate writes them; `gx_counts` only counts them, and everything is written as one table, good and bad. Uniqueness,
which needs a shuffle, is reported beside.

    python -m tests.benchmarks.quality --scale 0.2
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorelake.quality import gate
from scorelake.quality.catalogue import built, load
from scorelake.quality.rules import implied
from scorelake.quality.verdicts import Verdict
from scorelake.stores.staging import STAGED
from scorelake.tables import Bronze, Expectation, Silver
from scorelake.transform import silver
from tests.benchmarks import harness
from tests.benchmarks.harness import Options, Report

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 5_000_000
DAY = date(2024, 1, 1)
POSITION = ("source_file", "source_row")
"""Where a row stood: by these GX names the rows that failed."""
TYPES = {
    **{f"n{i}": "bigint" for i in range(8)},
    **{f"d{i}": "decimal(10,2)" for i in range(4)},
    **{f"s{i}": "string" for i in range(5)},
    **{f"t{i}": "timestamp" for i in range(3)},
}


def _expectation(kind: str, action: str, **kwargs: object) -> Expectation:
    return Expectation.model_validate({"type": f"expect_{kind}", "action": action, "kwargs": kwargs})


ROW_LEVEL = (
    _expectation("column_values_to_not_be_null", "quarantine", column="n0"),
    _expectation("column_values_to_not_be_null", "fail", column="s0", mostly=0.9),
    _expectation("column_values_to_be_between", "quarantine", column="n1", min_value=100),
    _expectation("column_values_to_be_between", "warn", column="d0", min_value=0, max_value=9_999),
    _expectation("column_values_to_be_between", "warn", column="d1", min_value=0),
    _expectation("column_values_to_be_in_set", "warn", column="s1", value_set=[f"cat-{i}" for i in range(500)]),
    _expectation("column_values_to_not_be_in_set", "quarantine", column="n2", value_set=[7, 77, 777]),
    _expectation("column_values_to_match_regex", "warn", column="s2", regex="^cat-[0-9]{1,3}$"),
    _expectation("column_value_lengths_to_be_between", "warn", column="s3", min_value=5, max_value=7),
    _expectation("column_pair_values_a_to_be_greater_than_b", "warn", column_A="d2", column_B="d3"),
    _expectation("column_pair_values_to_be_equal", "quarantine", column_A="n3", column_B="n4"),
    _expectation("multicolumn_sum_to_equal", "warn", column_list=["n5", "n6"], sum_total=100_000),
)
TABLE_LEVEL = (
    _expectation("table_row_count_to_be_between", "fail", min_value=1),
    _expectation("column_mean_to_be_between", "warn", column="n1", min_value=0),
    _expectation("column_max_to_be_between", "warn", column="d1", max_value=10_000),
    _expectation("column_min_to_be_between", "warn", column="t0", min_value="2020-01-01"),
)
NEVER = _expectation("column_values_to_be_between", "quarantine", column="n1", min_value=1_000_000)
"""What no row meets."""
UNIQUE = _expectation("compound_columns_to_be_unique", "quarantine", column_list=["n0", "n1", "d0"])


@dataclass(frozen=True)
class Work:
    """The bronze slice, and a folder for what the sides write."""

    spark: SparkSession
    bronze: DataFrame
    folder: Path

    def candidates(self) -> silver.Candidates:
        return silver.candidates(
            self.spark, f"SELECT {', '.join(TYPES)} FROM bronze.t", _silver(), _bronze(), self.bronze
        )

    def write(self, frame: DataFrame, name: str) -> None:
        """A new Delta table, partitioned as the lake's are."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        frame.write.format("delta").partitionBy("run_date").save(str(self.folder / name))

    def stage(self, frame: DataFrame) -> DataFrame:
        place = str(self.folder / "staged")
        frame.write.mode("overwrite").options(**STAGED).parquet(place)
        return self.spark.read.schema(frame.schema).parquet(place)

    def plain(self) -> None:
        found = self.candidates()
        self.write(found.frame.select(*found.columns), "plain")

    def gated(self, expectations: Sequence[Expectation]) -> Verdict:
        found = self.candidates()
        rules = [implied(name, failed, settles=name == "malformed") for name, failed in found.rules]
        subject = gate.Subject("silver.t", tuple(TYPES))
        judge = gate.prepare(found.frame, subject, expectations, rules, [DAY], kept=found.columns)
        staged = judge.staged(found.frame, self.stage)
        [verdict] = judge.verdicts(staged, due=[DAY])
        self.write(judge.quarantined(staged, [verdict], found.received), "quarantine")
        self.write(judge.accepted(staged, [verdict], found.columns), "silver")
        return verdict

    def counted_by_gx(self, expectations: Sequence[Expectation]) -> list[Any]:
        """A checkpoint that counts, on the same frame, then everything in one write: nobody knows which rows failed."""
        found = self.candidates()
        results = _checkpoint(found.frame.select(*TYPES), expectations, {"result_format": "BASIC"})
        self.write(found.frame.select(*found.columns), "counted_by_gx")
        return results

    def split_by_gx(self, expectations: Sequence[Expectation]) -> list[Any]:
        """A checkpoint that names the rows that failed, on the same frame, then the same write of both sides."""
        from pyspark.sql import functions as F

        found = self.candidates()
        asked = {"result_format": "COMPLETE", "unexpected_index_column_names": list(POSITION)}
        results = _checkpoint(found.frame.select(*TYPES, *POSITION), expectations, asked)
        failed = {
            tuple(place[name] for name in POSITION)
            for result in results
            if result.expectation_config.severity == "warning"  # action: quarantine
            for place in result.result.get("unexpected_index_list") or ()
        }
        refused = F.broadcast(self.spark.createDataFrame(sorted(failed), found.frame.select(*POSITION).schema))
        self.write(found.frame.join(refused, list(POSITION), "left_semi"), "quarantine_by_gx")
        self.write(found.frame.join(refused, list(POSITION), "left_anti").select(*found.columns), "split_by_gx")
        return results


def _checkpoint(frame: DataFrame, expectations: Sequence[Expectation], asked: dict[str, Any]) -> list[Any]:
    """GX's results of one checkpoint over `frame`."""
    context = load().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_spark("s", persist=False).add_dataframe_asset("a")
    batch = asset.add_batch_definition_whole_dataframe("b")
    objects = [built(each) for each in expectations]
    suite = context.suites.add(load().ExpectationSuite(name="suite", expectations=objects))
    definition = load().ValidationDefinition(name="v", data=batch, suite=suite)
    validated = [context.validation_definitions.add(definition)]
    checkpoint = load().Checkpoint(name="c", validation_definitions=validated, result_format=asked)
    run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
    [answer] = run.run_results.values()
    return list(answer.results)


def bench(spark: SparkSession, options: Options) -> Report:
    """The gate of a silver table against no gate and against GX."""
    rows = int(ROWS * options.scale)
    folder = Path(tempfile.mkdtemp(prefix="bench-quality-"))
    try:
        work = Work(spark, written_bronze(spark, folder, rows), folder)
        equal = _answers_equal(work, rows)
        everything = (*ROW_LEVEL, *TABLE_LEVEL)
        sides: dict[str, Callable[[], object]] = {
            "plain": work.plain,
            "gate": lambda: work.gated(everything),
            "gate_unique": lambda: work.gated((*everything, UNIQUE)),
            "gx": lambda: work.split_by_gx(everything),
            "gx_counts": lambda: work.counted_by_gx(everything),
        }
        cpu = harness.measure(sides, options.rounds)
        ratios = {
            "gate_vs_gx": harness.ratio(cpu, "gate", "gx"),
            "gate_vs_gx_counts": harness.ratio(cpu, "gate", "gx_counts"),
            "gate_vs_plain_write": harness.ratio(cpu, "gate", "plain"),
            "gate_with_uniqueness_vs_plain_write": harness.ratio(cpu, "gate_unique", "plain"),
        }
        return Report("quality", equal, cpu, ratios, rows, options.rounds)
    finally:
        shutil.rmtree(folder)


def _answers_equal(work: Work, rows: int) -> bool:
    """GX's counts on the same rows are the gate's, and no row is lost or doubled."""
    verdict = work.gated(ROW_LEVEL)
    ours = {result.rule: (result.rows, result.unexpected, result.success) for result in verdict.results if result.gx}
    theirs = [
        (each.result["element_count"], each.result["unexpected_count"], each.success)
        for each in work.split_by_gx(ROW_LEVEL)
    ]
    count = {
        name: work.spark.read.format("delta").load(str(work.folder / name)).count()
        for name in ("silver", "quarantine", "split_by_gx", "quarantine_by_gx")
    }
    print(f"rows {rows}, {', '.join(f'{name} {number}' for name, number in count.items())}")
    # GX is shown cast values, so that those which did not parse are nulls to it, and some of their rows go unnoticed.
    is_split = count["silver"] + count["quarantine"] == rows and 0 < count["quarantine"] < rows
    is_split_by_gx = count["split_by_gx"] + count["quarantine_by_gx"] == rows and count["quarantine_by_gx"] > 0
    return sorted(ours.values()) == sorted(theirs) and is_split and is_split_by_gx


def written_bronze(spark: SparkSession, folder: Path, rows: int) -> DataFrame:
    from pyspark.sql import functions as F

    def drawn(column: int, below: int) -> str:
        return f"pmod(xxhash64(id, {column}), {below})"

    def number(column: int, shown: str) -> str:
        """Digits, but one in ten thousand is none."""
        return f"CASE WHEN {drawn(60 + column, 10_000)} = 0 THEN 'x' ELSE CAST({shown} AS STRING) END"

    text = {
        **{f"n{i}": number(i, drawn(i, 100_000)) for i in range(4)},
        "n4": number(4, drawn(3, 100_000)),
        "n5": number(5, drawn(5, 100_000)),
        "n6": number(6, f"100000 - {drawn(5, 100_000)}"),
        "n7": number(7, drawn(7, 100_000)),
        **{f"d{i}": f"CAST(CAST({drawn(20 + i, 900_000)} / 100 AS DECIMAL(10,2)) AS STRING)" for i in range(2)},
        "d2": f"CAST(CAST({drawn(22, 900_000)} / 100 + 1 AS DECIMAL(10,2)) AS STRING)",
        "d3": f"CAST(CAST({drawn(22, 900_000)} / 100 AS DECIMAL(10,2)) AS STRING)",
        **{f"s{i}": f"concat('cat-', {drawn(30 + i, 500)})" for i in range(5)},
        **{f"t{i}": f"CAST(timestamp_seconds(1704067200 + {drawn(40 + i, 86_400)}) AS STRING)" for i in range(3)},
    }
    columns = [F.expr(sql).alias(name) for name, sql in text.items()]
    provenance = (
        "CAST(NULL AS STRING) AS raw",
        "CAST(NULL AS MAP<STRING,STRING>) AS extra",
        "concat('sales/2024-01-01/part-', id % 4, '.csv') AS source_file",
        "id + 1 AS source_row",
        "DATE'2024-01-01' AS run_date",
        "TIMESTAMP'2024-01-02' AS available_at",
        "TIMESTAMP'2024-01-02 03:00:00' AS ingested_at",
        "'run' AS run_id",
    )
    place = str(folder / "bronze")
    frame = spark.range(rows, numPartitions=4).select(*columns, *map(F.expr, provenance))
    frame.write.format("delta").partitionBy("run_date").save(place)
    return spark.read.format("delta").load(place)


def _bronze() -> Bronze:
    source = {"kind": "csv", "path": "{run_date}.csv", "delivery": "events", "starts": DAY, "delivers": "daily"}
    columns = [f"{name} STRING" for name in TYPES]
    return Bronze.model_validate({"name": "bronze.t", "description": "t", "columns": columns, "source": source})


def _silver() -> Silver:
    columns = [f"{name} {kind}" for name, kind in TYPES.items()]
    return Silver.model_validate({"name": "silver.t", "description": "t", "columns": columns})


if __name__ == "__main__":
    harness.main(bench)
