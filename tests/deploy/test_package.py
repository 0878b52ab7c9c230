from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scorelake.errors import UsageError
from scorelake.platforms import package
from scorelake.platforms.package import Package
from tests.deploy.conftest import ROOT
from tests.shop.night import SHOP


def names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        return set(opened.namelist())


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In another folder, with nothing of this checkout in the environment or on the path."""
    bare = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=bare, capture_output=True, text=True, timeout=300, check=False
    )


def test_code_zip_holds_every_module_and_template_and_nothing_compiled(shipped: Package) -> None:
    code = names(shipped.zips[0])
    modules = {f"scorelake/{path.relative_to(ROOT / 'lib/scorelake')}" for path in ROOT.glob("lib/scorelake/**/*.py")}
    jobs = {f"jobs/{path.name}" for path in ROOT.glob("jobs/*.py")}
    assert modules | jobs <= code
    assert any(name.endswith(".j2") for name in code)
    assert not [name for name in code if "__pycache__" in name or "egg-info" in name or "/." in name]


def test_definitions_zip_holds_the_conf_folder_and_the_feature_repo(shipped: Package) -> None:
    definitions = names(shipped.zips[1])
    assert {"conf/base.yaml", "conf/tables/silver/sales.sql", "feature_repo/feature_store.yaml"} <= definitions
    assert {name.split("/")[0] for name in definitions} == {"conf", "feature_repo"}


def test_deploy_descriptors_and_schemas_stay_behind(tmp_path: Path) -> None:
    package.build(ROOT, ROOT / "conf", ROOT / "feature_repo", tmp_path)
    assert not [
        name for name in names(tmp_path / "definitions.zip") if name.startswith(("conf/deploy", "conf/schemas"))
    ]
    assert (tmp_path / "databricks.yml").read_bytes() == (ROOT / "conf/deploy/databricks/databricks.yml").read_bytes()


def test_wheel_holds_the_package_and_asks_for_its_dependencies(shipped: Package) -> None:
    (wheel,) = shipped.folder.glob("scorelake-*-py3-none-any.whl")
    held = names(wheel)
    assert {name for name in names(shipped.zips[0]) if name.startswith("scorelake/")} <= held
    with zipfile.ZipFile(wheel) as opened:
        (metadata,) = (name for name in held if name.endswith("METADATA"))
        assert "Requires-Dist: feast==" in opened.read(metadata).decode()


def test_same_sources_make_the_same_bytes(shipped: Package, tmp_path: Path) -> None:
    again = package.build(ROOT, SHOP / "conf", SHOP / "feature_repo", tmp_path)

    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert digests(again.folder) == digests(shipped.folder)


def test_a_newer_wheel_takes_the_place_of_the_older_one(shipped: Package, tmp_path: Path) -> None:
    (tmp_path / "scorelake-0.0.1-py3-none-any.whl").touch()
    package.build(ROOT, SHOP / "conf", SHOP / "feature_repo", tmp_path)
    assert len(list(tmp_path.glob("*.whl"))) == 1


def test_workers_import_the_code_from_its_zip(shipped: Package, tmp_path: Path) -> None:
    modules = "scorelake.features.asof, scorelake.scoring.score, jobs"
    program = f"import {modules}\nfor module in (scorelake, jobs): print(module.__file__)"
    done = python(tmp_path, "-c", program, PYTHONPATH=str(shipped.zips[0]))
    assert done.stdout.splitlines() == [f"{shipped.zips[0]}/{name}/__init__.py" for name in ("scorelake", "jobs")], (
        done.stderr
    )


def test_launcher_runs_a_job_with_the_definitions_that_it_unpacks(shipped: Package, tmp_path: Path) -> None:
    call = ("check", "--env", "local", "--quick", "--set", f"local.home={tmp_path}/home")
    done = python(tmp_path, str(shipped.run), *call)
    assert (done.returncode, done.stdout.strip()) == (0, "no mistake found"), done.stderr


def test_launcher_finds_the_zips_that_py_files_put_on_the_path(shipped: Package, tmp_path: Path) -> None:
    elsewhere = tmp_path / "run.py"
    elsewhere.write_bytes(shipped.run.read_bytes())
    call = ("check", "--env", "local", "--quick", "--set", f"local.home={tmp_path}/home")
    lost = python(tmp_path, str(elsewhere), *call)
    assert lost.returncode == 1
    assert "scorelake.zip not found" in lost.stderr
    found = python(tmp_path, str(elsewhere), *call, PYTHONPATH=os.pathsep.join(map(str, shipped.zips)))
    assert found.returncode == 0, found.stderr


def test_launcher_hands_on_the_exit_code_of_the_job(shipped: Package, tmp_path: Path) -> None:
    wrong = python(tmp_path, str(shipped.run), "check", "--env", "nowhere")
    assert wrong.returncode == 2
    assert "nowhere.yaml not found" in wrong.stderr


def test_exported_variables_reach_the_settings(shipped: Package, tmp_path: Path) -> None:
    call = ("check", "--env", "local", "--quick", "--set", "local.home=${env:PLACE}")
    assert "PLACE is not set" in python(tmp_path, str(shipped.run), *call).stderr
    assert python(tmp_path, str(shipped.run), "--export", "PLACE=/a=b, c", *call).returncode == 0


def test_day_before_a_schedulers_date_is_the_run_date(shipped: Package, tmp_path: Path) -> None:
    # `check` takes no dates, so it says which ones it was given
    done = python(tmp_path, str(shipped.run), "--day-before", "2024-03-01", "check", "--env", "local")
    assert "--run-date 2024-02-29" in done.stderr


@pytest.mark.parametrize("missing", ["conf", "feature_repo"])
def test_folders_without_definitions_are_refused(missing: str, tmp_path: Path) -> None:
    places = {"conf": SHOP / "conf", "feature_repo": SHOP / "feature_repo", missing: tmp_path}
    with pytest.raises(UsageError, match="expected"):
        package.build(ROOT, places["conf"], places["feature_repo"], tmp_path / "dist")
