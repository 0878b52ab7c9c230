"""A night's rows: what is judged, against what, and what the nights before make of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorelake.drift import measures
from scorelake.drift.build import build_arrow
from scorelake.drift.counts import Counts, total, unweighted, zero
from scorelake.drift.evaluate import Verdicts, evaluate
from scorelake.drift.freeze import Cutting
from scorelake.drift.kernel import Counter, merge
from scorelake.drift.profile import Profile
from scorelake.drift.rows import Night
from scorelake.drift.stored import count_rows, counts_of, reference_rows
from scorelake.drift.tables import AlertRow, BinRow, CountRow, MetricRow, ReferenceRow, ddl, values
from scorelake.drift.words import headline, message
from scorelake.models.watching import Drift, DriftOverride, Mute

DAY = dt.date(2020, 3, 1)
EVEN = pa.table({"x": [0, 1] * 2000, "town": ["a", "b"] * 2000, "region": ["n"] * 2500 + ["s"] * 1500})


@pytest.fixture(scope="module")
def profile() -> Profile:
    return build_arrow(EVEN, ["x", "town"], segments=["region"])


def counted(profile: Profile, **columns: list[Any]) -> Counts:
    counter = Counter(profile)
    counter.add(pa.record_batch({name: pa.array(column) for name, column in columns.items()}))
    return merge(profile, [counter.part(0)])


def skewed(profile: Profile, ones: int = 3200, rows: int = 4000) -> Counts:
    """A night on which x is 1 in `ones` of its rows; town is as it was."""
    x, region = [1] * ones + [0] * (rows - ones), ["n", "s"] * (rows // 2)
    return counted(profile, x=x, town=["a", "b", "b", "a"] * (rows // 4), region=region)


def night(day: int = 0, **more: Any) -> Night:
    return Night(subject="lapse28", version="7", run_date=DAY + dt.timedelta(days=day), run_id=f"run {day}", **more)


def judged(profile: Profile, counts: Counts, day: int = 0, *, limits: Drift | None = None, **more: Any) -> Verdicts:
    return evaluate(profile, counts, night(day), limits or Drift(), **more)


def of(verdicts: Verdicts, feature: str, segment: str = "all") -> MetricRow:
    return next(row for row in verdicts.metrics if (row.feature, row.segment) == (feature, segment))


def test_each_feature_and_segment_has_a_row_and_the_whole_one_more(profile: Profile) -> None:
    verdicts = judged(profile, skewed(profile))
    places = [(row.segment, row.feature) for row in verdicts.metrics]
    segments = ["all", "region=n", "region=s"]
    assert places == [*((segment, name) for segment in segments for name in ("x", "town")), ("all", "*")]
    assert (of(verdicts, "x").status, of(verdicts, "town").status, verdicts.status) == ("ALERT", "OK", "ALERT")
    assert (of(verdicts, "x").n, of(verdicts, "x", "region=s").n, of(verdicts, "x", "region=s").m) == (4000, 1500, 2000)


def test_terms_of_the_bins_sum_to_psi_and_their_shares_to_one(profile: Profile) -> None:
    verdicts = judged(profile, skewed(profile))
    bins = [row for row in verdicts.bins if (row.feature, row.segment) == ("x", "all")]
    assert [row.label for row in bins] == ["0", "1", "unseen before", "NaN", "null"]
    assert sum(row.term or 0 for row in bins) == pytest.approx(of(verdicts, "x").psi, rel=1e-12)
    assert (sum(row.share for row in bins), sum(row.share_reference for row in bins)) == (1, 1)


def test_a_night_without_rows_has_no_psi_and_is_no_data(profile: Profile) -> None:  # V6
    verdicts = judged(profile, zero(profile))
    assert {row.status for row in verdicts.metrics} == {"NO_DATA"}
    assert of(verdicts, "x").psi is None


def test_a_column_that_vanished_is_an_error_and_the_others_go_on(profile: Profile) -> None:
    counts = unweighted(profile, skewed(profile, ones=2000).rows, {"town": "column is gone"})
    verdicts = judged(profile, counts)
    assert (of(verdicts, "town").status, of(verdicts, "town").reason) == ("ERROR", "column is gone")
    assert (of(verdicts, "x").status, verdicts.status, verdicts.firing) == ("OK", "ERROR", "ERROR")
    assert {row.feature for row in verdicts.bins} == {"x"}


def test_counts_of_another_profile_are_an_error_never_a_number(profile: Profile) -> None:
    other = build_arrow(EVEN.slice(1), ["x", "town"], segments=["region"])
    verdicts = judged(profile, skewed(other))
    assert {row.status for row in verdicts.metrics} == {"ERROR"}
    assert all(row.psi is None for row in verdicts.metrics)


def test_no_data_of_a_night_changes_the_profile(profile: Profile) -> None:
    before = profile.hash
    judged(profile, skewed(profile))
    assert Profile.model_validate(profile.model_dump()).hash == before


def nights(profile: Profile, ones: Iterable[int], limits: Drift | None = None) -> list[Verdicts]:
    history: list[MetricRow] = []
    judgements = []
    for day, share in enumerate(ones):
        counts = skewed(profile, ones=share) if share >= 0 else zero(profile)
        judgements.append(judged(profile, counts, day, limits=limits, history=history))
        history += judgements[-1].metrics
    return judgements


def events(judgements: list[Verdicts]) -> list[tuple[int, str, str | None]]:
    rows = [row for verdicts in judgements for row in verdicts.alerts if (row.feature, row.segment) == ("x", "all")]
    return [((row.run_date - DAY).days, row.event, row.level) for row in rows]


def test_the_ledger_tells_opening_change_and_closing(profile: Profile) -> None:
    # OK, ALERT, ALERT, no data, ALERT, WARN, OK
    judgements = nights(profile, [2000, 3200, 3200, -1, 3200, 2700, 2000])
    assert events(judgements) == [(2, "opened", "ALERT"), (5, "changed", "WARN"), (6, "closed", None)]
    opened = next(row for row in judgements[2].alerts if (row.feature, row.segment) == ("x", "all"))
    assert (opened.nights, opened.rule, opened.threshold) == ("OK ALERT ALERT", "psi", 0.2)
    assert [of(verdicts, "x").nights for verdicts in judgements] == [1, 1, 2, 1, 1, 1, 1]
    assert [verdicts.firing for verdicts in judgements] == [None, None, "ALERT", "ALERT", "ALERT", "WARN", None]


def test_a_mute_keeps_the_numbers_and_holds_the_alert_back_until_its_date(profile: Profile) -> None:
    mute = Mute(until=DAY + dt.timedelta(days=2), reason="known campaign")
    judgements = nights(profile, [3200] * 4, Drift(features={"x": DriftOverride(mute=mute)}))
    assert events(judgements) == [(3, "opened", "ALERT")]
    muted = of(judgements[2], "x")
    assert (muted.status, muted.firing, muted.mute_reason) == ("ALERT", None, "known campaign")
    assert [verdicts.status for verdicts in judgements] == ["OK", "OK", "OK", "ALERT"]


def test_muting_an_alert_that_fires_is_written_down(profile: Profile) -> None:
    history = [row for verdicts in nights(profile, [3200, 3200]) for row in verdicts.metrics]
    mute = Mute(until=DAY + dt.timedelta(days=9), reason="known campaign")
    limits = Drift(features={"x": DriftOverride(mute=mute)})
    verdicts = judged(profile, skewed(profile), 2, limits=limits, history=history)
    assert [(row.event, row.mute_reason) for row in verdicts.alerts if row.segment == "all"] == [
        ("muted", "known campaign")
    ]


def test_a_rerun_of_an_old_night_ignores_later_ones_and_answers_the_same(profile: Profile) -> None:
    judgements = nights(profile, [2000, 3200, 3200, 2000])
    history = [row for verdicts in judgements for row in verdicts.metrics]
    again = judged(profile, skewed(profile, ones=3200), 2, history=reversed(history))
    assert again == judgements[2]


def test_history_of_another_version_or_comparison_does_not_count(profile: Profile) -> None:
    alerts = nights(profile, [3200])[0].metrics
    other = evaluate(profile, skewed(profile), night(1, against="previous week"), Drift(), history=alerts)
    assert of(other, "x").firing is None


def test_limits_of_a_segment_column_go_before_those_of_the_feature(profile: Profile) -> None:
    limits = Drift(
        features={"x": DriftOverride(warn=5.0, alert=6.0)}, segments={"region": DriftOverride(warn=0.1, alert=0.2)}
    )
    verdicts = judged(profile, skewed(profile), limits=limits)
    assert (of(verdicts, "x").status, of(verdicts, "x", "region=n").status) == ("OK", "ALERT")


def test_a_segment_too_small_does_not_speak_for_the_whole(profile: Profile) -> None:
    rows = {"x": [0, 1] * 1000, "town": ["a", "b"] * 1000, "region": ["n"] * 1990 + ["s"] * 10}
    verdicts = judged(profile, counted(profile, **rows))
    assert of(verdicts, "x", "region=s").status == "INSUFFICIENT"
    assert verdicts.status == "OK"


def test_the_psi_of_the_whole_is_weighted_by_importance(profile: Profile) -> None:
    verdicts = judged(profile, skewed(profile), importance={"x": 3.0, "town": 1.0})
    expected = (3 * (of(verdicts, "x").psi or 0) + (of(verdicts, "town").psi or 0)) / 4
    assert of(verdicts, "*").psi == pytest.approx(expected, rel=1e-12)


def test_a_feature_that_harms_the_model_weighs_nothing(profile: Profile) -> None:
    verdicts = judged(profile, skewed(profile), importance={"x": -0.1, "town": 0.2})
    assert of(verdicts, "*").psi == of(verdicts, "town").psi
    assert of(judged(profile, skewed(profile), importance={"x": -0.1}), "*").psi is None


def test_a_week_is_the_sum_of_its_nights(profile: Profile) -> None:
    week = [skewed(profile, ones=ones) for ones in (2000, 2400, 2800)]
    pooled = {"x": [], "town": [], "region": []}  # type: dict[str, list[Any]]
    for ones in (2000, 2400, 2800):
        pooled["x"] += [1] * ones + [0] * (4000 - ones)
        pooled["town"] += ["a", "b"] * 2000
        pooled["region"] += ["n", "s"] * 2000
    together = judged(profile, total(profile, week))
    assert of(together, "x") == of(judged(profile, counted(profile, **pooled)), "x")


def test_a_night_compares_with_any_other_night(profile: Profile) -> None:
    same = skewed(profile)
    verdicts = evaluate(profile, same, night(against="same weekday"), Drift(), base=same)
    assert (of(verdicts, "x").psi, of(verdicts, "x").status) == (0, "OK")
    assert {row.against for row in [*verdicts.metrics, *verdicts.bins]} == {"same weekday"}


def test_equal_weights_give_the_verdict_of_no_weights(profile: Profile) -> None:
    plain = skewed(profile)
    tripled = Counts(profile, plain.rows, plain.sum_w * 3, plain.sum_w2 * 9)
    assert of(judged(profile, tripled), "x").psi == pytest.approx(of(judged(profile, plain), "x").psi, rel=1e-12)
    assert of(judged(profile, tripled), "x").m_effective == 4000


def test_weights_make_fewer_rows_of_many() -> None:  # W
    reference = build_arrow(pa.table({"x": [1, 2, 3, 4]}), ["x"], cutting=Cutting(bins=2, max_values=0))
    counter = Counter(reference, weight="w")
    counter.add(pa.record_batch({"x": pa.array([1, 2, 3, 4]), "w": pa.array([1.0, 1.0, 3.0, 3.0])}))
    row = of(judged(reference, merge(reference, [counter.part(0)])), "x")
    assert reference["x"].counts == ((0, 2, 2, 0, 0, 0),)
    assert row.m_effective == pytest.approx(3.2, rel=1e-12)
    assert row.psi == pytest.approx(0.103528577099992, rel=1e-12)


@pytest.mark.parametrize("days", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_three_hundred_features_without_drift_are_hardly_ever_flagged(days: int) -> None:  # D12
    rng = np.random.default_rng(20_17)
    names = [f"x{i}" for i in range(300)]
    profile = build_arrow(pa.table({name: np.arange(20) for name in names}), names)
    cells = np.append(np.full(20, 0.97 / 20), [0, 0, 0.03])  # values, unseen, NaN, null: shares have limits as well

    def sampled(rows: int) -> np.ndarray:
        return rng.multinomial(rows, cells, len(names)).reshape(1, -1)

    base = unweighted(profile, sampled(20_000))
    flagged = 0
    for day in range(days):
        verdicts = evaluate(profile, unweighted(profile, sampled(2000)), night(day), Drift(), base=base)
        flagged += sum(row.status != "OK" for row in verdicts.metrics[:-1])
    assert flagged <= days / 10


def test_a_share_that_one_of_three_hundred_columns_reaches_by_chance_is_no_alert() -> None:
    names = [f"x{i}" for i in range(300)]
    profile = build_arrow(pa.table({name: [0, 1] * 1000 for name in names}), names)
    rows = np.tile([9700, 9700, 0, 0, 600], 300)[None, :]
    now = np.tile([970, 970, 0, 0, 60], 300)[None, :]
    now[0, :5] = [958, 957, 0, 0, 85]  # 3 to 4.25 %: p is 0.002, but the smallest of 300 is that by chance
    alone = np.array([[958, 957, 0, 0, 85]])

    def status(profile: Profile, base: np.ndarray, now: np.ndarray) -> str:
        verdicts = judged(profile, unweighted(profile, now), base=unweighted(profile, base))
        return of(verdicts, "x0").status

    assert status(profile.only(["x0"]), rows[:, :5], alone) == "ALERT"
    assert status(profile, rows, now) == "OK"
    now[0, :5] = [900, 900, 0, 0, 200]
    assert status(profile, rows, now) == "ALERT"


def test_counts_come_back_from_their_rows(profile: Profile) -> None:
    counts = skewed(profile)
    rows = count_rows(counts, night())
    back = counts_of(profile, rows)
    assert np.array_equal(back.rows, counts.rows)
    assert np.array_equal(back.sum_w2, counts.sum_w2)
    other = build_arrow(EVEN.slice(1), ["x", "town"], segments=["region"])
    assert set(counts_of(other, rows).problems) == {"x", "town"}
    broken = unweighted(profile, counts.rows, {"x": "column is gone"})
    assert counts_of(profile, count_rows(broken, night())).problems == {"x": "column is gone"}


def test_rows_of_two_nights_add_up(profile: Profile) -> None:
    rows = [*count_rows(skewed(profile), night(0)), *count_rows(skewed(profile, ones=2000), night(1))]
    assert counts_of(profile, rows).of("x").rows.tolist() == [2800, 5200, 0, 0, 0]


def test_rare_categories_are_not_spelled_out() -> None:
    profile = build_arrow(pa.table({"name": ["common"] * 10 + ["Ann Smith", ""]}), ["name"])
    labels = [row.label for row in reference_rows(profile, subject="m", version="1")]
    assert labels == ["common", "rare category", "rare category", "other categories", "unseen before", "null"]


def test_rows_fit_the_ddl_of_their_tables(spark: Any, profile: Profile) -> None:
    verdicts = nights(profile, [3200, 3200])[1]
    reference = reference_rows(profile, subject="m", version="1")
    tables = [
        (ReferenceRow, reference), (CountRow, count_rows(skewed(profile), night())),
        (MetricRow, verdicts.metrics), (BinRow, verdicts.bins), (AlertRow, verdicts.alerts),
    ]  # fmt: skip
    for kind, rows in tables:
        frame = spark.createDataFrame([values(row) for row in rows], ddl(kind))
        assert frame.count() == len(rows) > 0
        assert kind(**frame.first().asDict()) == rows[0]
    assert "PSI to expect" in spark.createDataFrame([], ddl(MetricRow)).schema["noise"].metadata["comment"]


def test_a_rate_that_moves_from_15_to_55_percent_alerts() -> None:
    before, now = np.array([8500.0, 1500.0]), np.array([4500.0, 5500.0])
    shares = measures.shares(before), measures.shares(now)
    assert measures.psi(*shares) == pytest.approx(0.774108700340103, rel=1e-12)
    profile = build_arrow(pa.table({"label": [0] * 8500 + [1] * 1500}), ["label"], roles={"label": "label"})
    row = of(judged(profile, counted(profile, label=[0] * 4500 + [1] * 5500)), "label")
    assert (row.status, row.psi) == ("ALERT", pytest.approx(0.774, abs=0.002))


@pytest.fixture(scope="module")
def labelled() -> Profile:
    table = EVEN.append_column("label", pa.array([0, 0, 0, 1] * 1000))
    return build_arrow(table, ["x", "label"], segments=["region"], roles={"label": "label"})


def test_labels_know_no_segments(labelled: Profile) -> None:
    verdicts = judged(labelled, counted(labelled, x=[0, 1] * 2000, label=[0, 0, 0, 1] * 1000, region=["n"] * 4000))
    assert [row.segment for row in verdicts.metrics if row.feature == "label"] == ["all"]


def test_labels_that_are_still_to_come_say_nothing_about_the_whole(labelled: Profile) -> None:
    counts = counted(labelled, x=[0, 1] * 2000, region=["n"] * 2500 + ["s"] * 1500)
    verdicts = judged(labelled, counts)
    assert (of(verdicts, "label").status, of(verdicts, "label").reason) == ("NO_DATA", "no label became known tonight")
    assert verdicts.status == "OK"
    assert headline(verdicts.metrics).startswith("Nothing moved")
    few = judged(labelled, counted(labelled, x=[0, 1], region=["n", "s"]))
    assert headline(few.metrics) == "There are too few rows tonight to tell drift from chance."


def test_labels_that_moved_speak_for_the_whole(labelled: Profile) -> None:
    counts = counted(labelled, x=[0, 1] * 2000, label=[0, 1] * 2000, region=["n"] * 2500 + ["s"] * 1500)
    assert judged(labelled, counts).status == "ALERT"


def test_a_period_without_counts_is_insufficient_not_ok(profile: Profile) -> None:
    verdicts = evaluate(profile, skewed(profile), night(against="last week"), Drift(), base=zero(profile))
    assert {row.status for row in verdicts.metrics} == {"INSUFFICIENT"}
    assert "0 rows in the reference" in of(verdicts, "x").reason


def test_a_message_names_three_things_and_no_value(profile: Profile) -> None:
    verdicts = judged(profile, skewed(profile))
    told = message(verdicts.metrics, "reports/lapse28/2020-03-01.html")
    assert (told["status"], told["alert"], told["report"]) == ("ALERT", None, "reports/lapse28/2020-03-01.html")
    assert told["first"] == [f"x: {of(verdicts, 'x').reason}"]


def test_one_row_is_insufficient(profile: Profile) -> None:
    verdicts = judged(profile, counted(profile, x=[1], town=["a"], region=["n"]))
    assert of(verdicts, "x").status == verdicts.status == "INSUFFICIENT"


@pytest.mark.parametrize("value", [None, np.nan, np.inf, 7.0], ids=["null", "NaN", "infinite", "constant"])
def test_a_night_of_one_value_alerts_and_says_so(value: float | None) -> None:
    profile = build_arrow(pa.table({"d": np.linspace(0, 1, 3000)}), ["d"])
    row = of(judged(profile, counted(profile, d=pa.array([value] * 3000, pa.float64()))), "d")
    assert (row.status, row.became_constant, np.isfinite(row.psi or np.nan)) == ("ALERT", True, True)


def test_a_hundred_thousand_categories_are_judged_like_any() -> None:
    texts = [f"c{i}" for i in range(100_000)]
    profile = build_arrow(pa.table({"t": texts}), ["t"])
    same = judged(profile, counted(profile, t=texts))
    new = judged(profile, counted(profile, t=[f"new{i}" for i in range(100_000)]))
    assert (of(same, "t").status, of(same, "t").psi) == ("OK", 0)
    assert (of(new, "t").status, of(new, "t").rule, of(new, "t").unseen_share) == ("ALERT", "unseen", 1)
