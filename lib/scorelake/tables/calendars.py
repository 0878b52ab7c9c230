"""A calendar as a gold table: for each day its weekend, quarter and holidays, as the contract lists them.

It is written out as the SQL of a gold table, so that it is checked, hashed, seen as of an instant and rebuilt as any.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from scorelake.strict_yaml import Definition
from scorelake.tables.columns import literal

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = "day"
COLUMNS = {
    DAY: "date",
    "year": "int",
    "quarter": "int",
    "month": "int",
    "week": "int",
    "weekday": "int",
    "is_weekend": "boolean",
    "is_holiday": "boolean",
    "holiday": "string",
}
"""What a calendar can say of a day. `week` is ISO's, `weekday` counts from 1, Monday; `holiday` is a name or null."""


class Calendar(Definition):
    """Slice D has the run date and the `ahead` days after it; of a day that several slices hold, the newest counts."""

    holidays: dict[date, str] = Field(default={}, description="Day -> name; written out, since nobody decrees rules.")
    weekend: tuple[Weekday, ...] = Field(default=("saturday", "sunday"), description="Days of every week.")
    ahead: int = Field(default=0, ge=0, le=3660, description="Days after the run date that a slice says too.")

    def query(self, columns: tuple[str, ...]) -> str:
        """The SQL of a table with these of COLUMNS."""
        ends = ", ".join(str(WEEKDAYS.index(name) + 1) for name in self.weekend)
        names = "".join(f" WHEN DATE'{day}' THEN {literal(name)}" for day, name in sorted(self.holidays.items()))
        days = ", ".join(f"DATE'{day}'" for day in sorted(self.holidays))
        meaning = {
            DAY: "day",
            "year": "year(day)",
            "quarter": "quarter(day)",
            "month": "month(day)",
            "week": "weekofyear(day)",
            "weekday": "weekday(day) + 1",
            "is_weekend": f"weekday(day) + 1 IN ({ends})" if ends else "false",
            "is_holiday": f"day IN ({days})" if days else "false",
            "holiday": f"CASE day{names} END" if names else "CAST(NULL AS STRING)",
        }
        shown = ",\n  ".join(f"{meaning[name]} AS {name}" for name in columns)
        last = f"date_add(:run_date, {self.ahead})"
        return f"SELECT\n  {shown}\nFROM (SELECT explode(sequence(:run_date, {last}, INTERVAL 1 DAY)) AS day)"
