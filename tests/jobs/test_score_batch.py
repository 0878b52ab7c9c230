"""Champion, challenger and shadow in one pass; restatement, limits and bad inputs: what each does to the tables."""

from __future__ import annotations

import os
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from pyspark.sql import functions as F

from jobs import _registry, _roles, promote_model, score_batch, train_model
from scorelake import digests, troubles
from scorelake.dates import RunDates
from scorelake.definitions import load_definitions
from scorelake.errors import ContractBroken, MissingInput, ModelRefused, UsageError
from scorelake.feature_store import definitions as feature_definitions
from scorelake.nightly import graph
from scorelake.settings import Settings, load_settings
from scorelake.stores.lake import Lake, columns_of
from scorelake.stores.marks import Mark
from scorelake.stores.model_files import Bundle, Column, Replay
from scorelake.stores.model_versions import Record
from scorelake.training import train
from tests.shop.night import SHOP
from tests.training.made_up import dataset, model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from scorelake.runs import Outcome

MODEL, SERVICE = "tried", "tried_v1"
ONLY = frozenset([MODEL])
NIGHTS = RunDates(date(2024, 3, 1), date(2024, 3, 2))
NIGHT = RunDates.single(NIGHTS.first)
KEYS = ["country", "customer_code"]
POPULATION = 200
PROMOTION = {"smoke_rows": 50, "max_microseconds": 1e6, "max_score_psi": 5, "max_bytes": 10}
SUBGROUPS = {"by": ["country"], "min_rows": 10, "require": {"auc": {"min": 0.6}}}
CALIBRATED = 3
"""The version, and its seed, that brings a calibrator and a cut along."""
SCORING = {
    "buckets": 5,
    "cut": 0.5,
    "review": [0.3, 0.6],
    "reasons": 2,
    "challengers": ["challenger"],
    "shadows": ["shadow", "nobody"],
    "canary": {"experiment": "spring", "percent": 30},
}


@dataclass(frozen=True)
class Tried:
    """A lake with two feature slices of one service, and a registry with three versions of one model."""

    spark: SparkSession
    folder: Path
    features: DataFrame
    outcome: Outcome

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, settings_in(self.folder, {}).lake)

    def score(self, dates: RunDates = NIGHT, *, restate: str | None = None, **scoring: Any) -> Outcome:
        """One run of the job, with other words in `scoring` of the model file."""
        return score_batch.run(self.spark, settings_in(self.folder, scoring), dates, ONLY, restate=restate)

    def rows(self, table: str = f"scores.{MODEL}") -> DataFrame:
        return self.lake.read_slices(table, [NIGHTS.first], column="score_date")

    def digest(self, condition: str = "true") -> dict[Any, Any]:
        rows = self.lake.read(f"scores.{MODEL}").where(condition)
        found = digests.digest_by_slice(rows, columns_of(rows), by="score_date").collect()
        return {row["score_date"]: (row["rows"], row["digest"]) for row in found}


def settings_in(folder: Path, scoring: dict[str, Any], **more: Any) -> Settings:
    """The shop's definitions with one model and one feature service, under names of their own."""
    conf = folder / "conf" / str(len(list((folder / "conf").iterdir())))
    shutil.copytree(SHOP / "conf", conf)
    spec = yaml.safe_load((conf / "models" / "churn.yaml").read_text())
    for path in (conf / "models").iterdir():
        path.unlink()
    spec |= {"feature_service": SERVICE, "scoring": SCORING | scoring} | more
    (conf / "models" / f"{MODEL}.yaml").write_text(yaml.safe_dump(spec))
    return load_settings(conf, "local", [f"local.home={folder / 'home'}"], folder / "feature_repo")


@pytest.fixture(scope="module")
def tried(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Version 1 is champion, version 2 `shadow`, version 3 `challenger`; both nights are scored."""
    folder = tmp_path_factory.mktemp("tried")
    (folder / "conf").mkdir()
    shutil.copytree(SHOP / "feature_repo", folder / "feature_repo")
    objects = folder / "feature_repo" / "shop.py"
    objects.write_text(objects.read_text().replace("shop_v1", SERVICE))
    settings = settings_in(folder, {})
    repo = feature_definitions.load(settings.feature_repo, settings.conf_dir)
    registry = _registry.connect(settings)
    for seed, alias in ((1, "champion"), (2, "shadow"), (3, "challenger")):
        record = Record({}, {}, {_registry.FEATURES_HASH: repo.definition_hash(SERVICE)})
        version = registry.register(MODEL, a_version(seed), record)
        registry.client.set_registered_model_alias(MODEL, alias, version)

    [node] = graph.feature_nodes(load_definitions(settings.conf_dir), repo)
    lake, features = Lake(spark, settings.lake), made_up_features(spark)
    lake.create(node.table, columns_of(features), partitioned_by=["run_date"])
    mark = Mark("made up", node.step, tuple(NIGHTS), node.definition_hash, {})
    lake.replace_slices(features, node.table, mark)
    outcome = score_batch.run(spark, settings, NIGHTS, ONLY)
    assert outcome.exit_code == 0, list(outcome.lines())
    return Tried(spark, folder, features, outcome)


def a_version(seed: int) -> Bundle:
    more = {"calibration": "isotonic", "scoring": {"cut_by": {"share": "25%"}}} if seed == CALIBRATED else {}
    fitted = train.fit(model(seed=seed, **more), dataset(rows=200, seed=seed))
    return Bundle(
        model=fitted.learnt.model,
        flavour=fitted.learnt.flavour,
        task="binary",
        columns=tuple(Column(feature.name, feature.kind) for feature in fitted.features),
        classes=(),
        replay=Replay(fitted.replay.columns(), fitted.replay.scores.tolist()),
        requirements=("xgboost-cpu",),
        files=train_model._decided(fitted),
    )


def made_up_features(spark: SparkSession) -> DataFrame:
    draw = np.random.default_rng(5)
    rows = [
        (
            "de",
            f"c{number}",
            datetime.combine(night, datetime.min.time()) + timedelta(days=1),
            *map(float, draw.normal(size=2)),
            None if number % 3 == 0 else float(draw.normal()),
            night,
            "made up",
        )
        for night in NIGHTS
        for number in range(POPULATION)
    ]
    return spark.createDataFrame(
        rows,
        "country string, customer_code string, event_timestamp timestamp, noise double, signal double, gaps double, "
        "run_date date, run_id string",
    ).localCheckpoint()


def test_every_role_scores_everybody_and_each_entity_is_served_once(tried: Tried) -> None:
    rows = tried.rows().select("country", "customer_code", "role", "model_version", "arm", "served").collect()
    assert Counter((row["role"], row["model_version"]) for row in rows) == {
        ("champion", "1"): POPULATION,
        ("shadow", "2"): POPULATION,
        ("challenger", "3"): POPULATION,
    }
    served = [row for row in rows if row["served"]]
    assert len({(row["country"], row["customer_code"]) for row in served}) == len(served) == POPULATION
    assert all(row["role"] == row["arm"] for row in served)
    assert 0.1 < sum(row["arm"] == "challenger" for row in served) / POPULATION < 0.5


def test_an_alias_without_a_version_is_noted_and_costs_nothing(tried: Tried) -> None:
    assert "tried: shadow nobody is nobody" in tried.outcome.notes


def test_reasons_name_the_features_that_moved_a_score(tried: Tried) -> None:
    row = tried.rows().where("role = 'champion'").first()
    assert row is not None
    assert abs(row["reason_1_contribution"]) >= abs(row["reason_2_contribution"])
    assert {row["reason_1"], row["reason_2"]} < {"signal", "noise", "gaps"}
    assert tried.rows().where("role = 'shadow' AND reason_1 IS NOT NULL").isEmpty()


def test_the_manifest_says_what_made_each_night(tried: Tried) -> None:
    rows = tried.lake.read("ops.score_runs").where(f"model_name = '{MODEL}'").collect()
    found = {(row["score_date"], row["role"]): row for row in rows if row["role"] != "restated"}
    assert set(found) == {(day, role) for day in NIGHTS for role in ("champion", "challenger", "shadow")}
    row = found[NIGHTS.first, "champion"]
    champion = tried.digest("role = 'champion'")
    assert (row["rows"], row["digest"]) == champion[NIGHTS.first]
    assert (row["way"], row["failure"], row["rejected"]) == ("booster", "", 0)
    assert row["inputs"] == {f"features.{SERVICE}": tried.lake.version(f"features.{SERVICE}")}
    assert len(row["model_digest"]) == 64


def test_a_rerun_changes_neither_its_own_nor_other_nights(tried: Tried) -> None:
    before = tried.digest()
    tried.score()
    assert tried.digest() == before


def test_a_restatement_stands_beside_what_was_published(tried: Tried) -> None:
    before = tried.digest("role <> 'restated'")
    outcome = tried.score(restate="2")
    assert outcome.exit_code == 0
    again = tried.score(restate="shadow")
    assert again.written == outcome.written
    assert tried.digest("role <> 'restated'") == before
    restated = tried.rows().where("role = 'restated'")
    assert restated.where("served OR model_version <> '2'").isEmpty()
    shadow = tried.rows().where("role = 'shadow'").select("country", "customer_code", "score")
    assert restated.select("country", "customer_code", "score").exceptAll(shadow).isEmpty()
    tried.score()
    assert tried.rows().where("role = 'restated'").count() == restated.count() == shadow.count()
    with pytest.raises(UsageError, match="was never published for 2024-09-01"):
        tried.score(RunDates.single(date(2024, 9, 1)), restate="2")


def test_a_calibrated_version_answers_beside_the_score_and_decides_by_its_cut(tried: Tried, tmp_path: Path) -> None:
    registry = _registry.connect(settings_in(tried.folder, {}))
    version = registry.pin(MODEL, str(CALIBRATED), tmp_path)
    calibrator, cut = _roles.calibrator(version), _roles.cut(version)
    assert calibrator is not None
    assert cut is not None
    published = "role <> 'restated'"
    rows = tried.rows().where(published).select("role", "score", "score_calibrated", "decision").collect()
    for row in rows:
        own = row["role"] == "challenger"
        assert row["score_calibrated"] == (calibrator(np.array([row["score"]]))[0] if own else None)
    assert {row["decision"] for row in rows} == {0, 1}  # by the literal cut of the model file
    assert tried.score(NIGHT, cut=None).exit_code == 0
    for row in tried.rows().where(published).select("role", "score", "decision").collect():
        assert row["decision"] == (int(row["score"] >= cut) if row["role"] == "challenger" else None)
    # Without the challenger nobody calibrates: the column that the table has stays, without values.
    assert tried.score(NIGHT, challengers=[], canary=None).exit_code == 0
    assert tried.rows().where("score_calibrated IS NOT NULL").isEmpty()
    stored = version.folder / "scorelake" / _registry.CALIBRATED
    stored.write_text(stored.read_text().replace("[0.", "[1.", 1))
    with pytest.raises(ModelRefused, match="calibrates its stored rows differently"):
        _roles.calibrator(version)
    tried.score()


def test_nulls_beyond_a_limit_refuse_the_night_and_leave_the_published_one(tried: Tried) -> None:
    before = tried.lake.version(f"scores.{MODEL}")
    outcome = tried.score(limits={"null_rate": "0%"})
    assert outcome.exit_code == 4
    assert "null beyond scoring.limits" in outcome.refused[0]
    assert tried.lake.version(f"scores.{MODEL}") == before
    decided = tried.lake.read("ops.decisions").where("gate = 'scoring'").collect()
    assert {(row["subject"], row["metric"], row["verdict"]) for row in decided} == {(MODEL, "null_rate", "fail")}
    assert tried.score(limits={"null_rate": "100%"}).exit_code == 0


def test_a_challenger_out_of_time_is_recorded_and_its_arm_is_served_by_the_champion(tried: Tried) -> None:
    outcome = tried.score(budget="0 seconds")
    assert any("challenger version 3 was given up" in note for note in outcome.notes)
    rows = tried.rows().where("role <> 'restated'")
    assert {row["role"] for row in rows.select("role").distinct().collect()} == {"champion"}
    assert rows.where("NOT served").isEmpty()
    manifest = tried.lake.read("ops.score_runs").where(f"model_name = '{MODEL}' AND failure <> ''").collect()
    assert {(row["role"], row["failure"], row["rows"]) for row in manifest} == {
        ("challenger", "used its 0 s", 0),
        ("shadow", "used its 0 s", 0),
    }
    tried.score()


# ------------------------------------------------------------------ bad input


@pytest.fixture
def spoil(tried: Tried) -> Iterator[Callable[[DataFrame], None]]:
    """Puts other rows in the place of the first feature slice; the right ones come back afterwards."""
    table = f"features.{SERVICE}"
    _, mark = tried.lake.marks(table, "build_features")[NIGHTS.first]

    def put(rows: DataFrame) -> None:
        tried.lake.replace_slices(rows, table, replace(mark, dates=(NIGHTS.first,)))

    yield put
    put(tried.features.where(F.col("run_date") == NIGHTS.first))


def test_an_entity_that_stands_twice_is_rejected_with_its_reason(
    tried: Tried, spoil: Callable[[DataFrame], None]
) -> None:
    rows = tried.features.where(F.col("run_date") == NIGHTS.first)
    spoil(rows.unionAll(rows.where("customer_code = 'c7'")))
    tried.score()
    champion = tried.rows(f"quarantine.scores_{MODEL}").where("role = 'champion'").collect()
    assert [(row["customer_code"], row["reason"]) for row in champion] == [
        ("c7", "the entity stands more than once in the features")
    ] * 2
    assert tried.rows().where("role = 'champion'").count() + len(champion) == POPULATION + 1


def test_rejects_go_when_the_night_is_scored_without_any_and_a_night_without_any_commits_none(
    tried: Tried, spoil: Callable[[DataFrame], None]
) -> None:
    quarantine = f"quarantine.scores_{MODEL}"
    rows = tried.features.where(F.col("run_date") == NIGHTS.first)
    spoil(rows.unionAll(rows.where("customer_code = 'c7'")))
    tried.score()
    assert not tried.rows(quarantine).where("role = 'champion'").isEmpty()
    spoil(rows)
    tried.score()
    assert tried.rows(quarantine).where("role = 'champion'").isEmpty()
    assert tried.lake.slices(quarantine) == {NIGHTS.first}


def test_all_null_infinite_and_keyless_rows_have_a_defined_outcome(
    tried: Tried, spoil: Callable[[DataFrame], None]
) -> None:
    rows = tried.features.where(F.col("run_date") == NIGHTS.first)
    is_empty, is_endless, is_nobody = (F.col("customer_code") == code for code in ("c1", "c2", "c4"))
    for name in ("signal", "noise", "gaps"):
        rows = rows.withColumn(name, F.when(~is_empty, F.col(name)))
    rows = rows.withColumn("noise", F.when(is_endless, float("inf")).otherwise(F.col("noise")))
    rows = rows.withColumn("customer_code", F.when(~is_nobody, F.col("customer_code")))
    spoil(rows.withColumn("unasked", F.lit(1)).drop("unasked").select(*reversed(rows.columns)))
    tried.score()
    rejected = tried.rows(f"quarantine.scores_{MODEL}").where("role = 'champion'").collect()
    assert {(row["customer_code"], row["reason"].partition(":")[0]) for row in rejected} == {
        ("c2", "no finite score"),
        (None, "null in the entity key"),
    }
    champion = tried.rows().where("role = 'champion'")
    assert champion.count() == POPULATION - 2
    assert champion.where("customer_code = 'c1' AND score BETWEEN 0 AND 1").count() == 1


def test_a_night_without_entities_is_published_empty(tried: Tried, spoil: Callable[[DataFrame], None]) -> None:
    spoil(tried.features.where("false"))
    outcome = tried.score()
    assert (outcome.exit_code, outcome.written[f"scores.{MODEL}"]) == (0, 0)
    assert tried.rows().where("role <> 'restated'").isEmpty()


def test_slices_that_are_missing_or_of_other_definitions_are_waited_for(tried: Tried) -> None:
    with pytest.raises(MissingInput, match=r"features\.tried_v1 has no slice 2024-12-24; run build_features"):
        tried.score(RunDates.single(date(2024, 12, 24)))
    settings = settings_in(tried.folder, {})
    population = settings.conf_dir / "populations" / "buyers.sql"
    population.write_text(population.read_text().replace("200 DAYS", "100 DAYS"))
    with pytest.raises(MissingInput, match="was built from other definitions than today's"):
        score_batch.run(tried.spark, settings, NIGHT, ONLY)


def test_a_champion_with_one_changed_byte_is_refused_and_scores_stay(tried: Tried) -> None:
    before = tried.lake.version(f"scores.{MODEL}")
    stored = min((tried.folder / "home").rglob("scorelake/replay.json"), key=lambda path: path.stat().st_mtime)
    content, written = stored.read_bytes(), stored.stat()
    stored.write_bytes(content.replace(b"[", b" [", 1))
    try:
        with pytest.raises(ModelRefused, match="model tried version 1: its files were changed"):
            tried.score()
    finally:
        stored.write_bytes(content)
        os.utime(stored, ns=(written.st_atime_ns, written.st_mtime_ns))  # the oldest file is how version 1 is found
    assert tried.lake.version(f"scores.{MODEL}") == before


def test_a_champion_whose_files_are_gone_is_refused_and_scores_stay(tried: Tried) -> None:
    before = tried.lake.version(f"scores.{MODEL}")
    stored = min((tried.folder / "home").rglob("scorelake/replay.json"), key=lambda path: path.stat().st_mtime)
    version = stored.parents[1]
    aside = version.rename(version.with_name("aside"))
    try:
        with pytest.raises(ModelRefused, match="model tried version 1: ") as raised:
            tried.score()
    finally:
        aside.rename(version)
    assert raised.value.exit_code == 4
    assert tried.lake.version(f"scores.{MODEL}") == before


def test_a_full_disk_fails_the_night_and_leaves_the_published_one(tried: Tried) -> None:
    """The kernel refuses the JVM's writes, as it does beyond a quota: no file grows beyond 2,000 bytes."""
    tried.score()  # tests before this one leave a night without entities behind
    before = tried.digest()
    jvm = tried.spark.sparkContext._gateway.proc.pid  # type: ignore[union-attr]
    limits = resource.prlimit(jvm, resource.RLIMIT_FSIZE)
    resource.prlimit(jvm, resource.RLIMIT_FSIZE, (2_000, limits[1]))
    try:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - Py4J's, a stage's or Delta's
            tried.score()
    finally:
        resource.prlimit(jvm, resource.RLIMIT_FSIZE, limits)
    told = troubles.told(raised.value)
    assert "a disk is full" in told
    assert "c7" not in told
    assert tried.digest() == before
    tried.score()
    assert tried.digest() == before


def test_two_runs_of_one_night_at_once_leave_one_whole_night(tried: Tried) -> None:
    before = tried.digest()
    with ThreadPoolExecutor(2) as both:
        ends = [both.submit(tried.score) for _ in range(2)]
        failures = [error for end in ends if (error := end.exception()) is not None]
    assert len(failures) < 2, failures
    assert tried.digest() == before
    assert tried.rows().where("role = 'champion'").count() == POPULATION


def test_a_retyped_feature_is_named(tried: Tried) -> None:
    from scorelake.scoring.contract import require_types

    with pytest.raises(ContractBroken, match="a is missing; b is string, expected a number or a boolean; c is int"):
        require_types({"c": "int", "b": "string", "d": "int"}, {"a": "number", "b": "number", "c": "category"})


def test_the_gate_tries_the_challenger_on_real_features_and_shows_both(tried: Tried) -> None:
    """Last, since it moves the champion: version 2 is made challenger of version 1."""
    day = NIGHTS.last
    settings = settings_in(tried.folder, {}, promotion=PROMOTION, subgroups=SUBGROUPS)
    registry, lake = _registry.connect(settings), tried.lake
    registry.client.set_registered_model_alias(MODEL, "challenger", "2")
    labelled = tried.features.where(F.col("run_date") == F.lit(NIGHTS.first)).withColumns(
        {
            "label": (F.col("signal") > 0).cast("int"),
            "split": F.lit("test"),
            "run_date": F.lit(day),
            "label_available_at": F.col("event_timestamp"),
        }
    )
    lake.create(f"training.{MODEL}", columns_of(labelled), partitioned_by=["run_date"])
    lake.replace_slices(labelled, f"training.{MODEL}", Mark("made up", "test", (day,)))

    promote_model.run(tried.spark, settings, RunDates.single(day), ONLY)

    said = lake.read("ops.decisions").where("gate = 'promotion'").collect()
    found = {row["metric"]: (row["verdict"], row["value"]) for row in said}
    assert found["smoke failures"] == ("pass", 0)
    assert found["bytes"][0] == "fail"
    assert found["cpu microseconds a row"][1] > 0
    assert 0 <= found["psi of scores against the champion's"][1] < 1
    assert found["country=de: auc min"][0] == "pass"
    version = registry.client.get_model_version(MODEL, "2")
    path = registry.client.download_artifacts(version.run_id, f"promotion/{day}.html", str(tried.folder))
    assert "tried: version 2 against champion 1" in Path(path).read_text()
