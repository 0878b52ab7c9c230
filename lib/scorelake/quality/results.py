"""Counts and metrics of a slice as results, and the results of a slice as Great Expectations' own objects and page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from scorelake.quality.catalogue import load, rule_name
from scorelake.quality.rules import Count, Rule
from scorelake.quality.verdicts import Result, Verdict
from scorelake.tables import Expectation

FLOOR = "at least one accepted row"


def row_result(rule: Rule, count: Count) -> Result:
    """The result of a rule of row level. Where rows failed, GX judges (`mostly`); where none did, there is no doubt."""
    if rule.evidence is None or rule.expectation is None:
        return Result(rule.name, rule.action, not count.unexpected, count.rows, count.considered, count.unexpected)
    evidence = rule.evidence
    return Result(
        rule.name,
        rule.action,
        not count.unexpected or bool(evidence(count).success),
        count.rows,
        count.considered,
        count.unexpected,
        mostly=float(rule.expectation.kwargs.get("mostly", 1.0)),
        evidence=lambda: evidence(count).to_json_dict(),
    )


def table_result(expectation: Expectation, found: Mapping[str, Any], personal: Collection[str]) -> Result:
    """The result of a table-level expectation; what was observed is left out where a personal column is judged."""
    text = str(expectation.kwargs)
    shown = found if not any(name in text for name in personal) else {**found, "result": {}}
    return Result(
        rule_name(expectation),
        expectation.action,
        bool(found["success"]),
        observed=shown["result"].get("observed_value"),
        evidence=lambda: shown,
    )


def floor_result(accepted: int) -> Result:
    """The implied rule of a silver table on a date that its source delivers."""
    return Result(FLOOR, "fail", accepted > 0, observed=accepted)


def validation_result(verdict: Verdict, *, run_id: str, judged_at: datetime) -> Any:
    """GX's ExpectationSuiteValidationResult of a slice: its expectations, not the engine's own rules."""
    load()
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    found = []
    for result in verdict.results:
        if result.gx:
            plain = {key: value for key, value in result.gx.items() if key != "expectation_config"}
            configuration = ExpectationConfiguration(**result.gx["expectation_config"])
            found.append(ExpectationValidationResult(**plain, expectation_config=configuration))
    successful = sum(bool(each.success) for each in found)
    return ExpectationSuiteValidationResult(
        success=successful == len(found),
        results=found,
        suite_name=verdict.table,
        suite_parameters={},
        statistics={
            "evaluated_expectations": len(found),
            "successful_expectations": successful,
            "unsuccessful_expectations": len(found) - successful,
            "success_percent": 100.0 * successful / len(found) if found else None,
        },
        meta={
            "run_id": {"run_name": f"{run_id} {verdict.run_date}", "run_time": judged_at.isoformat()},
            "active_batch_definition": {"batch_identifiers": {"run_date": str(verdict.run_date)}},
        },
    )


def restored(text: str) -> Any:
    """The suite result that was kept as JSON."""
    load()
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema

    return ExpectationSuiteValidationResultSchema().load(json.loads(text))


def page(validation: Any) -> str:
    """GX's Data Docs page of a validation result, as HTML."""
    load()
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    view: Any = DefaultJinjaPageView()
    html: str = view.render(ValidationResultsPageRenderer().render(validation))
    return html
