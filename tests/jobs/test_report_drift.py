"""Tables watched without a model: frozen once, judged every night, told to whoever wants to know."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from deltalake import DeltaTable

from jobs import _monitoring, _watched, report_drift
from scorelake import runs
from scorelake.dates import RunDates
from scorelake.drift.tables import ProfileRow
from scorelake.errors import DamagedFile, MissingInput, UsageError
from scorelake.models import Drift, Period
from scorelake.settings import NotifySettings, Settings
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark
from scorelake.tables import Column
from tests.shop.night import settings_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = "gold.meters"
FIRST = dt.date(2024, 3, 1)
ROWS = 1500
SHIFTS = (0.0, 0.0, 2.0, 2.0)
"""By how much `flow` is higher, night by night."""
COLUMNS = (
    Column(name="meter", type="string"),
    Column(name="flow", type="double"),
    Column(name="town", type="string"),
    Column(name="run_date", type="date"),
)
SCHEMAS = ("gold", "monitoring", "ops")


@dataclass
class World:
    lake: Lake
    settings: Settings
    outcomes: list[runs.Outcome] = field(default_factory=list)

    def report(self, first: int, last: int, **options: Any) -> runs.Outcome:
        settings = options.pop("settings", self.settings)
        return report_drift.run(self.lake.spark, settings, days(first, last), table=TABLE, **options)

    def page(self, night: int) -> str:
        return Path(self.settings.reports, "drift", TABLE, "spring", f"{day(night)}.html").read_text()


def day(night: int) -> dt.date:
    return FIRST + dt.timedelta(days=night)


def days(first: int, last: int) -> RunDates:
    return RunDates(day(first), day(last))


def forget(spark: SparkSession) -> None:
    """The tables' names, not their files: other tests keep tables of these names elsewhere."""
    for schema in SCHEMAS:
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Four nights of a table; its first night is frozen, the others are judged."""
    forget(spark)
    before = dict(os.environ)
    runs.begin()
    settings = settings_in(tmp_path_factory.mktemp("drift of tables"))
    lake = Lake(spark, settings.lake)
    lake.create(TABLE, COLUMNS, partitioned_by=["run_date"])
    rng = np.random.default_rng(1)
    rows = [
        (f"m{i}", float(value), town, day(night))
        for night, shift in enumerate(SHIFTS)
        for i, (value, town) in enumerate(
            zip(rng.normal(shift, 1, ROWS), rng.choice(["Ulm", "Aalen"], ROWS).tolist(), strict=True)
        )
    ]
    frame = spark.createDataFrame(rows, ", ".join(column.ddl for column in COLUMNS))
    lake.replace_slices(frame, TABLE, Mark("made up", "test", tuple(day(n) for n in range(len(SHIFTS)))))
    world = World(lake, settings)
    world.outcomes.append(world.report(0, 0, freeze="spring"))
    world.outcomes.append(world.report(1, 3))
    yield world
    os.environ.clear()
    os.environ.update(before)
    forget(spark)


def verdicts(world: World, night: int) -> dict[str, tuple[str, str | None]]:
    rows = world.lake.read_slices("monitoring.drift_metrics", [day(night)]).collect()
    return {row["feature"]: (row["status"], row["firing"]) for row in rows}


def test_a_table_is_judged_against_its_frozen_profile(world: World) -> None:
    assert [outcome.exit_code for outcome in world.outcomes] == [0, 0]
    assert verdicts(world, 1)["flow"] == ("OK", None)
    assert verdicts(world, 2)["flow"] == ("ALERT", None)
    assert verdicts(world, 3)["flow"] == ("ALERT", "ALERT")
    assert verdicts(world, 3)["town"] == ("OK", None)
    assert any("firing ALERT" in note for note in world.outcomes[1].notes)


def test_a_profile_is_frozen_once(world: World) -> None:
    with pytest.raises(UsageError, match="profiles never change"):
        world.report(2, 2, freeze="spring")
    with pytest.raises(UsageError, match="letters, digits"):
        world.report(2, 2, freeze="it's")


def test_what_cannot_be_compared_is_said(world: World) -> None:
    with pytest.raises(MissingInput, match="has no profile summer"):
        world.report(1, 1, profile="summer")
    with pytest.raises(MissingInput, match="no rows on"):
        world.report(9, 9, freeze="summer")
    with pytest.raises(UsageError, match="go with --table"):
        report_drift.run(world.lake.spark, world.settings, days(1, 1), freeze="summer")
    with pytest.raises(UsageError, match="--table names the one table"):
        world.report(1, 1, only=frozenset(["churn"]))


def test_an_empty_night_is_no_data(world: World) -> None:
    outcome = world.report(7, 7)
    assert outcome.exit_code == 0
    assert {status for status, _ in verdicts(world, 7).values()} == {"NO_DATA"}
    assert "There are no rows tonight" in world.page(7)


def test_a_rerun_leaves_the_tables_as_they_were(world: World) -> None:
    def rows() -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for name in ("counts", "metrics", "bins", "alerts"):
            table = world.lake.read_slices(f"monitoring.drift_{name}", days(1, 3))
            found[name] = sorted(map(tuple, table.collect()), key=repr)
        return found

    before = rows()
    world.report(2, 3)
    assert rows() == before


def test_a_night_compares_with_those_before_it_and_may_refuse(world: World) -> None:
    limits = Drift(against={"two_before": Period(previous=2)}, on_alert="fail")
    watched = replace(_watched.table(world.lake, TABLE, "spring"), limits=limits)
    outcome = report_drift._report(world.lake, world.settings, watched, [day(2), day(3)])
    assert (outcome.exit_code, len(outcome.refused), len(outcome.notes)) == (4, 1, 1)
    assert "2024-03-04: ALERT, firing ALERT" in outcome.refused[0]
    metrics = world.lake.read("monitoring.drift_metrics").where("against = 'two_before' AND feature = 'flow'")
    found = {row["run_date"]: (row["n"], row["m"], row["status"]) for row in metrics.collect()}
    # Night 0 was frozen, not judged, so it left no counts; night 2 of the same call is known to night 3.
    assert found == {day(2): (ROWS, ROWS, "ALERT"), day(3): (2 * ROWS, ROWS, "ALERT")}
    assert "two_before" in world.page(3)


def test_columns_of_keys_and_engine_are_not_watched(world: World) -> None:
    assert set(verdicts(world, 1)) == {"meter", "flow", "town", "*"}  # without a contract nothing tells a key


def test_bi_reads_the_tables_without_spark(world: World) -> None:
    metrics = DeltaTable(world.lake.location("monitoring.drift_metrics")).to_pyarrow_dataset()
    bins = DeltaTable(world.lake.location("monitoring.drift_bins")).to_pyarrow_dataset()
    found = duckdb.sql("""
        SELECT m.psi, sum(b.term), sum(b.share), sum(b.share_reference)
        FROM metrics m JOIN bins b USING (subject, version, run_date, against, segment, feature)
        WHERE feature = 'flow' AND run_date = DATE '2024-03-03' AND against = 'training' GROUP BY m.psi
    """).fetchall()
    [(psi, terms, share, share_reference)] = found
    assert terms == pytest.approx(psi, rel=1e-12)
    assert (share, share_reference) == (pytest.approx(1), pytest.approx(1))
    assert metrics.count_rows() > 0
    assert bins.count_rows() > 0


def test_the_index_leads_to_every_report(world: World) -> None:
    index = Path(world.settings.reports, "drift", "index.html")
    page = index.read_text()
    for night in (1, 2, 3):
        address = f"{TABLE}/spring/{day(night)}.html"
        assert f'href="{address}"' in page
        assert (index.parent / address).is_file()


def test_a_report_leads_back_to_the_index(world: World) -> None:
    assert 'href="../../index.html"' in world.page(1)


def test_a_stored_profile_that_was_changed_is_refused(world: World) -> None:
    profiles = world.lake.read("monitoring.drift_profiles")
    [row] = profiles.collect()
    text = row["profile"].replace('"counts": [[', '"counts": [[1', 1)
    assert text != row["profile"]
    damaged = ProfileRow(**{**row.asDict(), "version": "damaged", "profile": text})
    _monitoring.freeze(world.lake, damaged)
    with pytest.raises(DamagedFile, match=r"profile damaged of gold\.meters was changed after it was written"):
        world.report(1, 1, profile="damaged")
    world.lake.spark.sql("DELETE FROM monitoring.drift_profiles WHERE version = 'damaged'")


def test_a_category_a_row_is_watched_without_spelling_any_out(world: World) -> None:
    assert "m17" not in world.page(1)


# ------------------------------------------------------------------ telling people


def notifying(world: World, **settings: Any) -> Settings:
    return world.settings.model_copy(update={"notify": NotifySettings(**settings)})


def sent(world: World, night: int) -> list[tuple[str, str]]:
    rows = world.lake.read("ops.decisions").where("gate = 'notification'").collect()
    return [(row["verdict"], row["reason"]) for row in rows if row["run_date"] == day(night)]


def test_an_alert_that_opens_is_told_once(world: World, tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    write = f"import sys; open({str(file)!r}, 'a').write(sys.stdin.read())"
    assert world.report(1, 3, settings=notifying(world, command=(sys.executable, "-c", write))).exit_code == 0
    message = json.loads(file.read_text())  # of the one night on which it opens
    assert (message["run_date"], message["status"], message["alert"]) == ("2024-03-04", "ALERT", "ALERT")
    assert message["first"][0].startswith("flow: PSI ")
    assert Path(message["report"]).is_file()
    assert sent(world, 3) == [("pass", "sent")]


def test_a_notification_that_fails_is_recorded_and_fails_nothing(world: World) -> None:
    runs.begin()
    outcome = world.report(3, 3, settings=notifying(world, command=(sys.executable, "-c", "raise SystemExit(7)")))
    assert outcome.exit_code == 0
    assert outcome.notes[-1].endswith("failed: command: it ended with exit code 7")
    assert ("fail", "command: it ended with exit code 7") in sent(world, 3)
