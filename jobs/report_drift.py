"""Compare each night's features, scores and matured labels with the reference frozen at training.

Reads   features.<service>, scores.<model>, label tables, the reference profile of the scoring version
Writes  monitoring.drift_*, the slices of the given run dates; a re-run replaces them
        ops.decisions, a verdict a model, night and period compared with
        <reports>/drift/<model>/<date>.html, a page a night; <reports>/drift/index.html over all of them

    ./spark-submit.sh report_drift --env local --run-date 2017-12-31
    ./spark-submit.sh report_drift --env local --from 2017-12-25 --to 2017-12-31 --only lapse_xgboost

An alert needs k of the last n nights. Too few rows are never OK but INSUFFICIENT. A model with `drift.on_alert: fail`
ends with exit code 4 on a night that raises an ALERT. Tables without a model are watched too:

    ./spark-submit.sh report_drift --env local --table silver.products --freeze first --run-date 2017-01-01
    ./spark-submit.sh report_drift --env local --table silver.products --run-date 2017-12-31
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from jobs import _monitoring, _registry, _watched
from jobs._watched import Watched
from scorelake import cli, runs
from scorelake.cli import ALL, Names
from scorelake.dates import RunDates
from scorelake.decisions import Decision
from scorelake.definitions import load_definitions
from scorelake.drift import report, stored, tables, words
from scorelake.drift.counts import Counts, total
from scorelake.drift.evaluate import Verdicts, evaluate
from scorelake.drift.profile import Profile
from scorelake.drift.rows import TRAINING, Night
from scorelake.drift.status import Status
from scorelake.drift.tables import MetricRow
from scorelake.errors import UsageError
from scorelake.nightly.graph import DRIFT_METRICS
from scorelake.runs import Outcome
from scorelake.settings import Settings
from scorelake.stores import notifier, ops, reports
from scorelake.stores.lake import Lake
from scorelake.stores.marks import Mark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS = {
    "--table": {"metavar": "LAYER.NAME", "help": "watch this table against a frozen profile, instead of models"},
    "--freeze": {"metavar": "NAME", "help": "with --table: freeze the rows of the given dates as profile NAME"},
    "--profile": {"metavar": "NAME", "help": "with --table: the profile to compare with (default: of the latest rows)"},
}


def run(
    spark: SparkSession,
    settings: Settings,
    dates: RunDates,
    only: Names = ALL,
    *,
    table: str | None = None,
    freeze: str | None = None,
    profile: str | None = None,
) -> Outcome:
    definitions = load_definitions(settings.conf_dir)
    lake = Lake(spark, settings.lake)
    if table is None:
        if freeze or profile:
            raise UsageError("--freeze and --profile go with --table: profiles of models are made by train_model")
        names, registry = cli.chosen(definitions.models, only), _registry.connect(settings)
        watched = (pair for name in names for pair in _watched.versions(lake, registry, definitions, name, dates))
        return runs.combined([*(_report(lake, settings, *pair) for pair in watched), _index(lake, settings)])
    if only is not ALL:
        raise UsageError("--only restricts models; --table names the one table")
    if freeze is None:
        outcome = _report(lake, settings, _watched.table(lake, table, profile), list(dates))
        return runs.combined([outcome, _index(lake, settings)])
    _require_new_name(lake, table, freeze)
    row = replace(_watched.frozen_profile(lake, definitions, table, dates, freeze), run_id=runs.run_id())
    frozen = Profile.from_json(row.profile)
    _monitoring.freeze(lake, row)
    _monitoring.write_reference(lake, frozen, subject=table, version=freeze)
    size = f"{len(frozen.features)} columns of {frozen.features[0].n:,} rows"
    return Outcome({_monitoring.PROFILES: 1}, notes=(f"{table}: profile {freeze} holds {size} of {dates}",))


def _require_new_name(lake: Lake, table: str, name: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) is None:
        raise UsageError(f"--freeze {name}: expected letters, digits, _ and -")
    if any(row.version == name for row in _monitoring.frozen(lake, table)):
        raise UsageError(f"--freeze {name}: {table} has a profile of that name, and profiles never change")


def _report(lake: Lake, settings: Settings, watched: Watched, nights: list[date]) -> Outcome:
    """Count, judge and write these nights, in order: each is history to the next."""
    history = _monitoring.history(lake, watched.subject, watched.version, before=nights[0])
    counted: dict[date, Counts] = {}
    verdicts: list[Verdicts] = []
    for day in nights:
        counted[day] = watched.count(day)
        found = list(_judged(lake, watched, day, counted, history))
        matured = _monitoring.matured(lake, watched.subject, watched.headline, up_to=day) if watched.headline else []
        links = _links(settings, watched)
        page = _monitoring.page(watched.subject, watched.version, day)
        html = report.render(
            found[0],
            watched.limits,
            others=found[1:],
            matured=matured,
            history=history,
            links=links,
            index=f"{'../' * page.count('/')}index.html",
        )
        reports.write(settings.reports, f"drift/{page}", html)
        verdicts += found
        history += [row for verdict in found for row in verdict.metrics]

    ops.record_decisions(lake, [_decision(verdict) for verdict in verdicts])
    _monitoring.write_reference(lake, watched.profile, subject=watched.subject, version=watched.version)
    mark = Mark(runs.run_id(), watched.mark, tuple(nights), watched.definition_hash, watched.inputs)
    rows: dict[str, Sequence[tables.Row]] = {
        _monitoring.COUNTS: [row for day in nights for row in stored.count_rows(counted[day], _night(watched, day))],
        "monitoring.drift_bins": [row for verdict in verdicts for row in verdict.bins],
        "monitoring.drift_alerts": [row for verdict in verdicts for row in verdict.alerts],
        DRIFT_METRICS: [row for verdict in verdicts for row in verdict.metrics],
    }
    written = _monitoring.write(lake, mark, rows, also=watched.rows_of)
    of_training = [verdict for verdict in verdicts if verdict.night.against == TRAINING]
    unheard = _notify(lake, settings, watched, of_training)
    refused = [verdict for verdict in of_training if _is_refused(watched, verdict)]
    lines = [_line(verdict) for verdict in of_training if verdict not in refused]
    return Outcome(written, notes=(*lines, *unheard), refused=tuple(map(_line, refused)))


def _night(watched: Watched, day: date, against: str = TRAINING) -> Night:
    return Night(subject=watched.subject, version=watched.version, run_date=day, against=against, run_id=runs.run_id())


def _judged(
    lake: Lake, watched: Watched, day: date, counted: dict[date, Counts], history: Iterable[MetricRow]
) -> Iterable[Verdicts]:
    """The night against training, then against each declared period."""
    bases: dict[str, Counts | None] = {TRAINING: None}
    for name, period in watched.limits.against.items():
        bases[name] = _base(lake, watched, period.nights(day), counted)
    for against, base in bases.items():
        yield evaluate(
            watched.profile,
            counted[day],
            _night(watched, day, against),
            watched.limits,
            base=base,
            importance=watched.importance,
            history=history,
            cut=watched.cut,
        )


def _base(lake: Lake, watched: Watched, nights: Sequence[date], counted: dict[date, Counts]) -> Counts:
    """The counts of a period: nights of this run from memory, the others from the table."""
    fresh = [replace(counted[day], problems={}) for day in nights if day in counted]
    earlier = [day for day in nights if day not in counted]
    kept = _monitoring.counts_of_nights(lake, watched.subject, watched.version, watched.profile, earlier)
    return total(watched.profile, [kept, *fresh])


def _links(settings: Settings, watched: Watched) -> dict[str, str]:
    template = settings.report.definition_link
    names = [feature.name for feature in watched.profile.features if feature.role == "feature"]
    return {name: template.replace("{feature}", name) for name in names} if template else {}


def _notify(lake: Lake, settings: Settings, watched: Watched, verdicts: Sequence[Verdicts]) -> list[str]:
    """Tell whoever is configured of nights that raise an alert; what did not arrive is recorded and fails nothing."""
    notify, problems = settings.notify, []
    decisions = []
    for verdict in verdicts if notify.webhook or notify.command else ():
        opened = any(row.event in ("opened", "changed") for row in verdict.alerts)
        if verdict.firing is None or (notify.when == "opened" and not opened):
            continue
        day = verdict.night.run_date
        page = f"drift/{_monitoring.page(watched.subject, watched.version, day)}"
        found = notifier.send(notify, words.message(verdict.metrics, f"{settings.reports.rstrip('/')}/{page}"))
        problems += [f"notification of {watched.subject} on {day} failed: {problem}" for problem in found]
        verdict_of_it, reason = ("fail", "; ".join(found)) if found else ("pass", "sent")
        subject = f"{watched.subject}/{watched.version}"
        decisions.append(Decision("notification", subject, day, "sent", None, None, verdict_of_it, reason))
    ops.record_decisions(lake, decisions)
    return problems


def _is_refused(watched: Watched, verdict: Verdicts) -> bool:
    return watched.limits.on_alert == "fail" and verdict.firing in (Status.ALERT, Status.ERROR)


def _decision(verdict: Verdicts) -> Decision:
    whole = verdict.metrics[-1]
    return Decision(
        "drift",
        f"{whole.subject}/{whole.version}",
        whole.run_date,
        "status" if whole.against == TRAINING else f"status against {whole.against}",
        whole.value,
        whole.threshold,
        str(verdict.firing or verdict.status),
        whole.reason,
    )


def _line(verdict: Verdicts) -> str:
    night = verdict.night
    firing = f", firing {verdict.firing}" if verdict.firing else ""
    return f"{night.subject} version {night.version} on {night.run_date}: {verdict.status}{firing}"


def _index(lake: Lake, settings: Settings) -> Outcome:
    """The page over all nights, made again from the tables."""
    rows = _monitoring.whole_nights(lake)
    pages = {key: _monitoring.page(*key) for row in rows for key in [(row.subject, row.version, row.run_date)]}
    reports.write(settings.reports, "drift/index.html", report.render_index(rows, reports=pages))
    return Outcome()


if __name__ == "__main__":
    cli.main(run, description=__doc__)
