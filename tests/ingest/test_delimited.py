from __future__ import annotations

import gzip
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorelake.errors import ContractBroken, DamagedFile
from scorelake.ingest.delimited import Delimited
from scorelake.ingest.records import Record, Shape

AB = Shape(("a", "b"), {})


def parsed(content: bytes | str, shape: Shape = AB, **options: str) -> list[Record]:
    data = content.encode() if isinstance(content, str) else content
    return list(Delimited(shape, **options)(io.BytesIO(data), "in.csv"))


def values(content: bytes | str, shape: Shape = AB, **options: str) -> list[list[str | None]]:
    return [list(record.values) for record in parsed(content, shape, **options)]


def raws(content: bytes | str, shape: Shape = AB) -> list[str | None]:
    return [record.raw for record in parsed(content, shape)]


def test_columns_bind_by_header_not_by_position() -> None:
    assert values("b,a\n1,2\n") == [["2", "1"]]


def test_header_only_has_no_rows() -> None:
    assert values("a,b\n") == []
    assert values("a,b") == []


def test_zero_bytes_are_damage() -> None:
    with pytest.raises(DamagedFile, match=r"in\.csv: holds no byte"):
        parsed(b"")


def test_empty_field_is_null_and_quoted_empty_field_is_the_empty_string() -> None:
    assert values('a,b\n,""\n"",\n"x""y",""\n') == [[None, ""], ["", None], ['x"y', ""]]


def test_embedded_line_end_delimiter_and_quote_stay_in_their_field() -> None:
    assert values('a,b\n"1\n2","x,""y"""\r\n3,4\n') == [["1\n2", 'x,"y"'], ["3", "4"]]


def test_crlf_and_a_missing_last_line_end() -> None:
    assert values("a,b\r\n1,2\r\n3,4") == [["1", "2"], ["3", "4"]]


def test_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert values(b"\xef\xbb\xbfa,b\n1,2\n") == [["1", "2"]]


def test_fields_missing_or_too_many_make_a_malformed_row() -> None:
    content = "a,b\n1\n1,2,3\n4,5\n"
    assert raws(content) == ["1", "1,2,3", None]
    assert values(content) == [[None, None], [None, None], ["4", "5"]]


def test_unclosed_quote_costs_one_line() -> None:
    assert raws('a,b\n1,"x\n2,"y"\n3,z\n') == ['1,"x', None, None]
    assert raws('a,b\n1,x\n2,"y\n') == [None, '2,"y']
    assert values('a,b\n1,"x\n2,y\n3,z\n')[1:] == [["2", "y"], ["3", "z"]]


def test_text_after_a_closing_quote_is_malformed() -> None:
    assert raws('a,b\n"1"x,2\n3,4\n') == ['"1"x,2', None]


def test_quote_inside_an_unquoted_field_is_itself() -> None:
    assert values('a,b\n12" pipe,2\n') == [['12" pipe', "2"]]


def test_invalid_utf8_and_nul_are_malformed_and_told() -> None:
    assert raws(b"a,b\n\xff1,2\n3,\x004\n5,6\n") == ["\\xff1,2", "3,\x004", None]


def test_invalid_utf8_inside_a_quoted_field_costs_its_lines_only() -> None:
    assert raws(b'a,b\n"1\n\xff",2\n5,6\n') == ['"1', '\\xff",2', None]


def test_blank_lines_are_no_rows_but_nulls_in_a_file_of_one_column() -> None:
    assert values("a,b\n\n1,2\n\n") == [["1", "2"]]
    assert values("a\n\n1\n", Shape(("a",), {})) == [[None], ["1"]]


def test_ten_megabyte_line() -> None:
    long = "x" * (10 << 20)
    assert values(f"a,b\n{long},2\n") == [[long, "2"]]


def test_unclosed_quote_swallows_no_more_than_the_longest_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorelake.ingest.delimited.LONGEST_RECORD", 100)
    rows = raws('a,b\n1,"x\n' + "2,y\n" * 100 + '3,"\n')
    assert rows == ['1,"x', *[None] * 100, '3,"']


def test_unknown_and_missing_columns_are_refused_with_their_names() -> None:
    with pytest.raises(ContractBroken, match=r"in\.csv.*missing: b; unknown: c"):
        parsed("a,c\n1,2\n")


def test_repeated_header_names_are_refused() -> None:
    with pytest.raises(ContractBroken, match="twice: b"):
        parsed("a,b,b\n1,2,3\n")


def test_new_columns_are_kept_and_optional_ones_may_lack() -> None:
    shape = Shape(("a", "b"), {}, optional=frozenset({"b"}), keep_new=True)
    (record,) = parsed("c,a\n,1\n", shape)
    assert list(record.values) == ["1", None]
    assert record.extra == {"c": None}


def test_rename_binds_the_name_of_the_source() -> None:
    assert values("A b,b\n1,2\n", Shape(("a", "b"), {"A b": "a"})) == [["1", "2"]]


def test_other_delimiter_quote_and_encoding() -> None:
    content = "a;b\n'1;2';é\n".encode("latin-1")
    assert values(content, delimiter=";", quote="'", encoding="latin-1") == [["1;2", "é"]]


def test_gzip_is_known_by_its_content_and_truncation_is_damage() -> None:
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    assert len(values(packed)) == 5000
    with pytest.raises(DamagedFile, match="damaged gzip"):
        parsed(packed[:-20])


def test_flipped_bit_in_gzip_is_damage() -> None:
    packed = bytearray(gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 3000 + b",2\n"))
    packed[len(packed) // 2] ^= 4
    with pytest.raises(DamagedFile, match="damaged gzip"):
        parsed(bytes(packed))


FIELD = st.one_of(st.none(), st.text(st.sampled_from('ab,"\n\r é'), max_size=6))


def _written(field: str | None) -> str:
    return "" if field is None else '"' + field.replace('"', '""') + '"'


@given(st.lists(st.tuples(FIELD, FIELD), max_size=20))
def test_what_was_written_by_the_rules_comes_back(rows: Sequence[tuple[str | None, str | None]]) -> None:
    content = "a,b\n" + "".join(f"{_written(a)},{_written(b)}\n" for a, b in rows)
    assert values(content) == [list(row) for row in rows]


@given(st.lists(st.text(st.sampled_from('a,"x'), max_size=8), max_size=12))
def test_every_line_is_accounted_for(body: list[str]) -> None:
    """Whatever arrives: lines of good records and malformed lines together are the lines of the file."""
    body = [line for line in body if line]
    records = parsed("a,b\n" + "".join(line + "\n" for line in body))
    breaks = sum(str(value).count("\n") for record in records for value in record.values if value)
    assert len(records) + breaks == len(body)
