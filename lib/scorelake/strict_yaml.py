"""Definition files are YAML read strictly: no duplicate key, no unknown key, every finding with its line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from scorelake.errors import ConfigError, Finding


class Definition(BaseModel):
    """Base of everything that a team writes: unknown keys are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


ModelT = TypeVar("ModelT", bound=BaseModel)
Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """The plain data of one file and the line on which each key or item stands."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Location, int] = field(repr=False)

    def line(self, location: Location) -> int:
        """The 1-based line of the deepest part of `location` that the file holds; 0 for the file itself."""
        known: Location = ()
        for part in location:
            if (*known, part) in self.lines:
                known = (*known, part)
        return self.lines.get(known, 0)

    def finding(self, location: Location, message: str) -> Finding:
        return Finding(str(self.path), self.line(location), message)


def load(path: Path) -> Document:
    """The document at `path`, which must be one mapping. ConfigError when it is missing or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise ConfigError([Finding(str(path), 0, "file not found")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Finding(str(path), 0, f"not UTF-8: {error.reason} at byte {error.start}")]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError([Finding(str(path), line, f"not YAML: {error.problem}")]) from error
    if node is None:
        return Document(path, {}, {})
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError([Finding(str(path), 1, "expected a mapping of keys to values")])
    lines: dict[Location, int] = {}
    duplicates: list[Finding] = []
    _index(node, (), lines, duplicates, path)
    if duplicates:
        raise ConfigError(duplicates)
    try:
        return Document(path, yaml.safe_load(text), lines)
    except yaml.MarkedYAMLError as error:  # e.g. an unhashable key or an unknown tag
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError([Finding(str(path), line, f"not YAML: {error.problem}")]) from error


def _index(node: yaml.Node, at: Location, lines: dict[Location, int], duplicates: list[Finding], path: Path) -> None:
    """Record the line of every key and item below `node`, and every key that stands twice."""
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*at, str(key_node.value))
            line = key_node.start_mark.line + 1
            if here in lines:
                duplicates.append(Finding(str(path), line, f"key '{key_node.value}' stands twice"))
                continue
            lines[here] = line
            _index(value_node, here, lines, duplicates, path)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*at, position)] = item.start_mark.line + 1
            _index(item, (*at, position), lines, duplicates, path)


def parse(model: type[ModelT], document: Document, **given: Any) -> ModelT:
    """`document` as a `model`; `given` are fields that the file's place decides (name, layer).

    Raises ConfigError with one finding an error, each with its line.
    """
    clashes = [document.finding((key,), f"'{key}' follows from the file's place; remove it") for key in given]
    clashes = [finding for key, finding in zip(given, clashes, strict=True) if key in document.data]
    if clashes:
        raise ConfigError(clashes)
    try:
        return model.model_validate({**document.data, **given})
    except ValidationError as error:
        raise ConfigError(_findings(model, document, error)) from None


def _findings(model: type[BaseModel], document: Document, error: ValidationError) -> list[Finding]:
    return [document.finding(item["loc"], _message(model, item)) for item in error.errors(include_url=False)]


def _message(model: type[BaseModel], item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        known = sorted(_field_names(model))
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        return f"unknown key '{where}'" + (f"; did you mean '{close[0]}'?" if close else "")
    if item["type"] == "missing":
        return f"key '{where}' is missing"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _field_names(model: type[BaseModel]) -> set[str]:
    """Field names of `model` and of every model below it, as written in YAML."""
    schema = model.model_json_schema(by_alias=True)
    parts = [schema, *schema.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}
