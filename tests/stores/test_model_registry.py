"""A real MLflow on SQLite: versions are registered whole, pinned by digest, refused when tampered with."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scorelake.errors import MissingInput, ModelRefused, ScorelakeError
from scorelake.models import Task
from scorelake.stores.model_files import Bundle, Column, Replay, digest
from scorelake.stores.model_registry import ModelRegistry, Record, connect
from scorelake.training import train
from scorelake.training.fitted import Fitted
from tests.training.made_up import dataset, model

PREPARED = {
    "numeric": {"winsorise": "1%", "impute": "median", "scale": "standard", "flag_missing": True},
    "categorical": {"encode": "target"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    home = tmp_path_factory.mktemp("mlflow")
    return connect(f"sqlite:///{home}/mlflow.db", artifact_root=str(home / "artifacts"))


def fitted(task: Task = "binary", algorithm: Any = "xgboost", preprocessing: Any = None) -> Fitted:
    text = preprocessing is not None
    return train.fit(model(task, algorithm, preprocessing=preprocessing), dataset(task, rows=200, text=text))


def bundle(trained: Fitted, task: Task = "binary", **files: bytes) -> Bundle:
    return Bundle(
        model=trained.learnt.model,
        flavour=trained.learnt.flavour,
        task=task,
        columns=tuple(Column(feature.name, feature.kind) for feature in trained.features),
        classes=trained.classes,
        replay=Replay(trained.replay.columns(), trained.replay.scores.tolist()),
        requirements=("xgboost-cpu==3.2.0", "scikit-learn==1.9.1"),
        files={name.replace("_", "."): content for name, content in files.items()},
    )


def record(**tags: str) -> Record:
    return Record({"seed": "7"}, {"test.auc": 0.9}, {"definition_hash": "abc", **tags})


@pytest.fixture(scope="module")
def booster() -> Fitted:
    return fitted()


def test_version_carries_its_record_and_files(registry: ModelRegistry, booster: Fitted, tmp_path: Path) -> None:
    version = registry.register("whole", bundle(booster, profile_json=b"{}", card_md=b"# Card"), record())
    pinned = registry.resolve("whole", "challenger", tmp_path)
    assert (pinned.version, pinned.task, pinned.classes) == (version, "binary", ())
    assert pinned.features == ("signal", "noise", "gaps")
    assert pinned.tags["definition_hash"] == "abc"
    assert (pinned.file("profile.json"), pinned.file("card.md")) == (b"{}", b"# Card")
    assert (pinned.folder / "model.ubj").is_file()
    run = registry.client.get_run(pinned.run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.params["seed"], run.data.metrics["test.auc"]) == ("7", 0.9)
    with pytest.raises(MissingInput, match="version 1 has no other"):
        pinned.file("other")


@pytest.mark.parametrize(
    ("task", "algorithm", "preprocessing"),
    [
        ("binary", "xgboost", None),
        ("multiclass", "xgboost", None),
        ("regression", "xgboost", PREPARED),
        ("binary", "sklearn.linear_model.LogisticRegression", PREPARED),
        ("multiclass", {"name": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 5}}, PREPARED),
        ("regression", "sklearn.ensemble.HistGradientBoostingRegressor", PREPARED),
    ],
)
def test_stored_rows_are_repeated_by_mlflow_without_pickle(
    registry: ModelRegistry, tmp_path: Path, task: Task, algorithm: Any, preprocessing: Any
) -> None:
    from mlflow import pyfunc

    trained = fitted(task, algorithm, preprocessing)
    version = registry.register("replayed", bundle(trained, task), record())
    pinned = registry.pin("replayed", version, tmp_path)
    assert pinned.replay is not None
    rows = pinned.replay.batch(pinned.columns).to_pandas()
    answers = np.asarray(pyfunc.load_model(str(pinned.folder)).predict(rows))
    pinned.check_replay(answers)
    assert pinned.classes == trained.classes
    with pytest.raises(ModelRefused, match="scores its stored rows differently"):
        pinned.check_replay(answers + 1e-4)


def test_trials_of_a_search_are_nested_runs(registry: ModelRegistry, booster: Fitted, tmp_path: Path) -> None:
    trials = tuple(Record({"max_depth": depth}, {"validation.auc": 0.8}, {}) for depth in ("3", "6"))
    registry.register("searched", bundle(booster), Record({}, {}, {}, trials=trials))
    parent = registry.resolve("searched", "challenger", tmp_path).run_id
    experiment = registry.client.get_experiment_by_name("searched")
    assert experiment is not None
    nested = registry.client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent}'")
    assert {(run.data.params["max_depth"], run.info.status) for run in nested} == {("3", "FINISHED"), ("6", "FINISHED")}


def test_one_changed_byte_is_refused_before_load(registry: ModelRegistry, booster: Fitted, tmp_path: Path) -> None:
    version = registry.register("tampered", bundle(booster), record())
    stored = next(Path(str(registry.artifact_root), "tampered").rglob("model.ubj"))
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    with pytest.raises(ModelRefused, match=f"model tampered version {version}: its files were changed") as raised:
        registry.resolve("tampered", "challenger", tmp_path)
    assert raised.value.exit_code == 4


def test_version_that_others_loaded_where_it_lies_is_still_itself(
    registry: ModelRegistry, booster: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow writes a note beside the files that it loads from a local registry, Python its bytecode."""
    import mlflow

    version = registry.register("visited", bundle(booster), record())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    loaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/visited/{version}"))
    (loaded / "code" / "__pycache__").mkdir(parents=True)
    (loaded / "code" / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"bytecode")
    assert (loaded / "registered_model_meta").exists()
    pinned = registry.resolve("visited", "challenger", tmp_path)
    assert not [path for path in pinned.folder.rglob("*") if path.name in ("registered_model_meta", "__pycache__")]


def test_files_that_are_gone_are_refused(registry: ModelRegistry, booster: Fitted, tmp_path: Path) -> None:
    import shutil

    registry.register("gone", bundle(booster), record())
    shutil.rmtree(Path(str(registry.artifact_root), "gone"))
    with pytest.raises(ModelRefused, match=r"model gone version 1: its files"):
        registry.resolve("gone", "challenger", tmp_path)


def test_pinned_files_stay_when_the_alias_moves(registry: ModelRegistry, booster: Fitted, tmp_path: Path) -> None:
    registry.register("moved", bundle(booster), record())
    pinned = registry.resolve("moved", "challenger", tmp_path)
    registry.register("moved", bundle(booster, card_md=b"other"), record())
    assert digest(pinned.folder) == pinned.digest
    assert registry.resolve("moved", "challenger", tmp_path).version == "2"
    assert digest(pinned.folder) == pinned.digest


def test_champion_moves_by_number_and_the_former_one_is_recorded(registry: ModelRegistry, booster: Fitted) -> None:
    for _ in range(2):
        registry.register("promoted", bundle(booster), record())
    assert registry.version_of("promoted", "champion") is None
    assert registry.promote("promoted", "1") is None
    assert registry.promote("promoted", "2") == "1"
    assert registry.promote("promoted", "2") == "2"
    assert [(v.version, v.aliases, v.former) for v in registry.history("promoted")] == [
        ("2", ("challenger", "champion"), "1"),
        ("1", (), None),
    ]
    with pytest.raises(MissingInput, match="has no version 9"):
        registry.promote("promoted", "9")


def test_names_in_the_registry_and_of_experiments_may_have_a_prefix(
    registry: ModelRegistry, booster: Fitted, tmp_path: Path
) -> None:
    prefixed = replace(registry, registry_schema="prod.models", experiment_folder="/Shared/scorelake/")
    version = prefixed.register("churn", bundle(booster), record())
    prefixed.promote("churn", version)
    assert prefixed.resolve("churn", "champion", tmp_path).version == version
    assert [v.version for v in prefixed.history("churn")] == [version]
    assert prefixed.find("churn", {"definition_hash": "abc"}) == version
    assert registry.version_of("churn", "champion") is None
    assert registry.version_of("prod.models.churn", "champion") == version
    assert registry.client.get_experiment_by_name("/Shared/scorelake/churn") is not None


def test_missing_champion_says_what_to_run(registry: ModelRegistry, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="model nobody has no champion yet; run promote_model first") as raised:
        registry.resolve("nobody", "champion", tmp_path)
    assert raised.value.exit_code == 3


def test_pickled_model_is_unsafe(tmp_path: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    from scorelake.stores import model_files

    rows = dataset("regression").train.frame()[["signal"]]
    estimator = LinearRegression().fit(rows, rows["signal"])
    mlflow.sklearn.save_model(
        estimator,
        str(tmp_path / "model"),
        serialization_format="cloudpickle",
        signature=infer_signature(rows, rows),
        pip_requirements=["scikit-learn"],
    )
    assert "pickle runs any code" in str(model_files.why_unsafe(tmp_path / "model"))


def test_skops_file_that_asks_to_trust_other_types_is_unsafe(tmp_path: Path) -> None:
    from scorelake.stores import model_files

    trained = fitted("binary", "sklearn.linear_model.LogisticRegression", PREPARED)
    model_files.write(bundle(trained), tmp_path / "model")
    assert model_files.why_unsafe(tmp_path / "model") is None
    path = tmp_path / "model" / "MLmodel"
    path.write_text(path.read_text().replace("numpy.dtype", "os.system"))
    assert "trust types that Scorelake does not: os.system" in str(model_files.why_unsafe(tmp_path / "model"))


def test_failed_upload_leaves_a_failed_run_and_no_version(registry: ModelRegistry, booster: Fitted) -> None:
    with pytest.raises(TypeError):
        registry.register("broken", bundle(booster, no_text="not bytes"), record())  # type: ignore[arg-type]
    experiment = registry.client.get_experiment_by_name("broken")
    assert experiment is not None
    runs = registry.client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FAILED"]
    assert registry.history("broken") == []


def test_two_first_starts_on_a_fresh_database(tmp_path: Path) -> None:
    code = (
        "from scorelake.stores.model_registry import connect;"
        f"connect('sqlite:///{tmp_path}/fresh/mlflow.db').history('nobody')"
    )
    path = [str(Path(__file__).parents[2] / "lib")]
    starts = [
        subprocess.Popen([sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"]) for _ in range(2)
    ]
    assert [start.wait(timeout=300) for start in starts] == [0, 0]


def test_unreachable_registry_is_one_error_without_its_password() -> None:
    with pytest.raises(ScorelakeError, match="does not answer") as raised:
        connect("postgresql://user:secret@127.0.0.1:1/mlflow")
    assert "secret" not in str(raised.value)


def test_rollback_returns_to_the_former_champion_and_keeps_the_reason(registry: ModelRegistry, booster: Fitted) -> None:
    for _ in range(3):
        version = registry.register("rolled", bundle(booster), record())
        registry.promote("rolled", version)
    assert registry.rollback("rolled", "scores fell") == ("3", "2")
    assert (registry.version_of("rolled", "champion"), registry.version_of("rolled", "challenger")) == ("2", None)
    assert registry.client.get_model_version("rolled", "3").tags["scorelake.rolled_back"] == "scores fell"
    assert registry.rollback("rolled", "once more") == ("2", "1")
    with pytest.raises(MissingInput, match="no former champion to return to"):
        registry.rollback("rolled", "too far")
    with pytest.raises(MissingInput, match="no former champion"):
        registry.rollback("nobody", "x")
