"""The doctor against machines that lack something."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scorelake import doctor
from scorelake.doctor import Check, Machine, Seen, installation, places
from scorelake.settings import FeastSettings, LakeSettings, LandingSettings, LocalSettings, MlflowSettings, Settings
from tests.scratch_checkout import JAVA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A checkout whose lock and jar list are empty, and a home that is still to be made."""
    for name in ("requirements.lock", "conf/spark/jars.sha256"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return Machine(tmp_path, settings_at(tmp_path / "state/home"))


def settings_at(home: Path, *, lake: str = "", models: str = "", features: str = "") -> Settings:
    return Settings(
        env="local",
        conf_dir=Path("conf"),
        local=LocalSettings(home=str(home)),
        lake=LakeSettings(root=lake or f"{home}/lake"),
        landing=LandingSettings(root=f"{home}/landing"),
        mlflow=MlflowSettings(tracking_uri=models or f"sqlite:///{home}/mlflow.db"),
        feast=FeastSettings(registry=features or f"{home}/feast/registry.db"),
        reports=f"{home}/reports",
    )


# ----------------------------------------------------------------------------------------- examining


def test_every_diagnosis_of_something_wrong_names_its_fix(machine: Machine) -> None:
    sick = Check("sick", lambda _: Seen(False, "pale"), "rest")
    well = Check("well", lambda _: Seen(True, "rosy"), "rest")

    diagnoses = list(doctor.examine(machine, [sick, well]))

    assert [(d.name, d.ok, d.what, d.fix) for d in diagnoses] == [
        ("sick", False, "pale", "rest"),
        ("well", True, "rosy", ""),
    ]


def test_a_check_that_breaks_is_one_line_and_the_others_go_on(machine: Machine) -> None:
    def breaks(_: Machine) -> Seen:
        raise RuntimeError("no such luck\nand a long story")

    first, second = doctor.examine(
        machine, [Check("broken", breaks, "mend it"), Check("well", lambda _: Seen(True, "rosy"), "")]
    )

    assert (first.ok, first.what, first.fix) == (False, "no such luck", "mend it")
    assert second.ok


# -------------------------------------------------------------------------------------- installation


def test_a_connect_server_is_shown_without_its_token(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    assert installation.connect(machine) == Seen(True, "possible; SPARK_REMOTE names no server")
    monkeypatch.setenv("SPARK_REMOTE", "sc://cluster:15002/;token=s3cret")
    assert installation.connect(machine) == Seen(True, "sessions start at sc://cluster:15002/")


def test_connect_without_its_packages_is_wrong_where_a_server_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "CONNECT", ("grpcio", "no-such-package"))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    assert installation.connect(machine) == Seen(True, "not possible, there is no no-such-package")
    monkeypatch.setenv("SPARK_REMOTE", "sc://cluster")
    assert not installation.connect(machine).ok


def test_packages_other_than_locked_are_named_with_what_is_installed(machine: Machine) -> None:
    (machine.checkout / "requirements.lock").write_text(
        "# made by a tool\n"
        f"pytest=={pytest.__version__} \\\n    --hash=sha256:00\n    # via scorelake\n"
        "PyYAML==0.1 ; python_full_version >= '3.11' \\\n    --hash=sha256:00\n"
        "no-such.package==1.0\n"
        "only-elsewhere==1.0 ; sys_platform == 'win32'\n"
    )

    seen = installation.packages(machine)

    assert not seen.ok
    assert seen.what.startswith("not as locked: pyyaml ")
    assert seen.what.endswith(", no-such-package missing")
    assert "only-elsewhere" not in seen.what
    assert "pytest" not in seen.what


@pytest.mark.parametrize(
    ("version", "ok"), [("17.0.15", True), ("21", True), ("1.8.0_392", False), ("11.0.2", False), ("25.0.1", False)]
)
def test_java_is_17_or_21(
    version: str, ok: bool, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "jdk/bin/java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA.format(version=version))
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    assert installation.java(machine) == Seen(ok, f"{version} at {java}")


def test_no_java_is_a_finding(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert installation.java(machine) == Seen(False, "none")


def test_jars_that_are_missing_or_not_the_locked_file_are_named(machine: Machine) -> None:
    import pyspark

    intact = Path(pyspark.__file__).parent / "jars/delta-storage-4.4.0.jar"
    checksum = hashlib.sha256(intact.read_bytes()).hexdigest()
    (machine.checkout / "conf/spark/jars.sha256").write_text(
        f"# checksum, coordinates\n{checksum} io.delta:delta-storage:4.4.0\n"
        f"{checksum} org.postgresql:postgresql:42.7.8\n{checksum} org.example:absent:1\n"
    )

    seen = installation.jars(machine)

    assert not seen.ok
    assert seen.what.endswith("postgresql-42.7.8.jar, absent-1.jar")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Sets a time zone for one test."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "ok"), [("UTC", True), ("Etc/UTC", True), ("Europe/London", False), ("Asia/Kolkata", False)]
)
def test_zone_is_utc_all_the_year(name: str, ok: bool, machine: Machine, clock: pytest.MonkeyPatch) -> None:
    clock.setenv("TZ", name)
    time.tzset()

    assert installation.zone(machine).ok is ok


# ------------------------------------------------------------------------------------------- places


def test_home_still_to_be_made_counts_by_its_parent(machine: Machine, tmp_path: Path) -> None:
    assert places.write_rights(machine) == Seen(True, str(tmp_path))
    assert not (tmp_path / "state").exists()


def test_place_that_takes_no_file_is_wrong(tmp_path: Path) -> None:
    (diagnosis,) = doctor.examine(
        Machine(tmp_path, settings_at(Path("/proc/scorelake"))),
        [check for check in doctor.QUICK if check.name == "write rights"],
    )

    assert not diagnosis.ok
    assert "/proc" in diagnosis.what
    assert "local.home" in diagnosis.fix


def test_lake_elsewhere_needs_no_rights_here(machine: Machine) -> None:
    remote = machine.settings.model_copy(
        update={"local": LocalSettings(), "lake": LakeSettings(root="gs://bucket/lake")}
    )

    assert places.write_rights(Machine(machine.checkout, remote)).ok


def test_disk_is_wrong_with_less_than_wanted(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.disk(machine).ok
    monkeypatch.setattr(places, "DISK_WANTED_GB", 10**9)

    assert not places.disk(machine).ok


def test_spark_and_delta_are_well_where_the_suite_runs(spark: SparkSession, machine: Machine, tmp_path: Path) -> None:
    assert places.spark(machine) == Seen(True, f"{spark.version}, JVM zone UTC")
    assert places.delta(machine).ok
    assert not list(tmp_path.glob("doctor-*"))  # it takes away what it wrote


def test_registries_still_to_be_made_are_well_and_stay_unmade(machine: Machine, tmp_path: Path) -> None:
    assert places.model_registry(machine).ok
    assert places.feature_registry(machine).ok
    assert not (tmp_path / "state").exists()


def test_registry_files_that_are_something_else_are_wrong(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, whatever its name says")
    (tmp_path / "registry.db").mkdir()
    settings = settings_at(tmp_path, models=f"sqlite:///{tmp_path}/mlflow.db", features=f"{tmp_path}/registry.db")
    registries = [check for check in doctor.THOROUGH if "registry" in check.name]

    diagnoses = list(doctor.examine(Machine(tmp_path, settings), registries))

    assert [d.ok for d in diagnoses] == [False, False]
    assert ["mlflow" in diagnoses[0].fix, "feast" in diagnoses[1].fix] == [True, True]


def test_password_of_a_registry_is_not_shown(machine: Machine, tmp_path: Path) -> None:
    settings = settings_at(tmp_path, features="gs://reader:secret@bucket/registry.pb")

    assert places.feature_registry(Machine(tmp_path, settings)).what == "gs://bucket/registry.pb"
