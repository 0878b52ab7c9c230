"""Values are made alike as the contract says, and every change is told."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorelake.errors import ConfigError, ContractBroken, ScorelakeError
from scorelake.tables import Silver
from scorelake.transform import figures, silver
from tests.transform.test_silver import D1, bronze_contract, judged, received, silver_contract

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPELLED: Mapping[str, Any] = {
    "active": {"normalise": ["trim", "lower"], "map": {"yes": "1", "y": "1", "true": "1", "no": "0"}},
    "city": {"normalise": ["trim", "nfkc", "upper"]},
}


def figures_of(columns: Mapping[str, Any]) -> figures.Figures:
    return figures.Figures.model_validate({"table": "silver.t", "rows": 9, "columns": columns})


def candidates(spark: SparkSession, rows: list[tuple[Any, ...]], contract: Silver, found: Any = None) -> Any:
    bronze = bronze_contract(*(f"{name} STRING" for name in contract.column_names))
    query = f"SELECT {', '.join(contract.column_names)} FROM bronze.t"
    table = received(spark, bronze, [(D1, *row) for row in rows])
    return silver.candidates(spark, query, contract, bronze, table, figures=found)


def changes(found: Any) -> list[list[tuple[str, str, str | None]]]:
    rows = found.frame.select("source_row", "changes").collect()
    return [[tuple(change) for change in row["changes"] or ()] for row in sorted(rows, key=lambda row: row[0])]


def test_spellings_and_codes_are_made_alike_and_what_arrived_is_kept(spark: SparkSession) -> None:
    contract = silver_contract(("active INT", "city STRING"), standardise=SPELLED)
    rows = [(" Yes\u00a0", "ko\u0308ln"), ("1", "KÖLN"), ("TRUE", None), ("maybe", "\ufb01n")]
    found = candidates(spark, rows, contract)
    assert judged(found, "active", "city") == [
        (1, "KÖLN", []),
        (1, "KÖLN", []),
        (1, None, []),
        (None, "FIN", ["active parses as INT"]),
    ]
    assert changes(found) == [
        [("active", "normalised", " Yes\u00a0"), ("active", "mapped", "yes"), ("city", "normalised", "ko\u0308ln")],
        [],
        [("active", "normalised", "TRUE"), ("active", "mapped", "true")],
        [("city", "normalised", "\ufb01n")],
    ]
    assert found.columns[:3] == ("active", "city", "changes")


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=5, max_size=40))
def test_normal_forms_are_those_of_unicode(spark: SparkSession, texts: list[str]) -> None:
    contract = silver_contract(("a STRING", "b STRING"), standardise={"b": {"normalise": ["nfc"]}})
    found = candidates(spark, [(str(n), text) for n, text in enumerate(texts)], contract)
    rows = {int(row["a"]): row["b"] for row in found.frame.select("a", "b").collect()}
    assert rows == {n: unicodedata.normalize("NFC", text) for n, text in enumerate(texts)}


def test_values_beyond_a_bound_become_the_bound_and_nulls_and_nan_stay(spark: SparkSession) -> None:
    contract = silver_contract(
        ("n BIGINT", "d DOUBLE", "m DECIMAL(6,2)"),
        standardise={
            "n": {"cap": {"low": 0, "high": "p99"}},
            "d": {"cap": {"low": "p01"}},
            "m": {"cap": {"high": 9.5}},
        },
        figures={"file": "f.json", "sha256": "0" * 64},
    )
    frozen = figures_of(
        {"n": {"type": "bigint", "overall": {"p99": "10"}}, "d": {"type": "double", "overall": {"p01": "0.5"}}}
    )
    rows = [("-1", "NaN", "9.51"), ("11", "0.1", "9.50"), (None, "-Infinity", None), ("10", None, "1")]
    found = candidates(spark, rows, contract, frozen)
    values = [tuple(map(str, row)) for row in found.frame.orderBy("source_row").select("n", "d", "m").collect()]
    assert values == [
        ("0", "nan", "9.50"),
        ("10", "0.5", "9.50"),
        ("None", "0.5", "None"),
        ("10", "None", "1.00"),
    ]
    assert changes(found) == [
        [("n", "capped", "-1"), ("m", "capped", "9.51")],
        [("n", "capped", "11"), ("d", "capped", "0.1")],
        [("d", "capped", "-Infinity")],
        [],
    ]


def test_a_null_becomes_the_figure_of_its_group_else_of_the_column(spark: SparkSession) -> None:
    contract = silver_contract(
        ("country STRING", "sex STRING", "age INT"),
        standardise={"age": {"impute": {"with": "median", "by": ["country", "sex"]}}},
        figures={"file": "f.json", "sha256": "0" * 64},
    )
    groups = {'["DE","f"]': {"median": "41"}, '["DE",null]': {"median": "40"}}
    column = {"type": "int", "overall": {"median": "35"}, "by": ["country", "sex"], "groups": groups}
    rows = [("DE", "f", None), ("DE", None, None), ("FR", "f", None), ("DE", "f", "7"), ("DE", "f", "x")]
    found = candidates(spark, rows, contract, figures_of({"age": column}))
    assert [row[0] for row in judged(found, "age")][:4] == [41, 40, 35, 7]
    assert judged(found, "age")[4][1] == ["age parses as INT"]
    assert changes(found)[:4] == [[("age", "imputed", None)]] * 3 + [[]]


def test_figures_are_measured_without_nulls_and_nan_and_by_group(spark: SparkSession) -> None:
    contract = silver_contract(
        ("g STRING", "n INT", "d DOUBLE", "t STRING"),
        standardise={
            "n": {"impute": {"with": "mean", "by": ["g"]}},
            "d": {"cap": {"high": "p95"}},
            "t": {"impute": {"with": "mode"}},
        },
        figures={"file": "f.json", "sha256": "0" * 64},
    )
    rows = [("a", n, float(n), "x" if n % 3 else "y") for n in range(1, 101)]
    rows += [("b", None, float("nan"), None), (None, 1001, None, "x")]
    found = figures.measure(spark.createDataFrame(rows, "g STRING, n INT, d DOUBLE, t STRING"), contract)
    n, d, t = (found.columns[name] for name in "ndt")
    assert found.rows == 102
    assert (n.overall["min"], n.overall["max"], n.overall["mean"]) == ("1", "1001", "60")
    assert {key: figures["mean"] for key, figures in n.groups.items()} == {'["a"]': "51", "[null]": "1001"}
    assert (d.overall["p95"], d.overall["max"]) == ("95.0", "100.0")
    assert t.overall == {"mode": "x"}
    assert figures.Figures.model_validate_json(found.to_json()) == found


def test_a_column_without_a_value_has_no_figures(spark: SparkSession) -> None:
    contract = silver_contract(
        ("n INT",), standardise={"n": {"cap": {"high": "max"}}}, figures={"file": "f.json", "sha256": "0" * 64}
    )
    with pytest.raises(ScorelakeError, match="column n has no value"):
        figures.measure(spark.createDataFrame([(None,)], "n INT"), contract)


def test_figures_that_are_missing_changed_or_of_another_grouping_are_refused(tmp_path: Path) -> None:
    frozen = figures_of({"n": {"type": "int", "overall": {"median": "1"}, "by": ["g"], "groups": {}}})
    text = frozen.to_json()
    (tmp_path / "f.json").write_text(text)

    def load(file: str = "f.json", sha256: str = figures.digest(text), by: tuple[str, ...] = ("g",)) -> Any:
        contract = silver_contract(
            ("g STRING", "n INT"),
            standardise={"n": {"impute": {"with": "median", "by": list(by)}}},
            figures={"file": file, "sha256": sha256},
        )
        return figures.load(tmp_path, contract)

    assert load() == frozen
    with pytest.raises(ConfigError, match=r"gone\.json: No such file"):
        load(file="gone.json")
    with pytest.raises(ConfigError, match="names another; was it frozen anew"):
        load(sha256="0" * 64)
    with pytest.raises(ConfigError, match="groups of n by g, not as the contract says"):
        load(by=())


def test_caps_without_their_figures_are_an_error(spark: SparkSession) -> None:
    contract = silver_contract(
        ("n INT",), standardise={"n": {"cap": {"high": "max"}}}, figures={"file": "f.json", "sha256": "0" * 64}
    )
    with pytest.raises(ContractBroken, match="need the figures that it names"):
        candidates(spark, [("1",)], contract)


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        (("a STRING",), {"standardise": {"b": {"normalise": ["trim"]}}}, "no such column: b"),
        (("a STRING",), {"standardise": {"a": {"cap": {"low": 1}}}}, "only numbers can be capped"),
        (("a STRING",), {"standardise": {"a": {"impute": {"with": "median"}}}}, "a text has a mode"),
        (("a INT",), {"standardise": {"a": {"cap": {"high": "p99"}}}}, "name a file under figures"),
        (("a INT",), {"standardise": {"a": {"cap": {"high": "q99"}}}}, "neither a number nor one of"),
        (("a INT",), {"standardise": {"a": {"map": {True: 1}}}}, "put keys in quotes"),
        (("a INT",), {"standardise": {"a": {"impute": {"with": "mean", "by": ["c"]}}}}, "no such column: c"),
        (("a INT",), {"freshness": {"within": "1 day", "action": "warn"}}, "freshness needs an event_time"),
    ],
)
def test_a_standard_that_cannot_be_kept_is_refused(columns: tuple[str, ...], more: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        silver_contract(columns, **more)


def test_decimal_means_keep_the_scale_of_the_column(spark: SparkSession) -> None:
    contract = silver_contract(
        ("m DECIMAL(6,2)",),
        standardise={"m": {"impute": {"with": "mean"}}},
        figures={"file": "f.json", "sha256": "0" * 64},
    )
    rows = [(Decimal("1.00"),), (Decimal("2.01"),)]
    found = figures.measure(spark.createDataFrame(rows, "m DECIMAL(6,2)"), contract)
    assert found.columns["m"].overall["mean"] == "1.51"
