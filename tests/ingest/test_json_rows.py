from __future__ import annotations

import io

import pytest

from scorelake.errors import ContractBroken, DamagedFile
from scorelake.ingest.json_rows import JsonArray, JsonLines
from scorelake.ingest.records import Record, Shape

A = Shape(("a",), {})
AB = Shape(("a", "b"), {}, optional=frozenset({"a", "b"}))


def parsed_lines(content: bytes | str, shape: Shape = A) -> list[Record]:
    data = content.encode() if isinstance(content, str) else content
    return list(JsonLines(shape)(io.BytesIO(data), "in.jsonl"))


def parsed_array(content: str, shape: Shape = A) -> list[Record]:
    return list(JsonArray(shape)(io.BytesIO(content.encode()), "in.json"))


def value_of(text: str) -> str | None:
    (record,) = parsed_lines('{"z": [1], "a": ' + text + "}", Shape(("a",), {}, keep_new=True))
    assert record.raw is None
    return record.values[0]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1e400", "1e400"),
        ("0.10", "0.10"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("-0.0", "-0.0"),
        ('"x\\n\\u00e9"', "x\né"),
        ('""', ""),
        ("true", "true"),
        ("null", None),
        ("NaN", "NaN"),
        ('{ "k": [1.0, null], "a": "}" }', '{ "k": [1.0, null], "a": "}" }'),
        ("[1e5 ,2]", "[1e5 ,2]"),
    ],
)
def test_values_are_kept_as_they_arrived(text: str, kept: str | None) -> None:
    assert value_of(text) == kept


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '"a"',
        '{"a": 1} {"a": 2}',
        '{"a": 1, "a": 2}',
        '{"a": {"k": 1, "k": 2}}',
        '{"a": "\\ud800"}',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": "' + "\t" + '"}',
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_a_line_that_is_not_one_object_is_malformed(line: str) -> None:
    good, bad = parsed_lines('{"a": 1}\n' + line + "\n")
    assert (list(good.values), good.raw) == (["1"], None)
    assert (list(bad.values), bad.raw) == ([None], line)


def test_invalid_utf8_and_nul_are_malformed() -> None:
    records = parsed_lines(b'{"a": "\xff"}\n{"a": "\x00"}\n{"a": 1}\n')
    assert [record.raw for record in records] == ['{"a": "\\xff"}', '{"a": "\x00"}', None]


def test_blank_lines_are_no_rows_and_one_is_a_day_without_rows() -> None:
    assert parsed_lines("\n") == []
    assert len(parsed_lines('\n{"a": 1}\n \n')) == 1


def test_zero_bytes_are_damage() -> None:
    with pytest.raises(DamagedFile, match="holds no byte"):
        parsed_lines("")


def test_absent_key_is_null() -> None:
    records = parsed_lines('{"a": 1}\n{"b": 2}\n', AB)
    assert [list(record.values) for record in records] == [["1", None], [None, "2"]]


def test_unknown_key_is_refused_or_kept() -> None:
    with pytest.raises(ContractBroken, match="unknown: c"):
        parsed_lines('{"a": 1}\n{"a": 1, "c": 2}\n')
    _, record = parsed_lines('{"a": 1}\n{"a": 1, "c": 2}\n', Shape(("a",), {}, keep_new=True))
    assert record.extra == {"c": "2"}


def test_a_column_that_no_object_has_is_refused_unless_optional() -> None:
    with pytest.raises(ContractBroken, match="missing: b"):
        parsed_lines('{"a": 1}\n', Shape(("a", "b"), {}))
    assert len(parsed_lines('{"a": 1}\n', AB)) == 1


def test_array_of_objects() -> None:
    records = parsed_array(' [ {"a": 0.10} , {"a": null}, 7 ] ')
    assert [(list(r.values), r.raw) for r in records] == [(["0.10"], None), ([None], None), ([None], "7")]
    assert parsed_array("[]") == []


@pytest.mark.parametrize("text", ['[{"a": 1}', '[{"a": 1},]', '{"a": 1}', "[] x", '[{"a": 1} {"a": 2}]', "\n"])
def test_array_that_breaks_off_is_damage(text: str) -> None:
    with pytest.raises(DamagedFile, match=r"in\.json"):
        parsed_array(text)


def test_member_that_is_renamed_to_a_taken_name_is_malformed() -> None:
    (record,) = parsed_lines('{"A": 1, "a": 2}', Shape(("a",), {"A": "a"}))
    assert record.raw == '{"A": 1, "a": 2}'
