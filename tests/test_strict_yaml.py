"""Every mistake in a definition file is found, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorelake.errors import ConfigError
from scorelake.strict_yaml import Definition, load, parse


class Inner(Definition):
    size: int


class Outer(Definition):
    name: str
    inner: Inner
    items: tuple[Inner, ...] = ()


def findings(path: Path, text: str | bytes) -> list[tuple[int, str]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        parse(Outer, load(path), name="n")
    return [(finding.line, finding.message) for finding in caught.value.findings]


def test_a_sound_file_becomes_its_model(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("inner: {size: 3}\nitems:\n- size: 1\n- size: 2\n")
    parsed = parse(Outer, load(path), name="n")
    assert (parsed.name, parsed.inner.size, [item.size for item in parsed.items]) == ("n", 3, [1, 2])


def test_every_error_is_reported_with_its_line(tmp_path: Path) -> None:
    text = "inner:\n  siez: 3\nitems:\n- size: 1\n- size: many\nextra: 1\n"
    assert findings(tmp_path / "x.yaml", text) == [
        (1, "key 'inner.size' is missing"),
        (2, "unknown key 'inner.siez'; did you mean 'size'?"),
        (5, "items.1.size: Input should be a valid integer, unable to parse string as an integer"),
        (6, "unknown key 'extra'"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("inner: {size: 1}\ninner: {size: 2}\n", 2, "key 'inner' stands twice"),
        ("inner: {size: 1, size: 2}\n", 1, "key 'size' stands twice"),
        ("inner: [\n", 2, "not YAML"),
        ("- a\n", 1, "expected a mapping"),
        ("name: other\ninner: {size: 1}\n", 1, "'name' follows from the file's place"),
        (b"inner: \xff\n", 0, "not UTF-8"),
        ("inner: !!python/name:os.system {}\n", 1, "not YAML"),
    ],
)
def test_what_is_no_strict_yaml_is_refused(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    [(found_line, found)] = findings(tmp_path / "x.yaml", text)
    assert message in found
    assert found_line == line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: file not found"):
        load(tmp_path / "gone.yaml")


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("# nothing\n")
    assert load(tmp_path / "x.yaml").data == {}
