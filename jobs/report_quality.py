"""Make pages of what the tables mean and what the gates said of them.

Reads   the contracts, ops.decisions, the results that build_silver kept
Writes  <reports>/quality/dictionary.html           every table and column
        <reports>/quality/<date>.html               the verdicts of a night, the worst first
        <reports>/quality/<table>/<date>.html       Great Expectations' own page of a slice (Data Docs)

    ./spark-submit.sh report_quality --env local --run-date 2017-11-26

Of a date that was judged several times the newest run counts. No page holds a value of a personal column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import _silver
from scorelake import cli
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.quality import pages, results
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import ops, reports
from scorelake.stores.lake import Lake

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import SparkSession

GATES = ("data", "volume", "freshness", "profile")


def run(spark: SparkSession, settings: Settings, dates: RunDates, only: Names = ALL) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    wanted = cli.chosen(definitions.silver, only)

    place = reports.write(settings.reports, "quality/dictionary.html", pages.dictionary(definitions.tables.values()))
    notes = [f"data dictionary: {place}"]
    for day in dates:
        judged = _decisions(lake, wanted, day)
        links = {name: f"{name}/{day}.html" for name in wanted if _data_docs(settings, name, day)}
        page = reports.write(settings.reports, f"quality/{day}.html", pages.report(day, judged, links))
        notes.append(f"{day}: {len({each.subject for each in judged})} tables judged: {page}")
    return Outcome(notes=tuple(notes))


def _decisions(lake: Lake, tables: list[str], day: date) -> list[Decision]:
    """What the newest run said of each table: a row a rule."""
    from pyspark.sql import functions as F

    if not lake.exists(ops.DECISIONS):
        return []
    asked = F.col("gate").isin(*GATES) & F.col("subject").isin(*tables) & (F.col("run_date") == F.lit(day))
    rows = lake.read(ops.DECISIONS).where(asked).orderBy("decided_at").collect()
    newest = {row["subject"]: row["run_id"] for row in rows}
    names = list(Decision.__dataclass_fields__)
    return [Decision(*(row[name] for name in names)) for row in rows if row["run_id"] == newest[row["subject"]]]


def _data_docs(settings: Settings, table: str, day: date) -> bool:
    """Great Expectations' page of a slice, from the results that were kept; false when there are none."""
    kept = reports.read(settings.reports, _silver.results_name(table, day))
    if kept is None:
        return False
    reports.write(settings.reports, f"quality/{table}/{day}.html", results.page(results.restored(kept)))
    return True


if __name__ == "__main__":
    cli.main(run, description=__doc__)
