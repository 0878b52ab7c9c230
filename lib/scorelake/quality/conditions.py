"""Row-level expectations as Spark Columns: GX's own predicate, with the guards that GX applies outside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any

from scorelake.errors import ExpectationRaised
from scorelake.quality.catalogue import UNIQUENESS, built, rule_name
from scorelake.quality.rules import JUDGED, Count, Rule, addressable, aliases
from scorelake.quality.slices import Slices, raised
from scorelake.tables import SLICE_COLUMN, Expectation

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

COUNTS_ONLY = {"result_format": {"result_format": "BOOLEAN_ONLY"}}
WITHOUT_VALUES = {"result_format": {"result_format": "BASIC", "partial_unexpected_count": 0}}
NULLS = "column_values.nonnull.unexpected_count"
KEPT = ".filtered_row_count"
UNEXPECTED = ".unexpected_count"


def row_rules(frame: DataFrame, expectations: Sequence[Expectation], dates: Sequence[date]) -> list[Rule]:
    """A rule for each row-level expectation, over `frame` plus its aliases (`addressable`) plus `__judged`.

    `frame` has the columns `run_date` and `__judged`. Triggers no action, unless an expectation compares rows with
    their slice (z-scores, outliers): then one aggregate pass over the judged rows of `dates`.
    ExpectationRaised when one cannot be judged on this frame.
    """
    judged = addressable(frame)
    names = aliases(frame.columns)
    slices = Slices(judged.where(JUDGED))
    asked = [_Asked.of(expectation, names, slices) for expectation in expectations]
    conditions = _conditions(slices, [each for each in asked if each.metric not in UNIQUENESS], dates)
    rules = [_rule(slices, each, conditions) for each in asked]
    _require_analysable(judged, rules)
    return rules


@dataclass(frozen=True, eq=False)
class _Asked:
    """An expectation, GX's object for it over the aliases, and the metrics from which GX judges success, by name."""

    expectation: Expectation
    gx: Any
    counted: Mapping[str, Any]

    @classmethod
    def of(cls, expectation: Expectation, names: Mapping[str, str], slices: Slices) -> _Asked:
        gx = addressed(expectation, names)
        return cls(expectation, gx, _counted(gx, slices, rule_name(expectation)))

    @property
    def name(self) -> str:
        return rule_name(self.expectation)

    @property
    def metric(self) -> str:
        return str(self.gx.map_metric)


def addressed(expectation: Expectation, names: Mapping[str, str]) -> Any:
    """GX's expectation with every column replaced by its alias."""
    kwargs = dict(expectation.kwargs)
    for key in ("column", "column_A", "column_B"):
        if key in kwargs:
            kwargs[key] = names.get(kwargs[key], kwargs[key])
    if "column_list" in kwargs:
        kwargs["column_list"] = [names.get(name, name) for name in kwargs["column_list"]]
    condition = getattr(built(expectation), "row_condition", None)
    if condition is not None:
        kwargs.pop("condition_parser", None)
        kwargs["row_condition"] = _renamed(condition, names)
    return built(expectation.model_copy(update={"kwargs": kwargs}))


def _renamed(condition: Any, names: Mapping[str, str]) -> Any:
    """A row condition with aliases; SQL text stays, since it can quote."""
    from great_expectations.expectations.row_conditions import deserialize_row_condition

    def walk(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        if set(part) == {"name"}:  # GX's form of a column
            return {"name": names.get(part["name"], part["name"])}
        if "conditions" in part:
            return {**part, "conditions": [walk(each) for each in part["conditions"]]}
        return {key: walk(value) for key, value in part.items()}

    return deserialize_row_condition(walk(condition.dict()))


def _rule(slices: Slices, asked: _Asked, conditions: Mapping[str, Column]) -> Rule:
    from pyspark.sql import functions as F

    gx, expectation = asked.gx, asked.expectation
    scope = _scope(slices.engine, gx)
    considered = _considered(gx, asked.counted)
    guard = reduce(lambda a, b: a & b, [g for g in (F.col(JUDGED), scope, considered) if g is not None])
    unexpected = _repeated(guard, gx) if asked.metric in UNIQUENESS else conditions[asked.name]
    return Rule(
        asked.name,
        expectation.action,
        guard & F.coalesce(unexpected, F.lit(False)),
        scope,
        considered,
        expectation=expectation,
        evidence=_evidence(expectation, slices.engine),
    )


def _evidence(expectation: Expectation, engine: Any) -> Callable[[Count], Any]:
    """GX's own judgement of counts, `mostly` and empty slices included; it holds no values of rows."""
    gx = built(expectation)
    needed = gx.get_validation_dependencies(execution_engine=engine, runtime_configuration=dict(WITHOUT_VALUES))
    wanted = {name: metric.id for name, metric in needed.metric_configurations.items()}

    def judge(count: Count) -> Any:
        known = {
            "table.row_count": count.rows,
            NULLS: count.rows - count.considered,
            f"{gx.map_metric}{KEPT}": count.considered,
            f"{gx.map_metric}{UNEXPECTED}": count.unexpected,
        }
        metrics: dict[Any, Any] = {id_: known.get(name, []) for name, id_ in wanted.items()}
        return gx.metrics_validate(metrics, runtime_configuration=dict(WITHOUT_VALUES), execution_engine=engine)

    return judge


def _counted(gx: Any, slices: Slices, subject: str) -> dict[str, Any]:
    """The metrics from which GX judges success, by name."""
    try:
        needed = gx.get_validation_dependencies(execution_engine=slices.engine, runtime_configuration=dict(COUNTS_ONLY))
    except Exception as error:  # the class may be a team's own: whatever it raises, it cannot be judged
        raise raised(subject, error) from error
    found: dict[str, Any] = needed.metric_configurations
    known = {"table.row_count", NULLS, f"{gx.map_metric}{KEPT}", f"{gx.map_metric}{UNEXPECTED}"}
    if f"{gx.map_metric}{UNEXPECTED}" not in found or set(found) - known:
        raise ExpectationRaised(f"{subject} could not be judged: beside counts of rows it needs {set(found) - known}")
    return found


def _scope(engine: Any, gx: Any) -> Column | None:
    """Rows that meet the row_condition; None without one."""
    from great_expectations.expectations.row_conditions import PassThroughCondition
    from pyspark.sql import functions as F

    condition = getattr(gx, "row_condition", None)
    if not condition:
        return None
    is_sql = isinstance(condition, PassThroughCondition)
    text = condition.pass_through_filter if is_sql else engine.condition_to_filter_clause(condition)
    return F.coalesce(F.expr(text), F.lit(False))


def _considered(gx: Any, counted: Mapping[str, Any]) -> Column | None:
    """Rows that GX does not ignore: a value that is not null, or what ignore_row_if leaves."""
    from pyspark.sql import functions as F

    if NULLS in counted and gx.map_metric != "column_values.nonnull":
        return F.col(gx.column).isNotNull()
    if f"{gx.map_metric}{KEPT}" not in counted:
        return None
    members = getattr(gx, "column_list", None) or (gx.column_A, gx.column_B)
    missing = [F.col(name).isNull() for name in members]
    ignored = str(getattr(gx.ignore_row_if, "value", gx.ignore_row_if))
    if ignored in ("both_values_are_missing", "all_values_are_missing"):
        return ~reduce(lambda a, b: a & b, missing)
    if ignored in ("either_value_is_missing", "any_value_is_missing"):
        return ~reduce(lambda a, b: a | b, missing)
    return None


def _repeated(guard: Column, gx: Any) -> Column:
    """Whether another row of the same slice and within the guard has equal values; in a list, null is a value."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = getattr(gx, "column_list", None) or [gx.column]
    same = Window.partitionBy(F.col(SLICE_COLUMN), *(F.col(key) for key in keys))
    return F.count(F.when(guard, F.lit(1))).over(same) > 1


def _conditions(slices: Slices, asked: Sequence[_Asked], dates: Sequence[date]) -> dict[str, Column]:
    """By rule, GX's condition: true where the row is unexpected; one a slice where it depends on the slice."""
    from pyspark.sql import functions as F

    metrics = {each.name: [_condition(each)] for each in asked}
    by_slice = {name: metric for name, metric in metrics.items() if slices.reads_data(metric[0])}
    plain = {name: metric for name, metric in metrics.items() if name not in by_slice}
    found = slices.together(plain, of=None)
    conditions: dict[str, Column] = {name: found[metric[0].id][0] for name, metric in plain.items()}
    conditions |= {name: F.lit(False) for name in by_slice}
    for day in dates if by_slice else ():
        found = slices.together(by_slice, of=day)
        for name, metric in by_slice.items():
            is_of_day = F.col(SLICE_COLUMN) == F.lit(day)
            conditions[name] = F.when(is_of_day, found[metric[0].id][0]).otherwise(conditions[name])
    return conditions


def _condition(asked: _Asked) -> Any:
    """GX's metric whose value is the condition as a Column."""
    from great_expectations.validator.metric_configuration import MetricConfiguration

    count = asked.counted[f"{asked.metric}{UNEXPECTED}"]
    return MetricConfiguration(
        f"{asked.metric}.condition",
        metric_domain_kwargs=count.metric_domain_kwargs,
        metric_value_kwargs=count.metric_value_kwargs,
    )


def _require_analysable(frame: DataFrame, rules: Sequence[Rule]) -> None:
    """Let Spark resolve names and types of all rules at once; where it cannot, the first wrong one is named."""
    from pyspark.errors import PySparkException

    try:
        _ = frame.select(*(rule.failed.alias(f"rule_{n}") for n, rule in enumerate(rules))).schema
    except PySparkException as error:
        if len(rules) == 1:
            raise raised(rules[0].name, error) from error
        for rule in rules:
            _require_analysable(frame, [rule])
        raise
