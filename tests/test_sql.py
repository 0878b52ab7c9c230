from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest

from scorelake import sql
from scorelake.errors import ConfigError
from scorelake.sql.columns import columns_read

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLES = {
    "bronze.b": ["k", "v", "run_date"],
    "silver.x": ["a", "b", "items", "s"],
    "silver.p": ["k", "name"],
    "silver.none": ["z"],
}
KEYS = {"silver.p": ["k"], "silver.x": ["a", "b"], "silver.none": []}


def messages(query: str, **options: list[str]) -> list[str]:
    return [f"{finding.line}: {finding.message}" for finding in sql.check(query, TABLES, **options)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a, sum(b) AS total FROM silver.x WHERE a > :run_date GROUP BY a HAVING total > 1 ORDER BY total",
        "WITH c AS (SELECT a AS q FROM silver.x) SELECT c.q, q + 1 AS r, r * 2 FROM c",
        "SELECT s.field, x.s.field, silver.x.a FROM silver.x",
        "SELECT transform(items, i -> i + a) FROM silver.x",
        "SELECT e.one FROM silver.x LATERAL VIEW explode(items) e AS one",
        "SELECT col FROM (SELECT explode(items) FROM silver.x)",
        "SELECT (SELECT max(p.name) FROM silver.p WHERE p.k = x.a) FROM silver.x",
        "SELECT a FROM silver.x UNION ALL SELECT k FROM silver.p ORDER BY a LIMIT 3",
        "SELECT first_value(a) OVER (PARTITION BY b ORDER BY a), unix_timestamp(a) FROM silver.x",
        "SELECT A, X.B FROM SILVER.x".replace("SILVER", "silver"),
    ],
)
def test_sound_sql_has_no_findings(query: str) -> None:
    assert messages(query) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT a\nFROM silver.y", "2: unknown table silver.y"),
        ("SELECT a,\n c FROM silver.x", "2: unknown column c; columns here: a, b, items, s"),
        ("SELECT p.a FROM silver.x JOIN silver.p ON p.k = x.a", "1: unknown column p.a"),
        ("SELECT g.b FROM (SELECT a FROM silver.x) g", "1: unknown column g.b"),
        ("SELECT a FROM silver.x WHERE EXISTS (SELECT 1 FROM silver.p WHERE kk = 1)", "1: unknown column kk"),
        ("SELECT a, current_timestamp FROM silver.x", "1: current_timestamp() is not a function of the rows"),
        ("SELECT NOW() FROM silver.x", "1: now() is not"),
        ("SELECT rand(5) FROM silver.x", "1: rand() is not"),
        ("SELECT uuid() FROM silver.x", "1: uuid() is not"),
        ("SELECT reflect('java.lang.System', 'getenv') FROM silver.x", "1: reflect() is not"),
        ("SELECT java_method('java.lang.System', 'getenv') FROM silver.x", "1: java_method() is not"),
        ("SELECT input_file_name() FROM silver.x", "1: input_file_name() is not"),
        ("SELECT unix_timestamp() FROM silver.x", "1: unix_timestamp() is not"),
        ("SELECT first(a) FROM silver.x", "1: first() depends on the order"),
        ("SELECT a FROM silver.x LIMIT 3", "1: LIMIT without ORDER BY"),
        ("SELECT a FROM silver.x TABLESAMPLE (10 PERCENT)", "1: TABLESAMPLE"),
        ("SELECT * FROM csv.`/etc/passwd`", "1: csv./etc/passwd: a path is no table"),
        ("SELECT a FROM silver.x VERSION AS OF 3", "1: silver.x: time travel"),
        ("SELECT a FROM silver.x WHERE a = :today", "1: unknown marker :today"),
        ("SELECT a FROM silver.x; DROP TABLE silver.x", "0: expected one SELECT, found 2"),
        ("DROP TABLE silver.x", "0: expected a SELECT"),
        ("INSERT INTO silver.x SELECT 1", "0: expected a SELECT"),
        ("SELECT TRANSFORM(a) USING 'cat' AS (b) FROM silver.x", "0: expected a SELECT"),
        ("SELECT array(a, b)[0] FROM silver.x", "1: an index right after array(...) cannot be read"),
        ("", "0: expected one SELECT, found 0"),
        ("SELECT a FROM silver.x WHERE (", "1: not SQL"),
    ],
)
def test_every_finding_has_its_line(query: str, message: str) -> None:
    assert any(found.startswith(message) for found in messages(query)), messages(query)


def test_markers_depend_on_what_the_sql_is_for() -> None:
    assert messages("SELECT a FROM silver.x WHERE a < :label_end", parameters=list(sql.LABEL_PARAMETERS)) == []
    assert messages("SELECT a FROM silver.x WHERE a < :label_end")


def silver_messages(query: str) -> list[str]:
    return [finding.message for finding in sql.check_silver(query, TABLES, keys=KEYS)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM bronze.b",
        "SELECT b.k, p.name FROM bronze.b AS b LEFT JOIN silver.p ON p.k = CAST(b.k AS INT) AND p.name <> ''",
        "SELECT k FROM bronze.b LEFT OUTER JOIN silver.x AS x ON (b.k = x.a AND x.b = 1)",
        "SELECT sum(v) OVER (PARTITION BY k) AS s, max(v) FILTER (WHERE v > 1) OVER () AS m FROM bronze.b",
    ],
)
def test_silver_sql_that_keeps_rows_is_sound(query: str) -> None:
    assert silver_messages(query) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT k FROM bronze.b WHERE v > 1", "WHERE drops rows"),
        ("SELECT k FROM bronze.b GROUP BY k", "GROUP BY merges rows"),
        ("SELECT DISTINCT k FROM bronze.b", "DISTINCT drops rows"),
        ("SELECT k FROM bronze.b ORDER BY k LIMIT 1", "LIMIT drops rows"),
        ("SELECT max(v) FROM bronze.b", "max() merges rows"),
        ("SELECT explode(v) FROM bronze.b", "explode() multiplies rows"),
        ("SELECT e FROM bronze.b LATERAL VIEW explode(v) t AS e", "LATERAL VIEW multiplies rows"),
        ("SELECT k FROM bronze.b UNION ALL SELECT k FROM bronze.b", "a set operation"),
        ("SELECT k FROM silver.p", "FROM exactly one bronze table"),
        ("WITH c AS (SELECT k FROM bronze.b) SELECT k FROM c", "WITH is not for silver"),
        ("SELECT (SELECT max(name) FROM silver.p) FROM bronze.b", "a subquery is not for silver"),
        ("SELECT b.k FROM bronze.b JOIN silver.p ON p.k = b.k", "silver.p: only LEFT JOIN"),
        ("SELECT b.k FROM bronze.b, silver.p", "silver.p: only LEFT JOIN"),
        ("SELECT b.k FROM bronze.b LEFT SEMI JOIN silver.p ON p.k = b.k", "silver.p: only LEFT JOIN"),
        ("SELECT b.k FROM bronze.b LEFT JOIN silver.x ON x.a = b.k", "silver.x: joined without its key b"),
        ("SELECT b.k FROM bronze.b LEFT JOIN silver.p ON p.k = b.k OR true", "silver.p: joined without its key k"),
        ("SELECT b.k FROM bronze.b LEFT JOIN silver.p ON p.k = p.name", "silver.p: joined without its key k"),
        ("SELECT b.k FROM bronze.b LEFT JOIN silver.p USING (k)", "silver.p: join it ON its full keys: k"),
        ("SELECT b.k FROM bronze.b LEFT JOIN silver.none ON none.z = b.k", "silver.none has no keys"),
        ("SELECT * FROM bronze.b LEFT JOIN silver.p ON p.k = b.k", "`*` beside a join"),
    ],
)
def test_silver_sql_that_does_not_keep_rows_is_refused(query: str, message: str) -> None:
    assert any(message in found for found in silver_messages(query)), silver_messages(query)


def test_tables_read_are_tables_and_not_common_table_expressions() -> None:
    query = "WITH q AS (SELECT 1 FROM silver.a) SELECT * FROM q JOIN bronze.b, (SELECT 1 FROM gold.c)"
    assert sql.tables_read(query) == {"silver.a", "bronze.b", "gold.c"}


def test_binding_touches_markers_and_tables_only() -> None:
    query = (
        "SELECT silver.x.a, ':run_date', x.b::date -- :run_date\nFROM silver.x JOIN silver.p q ON :as_of > :run_date"
    )
    bound = sql.bind(
        query,
        parameters={"run_date": date(2024, 1, 1), "as_of": datetime(2024, 1, 2)},
        views={"silver.x": "v1", "silver.p": "v2"},
    )
    assert bound == (
        "SELECT x.a, ':run_date', x.b::date -- :run_date\n"
        "FROM v1 AS x JOIN v2 q ON TIMESTAMP '2024-01-02 00:00:00.000000Z' > DATE '2024-01-01'"
    )


def test_meaning_survives_cosmetic_edits_only() -> None:
    meaning = sql.meaning("SELECT a, SUM(b) AS total FROM silver.x GROUP BY a")
    assert sql.meaning("select A,\n  sum( B ) as total -- why\nfrom Silver.x group by a") == meaning
    assert sql.meaning("SELECT a, SUM(b) AS Total FROM silver.x GROUP BY a") == meaning
    assert sql.meaning("SELECT a, AVG(b) AS total FROM silver.x GROUP BY a") != meaning
    assert sql.meaning("SELECT 'A'") != sql.meaning("SELECT 'a'")


def test_anything_but_a_select_is_refused_with_its_file() -> None:
    with pytest.raises(ConfigError, match=r"x\.sql:2: not SQL"):
        sql.parse("SELECT a\nFROM (", file="x.sql")


EXPRESSIONS = [
    "to_timestamp('2024-01-02 03:04:05.123', 'yyyy-MM-dd HH:mm:ss.SSS')",
    "date_format(TIMESTAMP '2024-01-02 03:04:05', 'd MMM yyyy')",
    "datediff(DATE '2024-03-01', DATE '2024-02-01')",
    "date_add(DATE '2024-02-28', 2)",
    "add_months(DATE '2024-01-31', 1)",
    "date_trunc('week', TIMESTAMP '2024-01-04 00:00:00')",
    "unix_seconds(TIMESTAMP '2024-01-02 00:00:00')",
    "TIMESTAMP '2024-01-02 00:00:00' - INTERVAL 28 DAYS - INTERVAL '1' HOUR",
    "'it''s' || \"x\" || r'a\\d' || 'tab\\t' || 'back\\\\slash'",
    "'12' RLIKE '^\\\\d+$'",
    "regexp_replace('a  b', '\\\\s+', '_')",
    "trim(BOTH 'x' FROM 'xax')",
    "extract(YEAR FROM DATE '2024-01-02')",
    "substring('abcdef', -3, 2)",
    "CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END",
    "7 DIV 2, 7 % 4, -7 % 4, 7 / 2, 2.50 * 1.10, 1e3, 10L, 1.5D, 3.1BD",
    "NULL <=> NULL, 1 <=> NULL, 1 IS DISTINCT FROM 2",
    "'a_c' LIKE 'a!_c' ESCAPE '!'",
    "transform(array(1, 2), x -> x + 1), filter(array(1, 2), x -> x > 1), aggregate(array(1, 2), 0, (a, x) -> a + x)",
    "map('k', 1)['k'], (array(1, 2))[1], split('a b', ' ')[1], named_struct('f', 5).f, element_at(array(4, 5), -1)",
    "CAST('1.25' AS DECIMAL(5, 1)), CAST(5 AS STRING), '5'::INT, TRY_CAST('x' AS INT)",
    "split('a.b', '[.]'), concat_ws('-', 'a', NULL, 'b'), lpad('7', 3, '0'), nvl(NULL, 2), nullif(1, 1)",
    "approx_count_distinct(1), percentile(2, 0.5), max_by('a', 1), count_if(true), collect_list(1)",
    "sum(1) FILTER (WHERE 1 > 0), count(DISTINCT 1), stddev(2), bool_and(true)",
    "greatest(1, 2, NULL), hash(1, 'a'), xxhash64('a'), md5('a'), round(2.5), bround(2.5), pmod(-7, 4)",
    "get_json_object('{\"a\": 1}', '$.a'), from_json('[1]', 'array<int>'), make_date(2024, 1, 2)",
]


def test_rendering_keeps_what_spark_computes(spark: SparkSession) -> None:
    written = [f"SELECT {expressions}" for expressions in EXPRESSIONS]
    rendered = [sql.render(sql.parse(query)) for query in written]
    assert [tuple(spark.sql(query).first() or ()) for query in rendered] == [
        tuple(spark.sql(query).first() or ()) for query in written
    ]


SHOP = {"silver.sales": ["who", "amount", "sold at"], "silver.people": ["who", "group`s"], "gold.base": ["who"]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT WHO, sum(amount) AS total FROM silver.sales GROUP BY who", {"who": "who", "total": "amount"}),
        ("SELECT count(*) AS n, 1 AS one, max(`sold at`) AS last FROM silver.sales", {"n": "", "last": "sold at"}),
        ("WITH a AS (SELECT who, amount * 2 AS d FROM silver.sales) SELECT who, d FROM a", {"d": "amount"}),
        ("SELECT s.amount AS a FROM silver.sales s UNION ALL SELECT who FROM silver.people", {"a": "amount who"}),
        (
            "SELECT coalesce(p.`group``s`, s.who) AS g FROM silver.sales s LEFT JOIN silver.people p ON s.who = p.who",
            {"g": "group`s who"},
        ),
        ("SELECT who, (SELECT max(amount) FROM silver.sales) AS top FROM silver.people", {"top": "amount"}),
    ],
)
def test_a_column_comes_from_the_columns_whose_values_enter_it(query: str, found: dict[str, str]) -> None:
    read = columns_read(query, found, SHOP)
    split = {"sold at": {"sold at"}}
    assert {name: {column for _, column in origins} for name, origins in read.items()} == {
        name: split.get(columns, set(columns.split())) for name, columns in found.items()
    }


def test_columns_are_followed_through_a_population() -> None:
    label = (
        "SELECT population.who, max(s.amount) AS label FROM population LEFT JOIN silver.sales s USING (who) GROUP BY 1"
    )
    within = {"population": "SELECT DISTINCT who FROM silver.people"}
    read = columns_read(label, ["who", "label"], SHOP, within=within)
    assert read["label"] == {("silver.sales", "amount")}
    assert ("silver.people", "who") in read["who"]


def test_of_a_query_that_cannot_be_followed_nothing_is_told() -> None:
    assert columns_read("SELECT nobody FROM silver.unknown", ["other"], SHOP) == {}
