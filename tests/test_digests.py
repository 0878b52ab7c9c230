from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from scorelake import digests
from scorelake.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = [Column(name="a", type="int"), Column(name="b", type="int"), Column(name="run_id", type="string")]


def digest(spark: SparkSession, rows: list[tuple[Any, ...]], columns: list[Column] = COLUMNS) -> tuple[int, int]:
    ddl = ", ".join(f"{column.name} {column.type}" for column in columns)
    (row,) = spark.createDataFrame(rows, ddl).agg(*digests.slice_digest(columns)).collect()
    return int(row["rows"]), int(row["digest"])


def test_a_digest_is_a_multiset_of_rows(spark: SparkSession) -> None:
    one, other = (1, 2, "r"), (3, None, "r")
    assert digest(spark, [one, other]) == digest(spark, [other, one])
    assert digest(spark, [one, one]) != digest(spark, [one, other])
    assert digest(spark, []) == (0, 0)


def test_nulls_do_not_move_between_columns(spark: SparkSession) -> None:
    assert digest(spark, [(1, None, "r")]) != digest(spark, [(None, 1, "r")])


def test_audit_columns_leave_no_trace(spark: SparkSession) -> None:
    assert digest(spark, [(1, 2, "r")]) == digest(spark, [(1, 2, "s")])


def test_the_digest_is_the_sum_of_sparks_hash(spark: SparkSession) -> None:
    rows = spark.sql("SELECT CAST(id AS INT) AS a, CAST(nullif(id % 7, 3) AS INT) AS b FROM range(5000)")
    hashed = "sum(CAST(xxhash64(a, a IS NULL, b, b IS NULL) AS DECIMAL(38,0)))"
    expected = rows.selectExpr(f"CAST({hashed} AS DECIMAL(38,0)) AS digest").first()
    found = rows.agg(*digests.slice_digest(COLUMNS[:2])).first()
    assert expected is not None
    assert found is not None
    assert abs(expected["digest"]) > 2**63
    assert (found["rows"], found["digest"]) == (5000, expected["digest"])


def test_columns_are_hashed_with_the_types_of_the_contract(spark: SparkSession) -> None:
    narrow = spark.createDataFrame([(1, 2)], "a SMALLINT, b BIGINT")
    (row,) = narrow.agg(*digests.slice_digest(COLUMNS[:2])).collect()
    assert (row["rows"], int(row["digest"])) == digest(spark, [(1, 2, "r")])


def test_maps_and_structs_have_a_digest(spark: SparkSession) -> None:
    columns = [Column(name="m", type="map<string,int>"), Column(name="s", type="struct<x:timestamp>")]
    at = datetime(2024, 1, 1)
    assert digest(spark, [({"a": 1, "b": 2}, (at,))], columns) == digest(spark, [({"b": 2, "a": 1}, (at,))], columns)
    assert digest(spark, [({"a": 1}, (at,))], columns) != digest(spark, [({"a": 2}, (at,))], columns)


def test_each_slice_has_its_digest(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, 2, "d1"), (1, 2, "d2"), (1, 3, "d2")], "a INT, b INT, day STRING")
    found = {
        row["day"]: (row["rows"], int(row["digest"]))
        for row in digests.digest_by_slice(frame, COLUMNS[:2], by="day").collect()
    }
    assert found == {"d1": digest(spark, [(1, 2, "")]), "d2": digest(spark, [(1, 2, ""), (1, 3, "")])}


def test_a_definition_hash_depends_on_parts_and_not_on_their_order() -> None:
    one = digests.definition_hash({"sql": "SELECT 1", "contract": {"keys": ["a", "b"]}})
    assert one == digests.definition_hash({"contract": {"keys": ["a", "b"]}, "sql": "SELECT 1"})
    assert one != digests.definition_hash({"sql": "SELECT 1", "contract": {"keys": ["b", "a"]}})
    assert len(one) == 64


def test_the_engines_own_meaning_is_in_every_hash(monkeypatch: Any) -> None:
    before = digests.definition_hash({})
    monkeypatch.setattr(digests, "ENGINE_SEMANTICS", "another")
    assert digests.definition_hash({}) != before


def test_python_means_its_syntax_tree() -> None:
    source = 'def f(x):\n    """What it does."""\n    return x + 1  # why\n'
    assert digests.python_meaning(source) == digests.python_meaning("def f( x ):\n    return (x + 1)\n")
    assert digests.python_meaning(source) != digests.python_meaning("def f(x):\n    return x + 2\n")
