"""The report: opens anywhere, tells the verdict first, gives no row away."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scorelake.drift.build import build_arrow
from scorelake.drift.charts import WIDTH, Bar, histogram
from scorelake.drift.counts import Counts, unweighted, zero
from scorelake.drift.evaluate import Verdicts, evaluate
from scorelake.drift.kernel import Counter, merge
from scorelake.drift.profile import Profile
from scorelake.drift.report import render, render_index
from scorelake.drift.rows import Night
from scorelake.drift.view import Matured, safe_link, segments
from scorelake.models.watching import Drift, DriftOverride, Mute

DAY = dt.date(2020, 3, 1)
EVIL = "<script>alert(1)</script>"


def rows(seed: int, shift: float = 0.0, features: int = 3, size: int = 3000) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {f"x{i}": rng.normal(shift if i == 0 else 0, 1, size) for i in range(features)}
    towns = rng.choice([EVIL, "O'Hara & Sons", "Ulm"], size).tolist()
    towns[:2] = ["Ann Smith", "Ann Smith"]
    return pa.table({**columns, "town": towns, "score": rng.random(size), "region": rng.choice(["n", "s"], size)})


def profiled(features: int = 3) -> Profile:
    columns = [*(f"x{i}" for i in range(features)), "town", "score"]
    return build_arrow(rows(0, features=features), columns, segments=["region"], roles={"score": "score"})


def counted(profile: Profile, table: pa.Table) -> Counts:
    counter = Counter(profile)
    for batch in table.combine_chunks().to_batches():
        counter.add(batch)
    return merge(profile, [counter.part(0)])


def judged(profile: Profile, counts: Counts, limits: Drift | None = None, day: int = 0) -> Verdicts:
    night = Night(subject=f"lapse {EVIL}", version="7", run_date=DAY + dt.timedelta(days=day), run_id="run-1")
    return evaluate(profile, counts, night, limits or Drift(), importance={"x0": 1.0}, cut=0.75)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profiled()


@pytest.fixture(scope="module")
def moved(profile: Profile) -> Verdicts:
    return judged(profile, counted(profile, rows(1, shift=0.7)))


def moved_counts(profile: Profile) -> Counts:
    return counted(profile, rows(1, shift=0.7))


class Tags(HTMLParser):
    """Elements that are opened and not closed, and those that could reach the network."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.reaching: list[str] = []
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.reaching += [f"{name}={value}" for name, value in attrs if name in ("src", "srcset", "data", "action")]
        self.reaching += ["link"] if tag == "link" else []
        if tag not in ("meta", "input", "link", "br", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def headline(page: str) -> str:
    found = re.search(r'<div class="big">(.*?)</div>', page)
    return found[1] if found else ""


def test_the_page_is_whole_and_reaches_nothing(moved: Verdicts) -> None:
    tags = Tags(render(moved, Drift()))
    assert tags.open == ["option"] * tags.open.count("option")  # options need no end
    assert tags.reaching == []
    assert "url(" not in render(moved, Drift())
    assert "@import" not in render(moved, Drift())


def test_the_verdict_comes_first(moved: Verdicts) -> None:
    page = render(moved, Drift())
    assert headline(page) == "1 of 5 columns moved further than chance explains: x0."
    assert page.index('class="big"') < page.index("All columns")
    assert "No alert is raised yet: it takes 2 of the last 3 nights." in page


def test_a_quiet_night_says_so(profile: Profile) -> None:
    page = render(judged(profile, counted(profile, rows(2))), Drift())
    assert headline(page) == "Nothing moved more than chance explains."
    assert "Look at these first" not in page


def test_a_night_without_rows_says_so(profile: Profile) -> None:
    page = render(judged(profile, zero(profile)), Drift())
    assert headline(page) == "There are no rows tonight."


def test_too_few_rows_are_not_called_ok(profile: Profile) -> None:
    page = render(judged(profile, counted(profile, rows(3, size=50))), Drift())
    assert headline(page) == "There are too few rows tonight to tell drift from chance."


def test_a_column_that_cannot_be_compared_comes_before_what_moved(profile: Profile) -> None:
    counts = counted(profile, rows(1, shift=0.7))
    broken = unweighted(profile, counts.rows, {"x1": "column is gone, it was double at training"})
    page = render(judged(profile, broken), Drift())
    assert headline(page).startswith("1 column could not be compared. 1 of 4 columns moved")
    assert page.index("Column is gone") < page.index("All columns")


def test_the_score_says_how_many_lie_above_the_cut(moved: Verdicts) -> None:
    assert re.search(r"above the cut about <b>2[3-7]%</b>, was 2[3-7]%", render(moved, Drift()))


def test_markup_in_names_and_categories_is_shown_not_run(moved: Verdicts) -> None:
    page = render(moved, Drift())
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert Tags(page).scripts == 1  # the page's own


def test_rare_categories_are_part_of_the_others(moved: Verdicts) -> None:
    page = render(moved, Drift())
    assert "Ann Smith" not in page
    assert "other categories" in page
    assert "rare category" not in page


def test_links_lead_to_definitions_and_never_run(moved: Verdicts) -> None:
    page = render(moved, Drift(), links={"x0": "../x.yaml", "x1": "javascript:alert(1)"})
    assert 'href="../x.yaml"' in page
    assert "javascript" not in page
    assert safe_link("https://example.org/a:b") == "https://example.org/a:b"
    assert safe_link("JavaScript:alert(1)") is None
    assert safe_link("data:text/html,x") is None


def test_muted_columns_say_until_when_and_why(profile: Profile) -> None:
    mute = Mute(until=DAY, reason="known <campaign>")
    limits = Drift(features={"x0": DriftOverride(mute=mute)})
    verdicts = judged(profile, counted(profile, rows(1, shift=0.7)), limits)
    page = render(verdicts, limits)
    assert headline(page).startswith("Nothing moved")
    assert "muted until 2020-03-01" in page
    assert "known &lt;campaign&gt;" in page


def test_fifty_columns_and_ninety_nights_stay_below_a_megabyte() -> None:
    profile = profiled(features=50)
    verdicts = judged(profile, counted(profile, rows(1, shift=0.7, features=50)), day=90)
    history = [
        replace(row, run_date=DAY + dt.timedelta(days=day), psi=(row.psi or 0) * (1 + day % 7))
        for day in range(90)
        for row in verdicts.metrics
    ]
    page = render(verdicts, Drift(), history=history)
    assert len(page.encode()) < 1_000_000
    assert "Night by night" in page


def test_a_page_over_all_nights(moved: Verdicts, profile: Profile) -> None:
    quiet = judged(profile, counted(profile, rows(2)), day=1)
    whole = [moved.metrics[-1], quiet.metrics[-1]]
    reports = {(whole[0].subject, "7", DAY): "lapse/2020-03-01.html"}
    page = render_index(whole, reports=reports)
    assert page.index("2020-03-02") < page.index("2020-03-01")
    assert 'href="lapse/2020-03-01.html"' in page
    assert EVIL not in page
    assert "No night has been judged yet" in render_index([], reports={})


def test_other_periods_and_what_really_happened_have_their_place(moved: Verdicts, profile: Profile) -> None:
    same = counted(profile, rows(1, shift=0.7))
    night = replace(moved.night, against="last <week>")
    other = evaluate(profile, same, night, Drift(), base=same)
    nights = [Matured(DAY + dt.timedelta(days=n), "auc", 0.8, 0.7, 0.9, 0.85, 1234) for n in range(2)]
    page = render(moved, Drift(), others=[other], matured=nights)
    assert Tags(page).open == []
    assert "last &lt;week&gt;" in page
    assert "auc of what was served" in page
    assert "1,234 scores with a label" in page
    assert 'class="outcomes"' in page
    assert 'class="outcomes"' not in render(moved, Drift(), matured=nights[:1])


@pytest.mark.parametrize("place", ["first", "last"])
def test_labels_of_an_axis_stay_inside_the_chart(place: str) -> None:
    bars = [Bar("0.123456789 to 0.987654321", 0.1, 0.1, 0.0) for _ in range(20)]
    texts = re.findall(r'x="([0-9.]+)" y="174" text-anchor="(\w+)"', str(histogram(bars)))
    assert texts[0 if place == "first" else -1] == (("0.0", "start") if place == "first" else (f"{WIDTH:.1f}", "end"))


def test_a_reader_who_does_not_know_psi_is_told_what_to_do(profile: Profile, moved: Verdicts) -> None:
    assert "Ask whether the world changed" in render(moved, Drift())
    assert "Nothing has to be done" in render(judged(profile, counted(profile, rows(2))), Drift())
    assert "did all input arrive?" in render(judged(profile, zero(profile)), Drift())
    broken = unweighted(profile, moved_counts(profile).rows, {"x1": "column is gone"})
    page = render(judged(profile, broken), Drift())
    assert "Look first at the step that builds what could not be compared" in page
    assert "<p>Column is gone.</p>" in page


def test_what_changed_stands_before_the_figures(moved: Verdicts) -> None:
    page = render(moved, Drift())
    assert page.index("values are higher") < page.index("chance alone stays below")


def test_a_table_is_compared_with_its_profile_not_with_a_training(profile: Profile) -> None:
    night = Night(subject="silver.meters", version="spring", run_date=DAY)
    page = render(evaluate(profile, moved_counts(profile), night, Drift()), Drift())
    assert "of profile spring</span>" in page
    assert "in profile spring</li>" in page
    assert "training" not in page.replace("as they were at training", "")


def test_a_muted_column_does_not_speak_for_a_segment(profile: Profile) -> None:
    limits = Drift(features={"x0": DriftOverride(mute=Mute(until=DAY, reason="known"))})
    verdicts = judged(profile, moved_counts(profile), limits)
    assert {(part.status, part.largest[0].feature == "x0") for part in segments(verdicts.metrics)} == {("OK", False)}
    heard = judged(profile, moved_counts(profile))
    assert {(part.status, part.largest[0].feature) for part in segments(heard.metrics)} == {("ALERT", "x0")}


@pytest.mark.parametrize(
    ("metric", "value", "low", "high", "words"),
    [
        ("auc", 0.8, 0.7, 0.84, "Worse than training promised, and more so than chance explains."),
        ("auc", 0.8, 0.7, 0.9, "As good as training promised, as far as so many labels can tell."),
        ("auc", 0.9, 0.86, 0.95, "Better than training promised, and more so than chance explains."),
        ("rmse", 0.9, 0.86, 0.95, "Worse than training promised, and more so than chance explains."),
        ("auc", 0.8, None, None, "As good as training promised, as far as so many labels can tell."),
    ],
)
def test_how_scores_turned_out_is_said_in_words(
    moved: Verdicts, metric: str, value: float, low: float | None, high: float | None, words: str
) -> None:
    night = Matured(DAY, metric, value, low, high, 0.85, 1234)
    assert words in render(moved, Drift(), matured=[night])
    assert "training promised" not in render(moved, Drift(), matured=[replace(night, trained=None)])


def test_the_index_shows_each_subject_once_and_folds_old_nights_away(moved: Verdicts) -> None:
    whole = moved.metrics[-1]
    nights = [replace(whole, subject="lapse", run_date=DAY + dt.timedelta(days=n)) for n in range(100)]
    reports = {(row.subject, row.version, row.run_date): f"lapse/{row.run_date}.html" for row in nights}
    page = render_index([*nights, replace(whole, subject="silver.meters")], reports=reports)
    assert Tags(page).open == []
    assert page.count("<summary>86 earlier nights</summary>") == page.count("<details") == 1
    assert page.count('title="20') == 91  # squares: the last ninety nights of the one, the only one of the other
    assert page.count(f'href="lapse/{nights[-1].run_date}.html"') == 3  # latest, square, row


def test_the_way_back_to_the_index_is_a_plain_address(moved: Verdicts) -> None:
    assert 'href="../index.html"' in render(moved, Drift(), index="../index.html")
    assert "javascript" not in render(moved, Drift(), index="javascript:alert(1)")


needs_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")


def browse(page: Path, *options: str) -> str:
    """What a browser without a network prints of the page."""
    offline = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    offline += ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    with tempfile.TemporaryDirectory(prefix="scorelake-browser-") as home:
        call = ["chromium", *offline, f"--user-data-dir={home}", *options, page.as_uri()]
        return subprocess.run(call, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.slow
@needs_browser
def test_a_browser_sorts_filters_and_unfolds_offline(moved: Verdicts, tmp_path: Path) -> None:
    acts = """<script>
      var heads = document.querySelectorAll("#table th button"), said = {};
      function names() { return Array.from(document.querySelectorAll("#table tbody tr")).filter(r => !r.hidden)
        .map(r => r.cells[0].textContent.trim().split(" ")[0]); }
      said.first = names();
      heads[0].click(); said.up = names(); heads[0].click(); said.down = names();
      heads[2].click();
      said.psi = Array.from(document.querySelectorAll("#table tbody tr")).map(r => +r.cells[2].dataset.v);
      var find = document.getElementById("find"), only = document.getElementById("only");
      find.value = "X1"; find.oninput(); said.found = names();
      said.shown = document.getElementById("shown").textContent;
      find.value = ""; only.value = "ALERT"; only.onchange(); said.alerts = names();
      location.hash = "f1"; dispatchEvent(new HashChangeEvent("hashchange"));
      said.open = document.getElementById("f1").open;
      document.title = JSON.stringify(said);
    </script></body>"""
    page = tmp_path / "report.html"
    page.write_text(render(moved, Drift()).replace("</body>", acts), encoding="utf-8")
    said = json.loads(unescape(re.findall(r"<title>(.*?)</title>", browse(page, "--dump-dom"))[0]))
    columns = ["score", "town", "x0", "x1", "x2"]
    assert (said["first"][0], said["up"], said["down"]) == ("x0", columns, columns[::-1])
    assert said["psi"] == sorted(said["psi"], reverse=True)
    assert (said["found"], said["shown"], said["alerts"], said["open"]) == (["x1"], "1 of 5", ["x0"], True)


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("size", ["1280,2400", "500,3000"])
def test_a_browser_draws_it_offline(moved: Verdicts, tmp_path: Path, size: str) -> None:
    page, picture = tmp_path / "report.html", tmp_path / f"report-{size.replace(',', 'x')}.png"
    page.write_text(render(moved, Drift()), encoding="utf-8")
    browse(page, "--hide-scrollbars", f"--window-size={size}", f"--screenshot={picture}")
    assert picture.stat().st_size > 50_000


@pytest.mark.slow
@needs_browser
def test_a_browser_prints_what_moved_and_leaves_the_rest_folded(moved: Verdicts, tmp_path: Path) -> None:
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(render(moved, Drift()), encoding="utf-8")
    browse(page, f"--print-to-pdf={paper}")
    assert 1 <= len(re.findall(rb"/Type ?/Page\b", paper.read_bytes())) <= 6
