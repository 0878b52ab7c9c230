"""Text as typed values: what parses, what does not, and how the failure is told.

Spark's own casts are kinder than a contract should be: '2017' is a date, '12:30' a timestamp of today, '1e400'
infinity, '1d' a double. Here a DATE is written year-month-day with a four-digit year (0001 to 9999), a TIMESTAMP has
a date, optionally time of day (fractions beyond microseconds are cut) and zone; a double is a decimal number, NaN or
infinity in words. Complex types are written as JSON. DECIMAL rounds half up to its scale, as in Spark.

A TIMESTAMP without a zone is UTC, or local time of the source's `time_zone`. A local time that the clocks skipped
does not parse; one that they showed twice is the first of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from scorelake.tables import literal

_DAY = r"(?!0000)[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_ZONE = r"(Z|UTC|GMT|[+-][0-9]{1,2}(:?[0-9]{2}){0,2}|[A-Za-z]+(/[A-Za-z0-9_+-]+)+)"
_TIME = r"[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}([.][0-9]{1,9})?)?"
DATE_TEXT = rf"^\s*{_DAY}\s*$"
TIMESTAMP_TEXT = rf"^\s*{_DAY}([ T]{_TIME}\s*{_ZONE}?)?\s*$"
ZONED_TEXT = rf"[ T]{_TIME}\s*{_ZONE}\s*$"
FLOAT_TEXT = r"^\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\s*$"
WORD_TEXT = r"(?i)^\s*([+-]?inf(inity)?|nan)\s*$"

_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_FLOATS = ("float", "double")


@dataclass(frozen=True)
class Parsed:
    """SQL of the typed value (null where it does not parse) and of the failure (never null)."""

    value: str
    fails: str


def cast(value: str, source_type: str, target_type: str, *, time_zone: str | None = None) -> Parsed:
    """SQL that casts the SQL `value` of `source_type` strictly. Types are Spark's simple strings."""
    if source_type in (target_type, "void"):
        return Parsed(f"CAST({value} AS {target_type})", "false")
    typed = _from_text(value, target_type, time_zone) if source_type == "string" else None
    if typed is None:
        typed = f"TRY_CAST({value} AS {target_type})"
    fails = f"({value} IS NOT NULL AND {typed} IS NULL)"
    if target_type in _INTEGERS and (source_type in _FLOATS or source_type.startswith("decimal")):
        fails = f"({value} IS NOT NULL AND NOT coalesce({typed} = {value}, false))"
    return Parsed(typed, fails)


def _from_text(value: str, target: str, time_zone: str | None) -> str | None:
    """The strict cast of a text; None where Spark's own is strict enough."""
    if target == "date":
        return f"CASE WHEN {_is(value, DATE_TEXT)} THEN TRY_CAST({value} AS DATE) END"
    if target in ("timestamp", "timestamp_ntz"):
        typed = _instant(value, time_zone) if target == "timestamp" else f"TRY_CAST({value} AS TIMESTAMP_NTZ)"
        is_plain = f"({value} LIKE '____-__-__ __:__:__' AND {value} NOT LIKE '0000%')"  # common, and cheaper to see
        return f"CASE WHEN {is_plain} OR {_is(value, TIMESTAMP_TEXT)} THEN {typed} END"
    if target in _FLOATS:
        number = f"TRY_CAST({value} AS {target})"
        is_finite = f"{_is(value, FLOAT_TEXT)} AND abs({number}) < CAST('infinity' AS {target})"
        return f"CASE WHEN {is_finite} OR {_is(value, WORD_TEXT)} THEN {number} END"
    if target.startswith(("array<", "map<", "struct<")):
        return _from_json(value, target)
    return None


def _from_json(value: str, target: str) -> str:
    """A nested value, whole: of one that fits its type in parts Spark would null the rest without a word.

    Only a struct can say that it was read in parts, so the value becomes the field of one.
    """
    schema, options = literal(f"value {target}, misfit string"), "map('columnNameOfCorruptRecord', 'misfit')"
    parsed = f"from_json(concat('{{\"value\":', {value}, '}}'), {schema}, {options})"
    return f"CASE WHEN {parsed}.misfit IS NULL THEN {parsed}.value END"


def _instant(value: str, time_zone: str | None) -> str:
    """A timestamp; `time_zone` applies where the text names no zone of its own."""
    utc = f"TRY_CAST({value} AS TIMESTAMP)"
    if time_zone is None:
        return utc
    zone = literal(time_zone)
    shifted = f"to_utc_timestamp({utc}, {zone})"
    existed = f"from_utc_timestamp({shifted}, {zone}) = {utc}"
    return f"CASE WHEN {_is(value, ZONED_TEXT)} THEN {utc} WHEN {existed} THEN {shifted} END"


def _is(value: str, pattern: str) -> str:
    return f"{value} RLIKE {literal(pattern)}"
