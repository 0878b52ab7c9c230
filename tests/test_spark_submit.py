"""What the one entry point promises, run for real: bash, the command line and a job that says what it sees."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scorelake import session
from tests.scratch_checkout import ROOT, Checkout, with_packages, without_setup

CALL = ("probe", "--env", "local")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose set-up has run to its end."""
    checkout = with_packages(tmp_path_factory.mktemp("ready"))
    result = checkout.run("bench", "ready")
    assert result.returncode == 0, result.stderr
    return checkout


@pytest.fixture
def checkout(ready: Checkout) -> Iterator[Checkout]:
    """The same, and what a test puts into its environment or its PATH is gone afterwards."""
    yield ready
    ready.environment.clear()
    (ready.tools / "java").unlink(missing_ok=True)
    shutil.rmtree(ready.path / "own", ignore_errors=True)


def seen(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the probe printed."""
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout.splitlines()[-1]))


def spark_properties(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The properties as pyspark reads them."""
    return [w for w in shlex.split(seen(result)["environment"]["PYSPARK_SUBMIT_ARGS"]) if "=" in w]


# ------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_answers_within_a_second_and_before_any_setup(words: tuple[str, ...], tmp_path: Path) -> None:
    bare = without_setup(tmp_path)
    (bare.tools / "python3").unlink(missing_ok=True)

    started = time.monotonic()
    result = bare.run(*words)

    assert result.returncode == 0
    assert time.monotonic() - started < 1
    assert not bare.venv.exists()
    for word in ("demo", "test", "bench NAME", "check", "notebook", "shell", "package", "doctor"):
        assert f"./spark-submit.sh {word}" in result.stdout
    assert "probe                  Say what a job sees.\n" in result.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("ingest_bronce",), "no job or word 'ingest_bronce'"),
        (("../jobs/probe",), "no job or word '../jobs/probe'"),
        (("bench", "nonesuch"), "no benchmark 'nonesuch'"),
    ],
)
def test_a_call_that_cannot_be_answered_here_exits_2_before_any_setup(
    words: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    bare = without_setup(tmp_path)

    result = bare.run(*words)

    assert result.returncode == 2
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not bare.venv.exists()


# ------------------------------------------------------------------------------------------- jobs


def test_arguments_reach_the_job_as_they_were_written(checkout: Checkout) -> None:
    arguments = (*CALL, "--note", "two words, a $HOME and a 'quote'")

    assert seen(checkout.run(*arguments))["arguments"] == list(arguments[1:])


@pytest.mark.parametrize("status", [0, 3, 100])
def test_exit_code_of_the_job_comes_through(status: int, checkout: Checkout) -> None:
    assert checkout.run(*CALL, "--status", str(status)).returncode == status


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("probe",), "--env"),
        (("probe", "--env", "nowhere"), "nowhere.yaml not found"),
        ((*CALL, "--no-such-option"), "--no-such-option"),
        ((*CALL, "--set", "lake.rot=/data"), "rot"),
    ],
)
def test_wrong_call_exits_2_and_the_job_never_starts(words: tuple[str, ...], reason: str, checkout: Checkout) -> None:
    result = checkout.run(*words)

    assert result.returncode == 2
    assert reason in result.stderr
    assert result.stdout == ""


def test_help_of_a_job_is_its_docstring_and_the_job_never_starts(checkout: Checkout) -> None:
    result = checkout.run("probe", "--help")

    assert result.returncode == 0
    assert "Does nothing else." in result.stdout
    assert "PYSPARK_SUBMIT_ARGS" not in result.stdout


def test_sigterm_reaches_the_job_and_nothing_stays_behind(checkout: Checkout) -> None:
    process = checkout.start(*CALL, "--wait")
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 9
    assert process.stdout.read() == ""  # its end: no process holds the pipe any more


def test_runs_through_a_symlink_from_any_folder(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.symlink_to(checkout.path / "spark-submit.sh")

    result = subprocess.run(
        [link, *CALL],
        cwd="/",
        env={"PATH": str(checkout.tools)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert seen(result)["environment"]["PYTHONPATH"] == f"{checkout.path}/lib:{checkout.path}"


# ----------------------------------------------------------------------------------- Spark's settings


def test_job_gets_the_properties_of_its_environment(checkout: Checkout) -> None:
    properties = spark_properties(checkout.run(*CALL))

    assert "spark.master=local[*,4]" in properties
    assert "spark.sql.shuffle.partitions=4" in properties
    assert not [p for p in properties if p.startswith("#")]


def test_folder_of_definitions_may_bring_its_own_properties(checkout: Checkout) -> None:
    own = checkout.path / "own"
    (own / "spark").mkdir(parents=True)
    for name in ("base.yaml", "local.yaml"):
        shutil.copy(checkout.path / "conf" / name, own / name)
    (own / "spark/local.conf").write_text("# a comment\n\n  spark.master=local[1]\nspark.app.note : two words; $HOME\n")

    properties = spark_properties(checkout.run(*CALL, "--conf-dir", str(own)))

    assert properties == ["spark.master=local[1]", "spark.app.note=two words; $HOME"]


def test_environment_without_properties_exits_2_and_says_which_file_is_expected(checkout: Checkout) -> None:
    own = checkout.path / "own"
    own.mkdir()
    shutil.copy(checkout.path / "conf/base.yaml", own / "base.yaml")
    shutil.copy(checkout.path / "conf/local.yaml", own / "staging.yaml")

    result = checkout.run("probe", "--env", "staging", "--conf-dir", str(own))

    assert result.returncode == 2
    assert "expected" in result.stderr
    assert "conf/spark/staging.conf" in result.stderr


def test_call_for_a_platform_is_shown_with_its_package_and_the_job_never_starts(checkout: Checkout) -> None:
    own = checkout.path / "own"
    (own / "spark").mkdir(parents=True)
    (own / "base.yaml").write_text("local:\n  home: ${env:PLACE}\nfeature_repo: .\n")
    (own / "ours.yaml").write_text("deploy: {platform: cluster, master: spark://master:7077}\n")
    (own / "feature_store.yaml").touch()
    shutil.copy(ROOT / "conf/spark/cluster.conf", own / "spark/ours.conf")
    for name in ("pyproject.toml", "README.md", "LICENSE", "jobs/_submit.py"):
        shutil.copy(ROOT / name, checkout.path / name)
    checkout.environment["PLACE"] = "/shared/a place"

    result = checkout.run("probe", "--env", "ours", "--conf-dir", str(own), "--note", "two words", "--dry-run")

    (line,) = result.stdout.splitlines()
    command = shlex.split(line)
    assert command[:3] == ["spark-submit", "--master", "spark://master:7077"]
    launcher = command.index(f"{checkout.path}/dist/run.py")
    assert command[launcher + 1 :] == [
        *("--export", "PLACE=/shared/a place", "probe", "--env", "ours", "--note", "two words"),
    ]
    assert (checkout.path / "dist/definitions.zip").is_file()


def test_sessions_of_our_own_tune_spark_as_local_conf_does() -> None:
    lines = (line.split(maxsplit=1) for line in (ROOT / "conf/spark/local.conf").read_text().splitlines())
    shipped = {words[0]: words[1] for words in lines if len(words) == 2 and words[0] != "#"}

    assert {key: shipped.get(key) for key in session.LOCAL} == dict(session.LOCAL)


# ------------------------------------------------------------------------------- Java and the caller


def test_the_callers_own_spark_and_python_change_nothing(checkout: Checkout) -> None:
    checkout.environment |= {
        "SPARK_HOME": "/opt/other-spark",
        "SPARK_CONF_DIR": "/opt/other-spark/conf",
        "SPARK_REMOTE": "sc://elsewhere",
        "PYSPARK_PYTHON": "/opt/other-python",
        "PYSPARK_DRIVER_PYTHON": "jupyter",
        "PYSPARK_SUBMIT_ARGS": "--master yarn pyspark-shell",
        "PYTHONHOME": "/opt/other-python",
        "PYTHONPATH": "/opt/other-packages",
        "TZ": "America/New_York",
    }

    environment = seen(checkout.run(*CALL))["environment"]

    assert "/opt" not in json.dumps(environment)
    assert "yarn" not in environment["PYSPARK_SUBMIT_ARGS"]
    assert environment["SPARK_HOME"] == str(checkout.jars.parent)
    assert environment["TZ"] == "UTC"
    assert not {"SPARK_REMOTE", "PYSPARK_DRIVER_PYTHON", "PYTHONHOME"} & environment.keys()


@pytest.mark.parametrize("version", ["17.0.15", "21"])
def test_java_of_the_machine_is_used_when_spark_runs_on_it(version: str, checkout: Checkout) -> None:
    checkout.has_java(version)

    result = checkout.run(*CALL)

    assert "JAVA_HOME" not in seen(result)["environment"]
    assert result.stderr == ""


def test_java_home_comes_before_path(checkout: Checkout) -> None:
    checkout.has_java("17.0.15")
    java = checkout.has_java("21.0.8", home="jdk 21")

    assert seen(checkout.run(*CALL))["environment"]["JAVA_HOME"] == str(java.parents[1])


def test_java_on_path_is_used_when_java_home_is_of_a_wrong_version(checkout: Checkout) -> None:
    checkout.has_java("17.0.15")
    checkout.has_java("11.0.2", home="jdk 11")

    assert "JAVA_HOME" not in seen(checkout.run(*CALL))["environment"]


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "25.0.1"])
def test_java_of_a_wrong_version_gives_way_to_the_packaged_one_with_one_line(version: str, checkout: Checkout) -> None:
    checkout.has_java(version)

    result = checkout.run(*CALL)

    assert seen(result)["environment"]["JAVA_HOME"] == str(checkout.venv / "java")
    assert len(result.stderr.splitlines()) == 1
    assert f"Java {version}; Spark needs 17 or 21" in result.stderr


def test_packaged_java_runs_with_the_options_that_spark_gives(checkout: Checkout) -> None:
    java = checkout.venv / "java/bin/java"

    result = subprocess.run(
        [java, "--add-modules=jdk.incubator.vector", "-version"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert 'version "21.' in result.stderr


@pytest.mark.slow
def test_sigterm_ends_the_job_and_its_jvm(checkout: Checkout) -> None:
    process = checkout.start(*CALL, "--spark", "--wait")
    assert process.stdout is not None
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 9
    assert len(children) == 1  # Python has started a JVM
    deadline = time.monotonic() + 10
    while Path(f"/proc/{children[0]}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
