"""Pages for people: what the tables mean (data dictionary), and what the gates said of a night (QA report).

Made of contracts and decisions alone, which hold no values of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from scorelake.decisions import Decision
from scorelake.quality.catalogue import rule_name
from scorelake.quality.verdicts import SHARE
from scorelake.tables import AnyContract, Bronze, Versioned

if TYPE_CHECKING:
    from jinja2 import Template

_WORST_FIRST = ("fail", "quarantine", "warn", "pass")


def dictionary(contracts: Iterable[AnyContract]) -> str:
    """Every table with its columns, what they are and what rows must keep to."""
    return _template("dictionary").render(style=_file("page.css"), tables=[_described(each) for each in contracts])


def _described(contract: AnyContract) -> dict[str, Any]:
    facts, marks = [], {name: ["personal"] for name in contract.personal}
    rules: list[dict[str, str]] = []
    if isinstance(contract, Bronze):
        facts = [f"{contract.source.kind}, {contract.source.delivery}, {contract.source.delivers}."]
    elif isinstance(contract, Versioned):
        for name in contract.keys:
            marks.setdefault(name, []).append("key")
        if contract.event_time is not None:
            marks.setdefault(contract.event_time, []).append("event time")
        rules = [{"name": rule_name(each), "action": each.action} for each in contract.expectations]
    columns = [
        {"name": c.name, "type": c.type.upper(), "comment": c.comment, "marks": marks.get(c.name, [])}
        for c in contract.columns
    ]
    return {
        "name": contract.name,
        "description": contract.description,
        "facts": facts,
        "columns": columns,
        "rules": rules,
    }


def report(run_date: date, decisions: Iterable[Decision], pages: Mapping[str, str]) -> str:
    """The night's verdicts by table, the worst first. `pages`: table -> address of its own page."""
    by_table = groupby(sorted(decisions, key=lambda each: each.subject), key=lambda each: each.subject)
    tables = [_judged(name, list(of_table), pages.get(name)) for name, of_table in by_table]
    tables.sort(key=lambda table: _WORST_FIRST.index(table["verdict"]))
    counts = {word: sum(table["verdict"] == word for table in tables) for word in _WORST_FIRST}
    refused = counts["fail"]
    headline = f"{len(tables)} tables judged, {refused} refused" if tables else "No table was judged"
    return _template("report").render(style=_file("page.css"), run_date=run_date, headline=headline, tables=tables)


def _judged(name: str, decisions: Sequence[Decision], page: str | None) -> dict[str, Any]:
    verdicts: Collection[str] = {decision.verdict for decision in decisions}
    rules = sorted(decisions, key=lambda each: (_WORST_FIRST.index(each.verdict), each.metric))
    return {
        "name": name,
        "verdict": next(word for word in _WORST_FIRST if word in verdicts),
        "rows": next((each.reason for each in decisions if each.metric == SHARE), ""),
        "rules": [{**vars(each), "value": _shown(each.value), "threshold": _shown(each.threshold)} for each in rules],
        "page": page,
    }


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.4g}"


def _template(name: str) -> Template:
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(_file(f"{name}.html.j2"))


def _file(name: str) -> str:
    return files("scorelake.quality").joinpath("templates", name).read_text("utf-8")
